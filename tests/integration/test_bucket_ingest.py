"""The documents bucket and the index in step, whatever happens to objects, messages and functions on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citestream.errors import WrongIndex
from citestream.ingest.s3_events import BadEvent
from citestream.ingest.worker import work
from citestream.model import document_id
from citestream.retrieval import aws_writer
from citestream.retrieval.embedder import EmbeddingFailed
from tests.aws import AwsServer, Stores, make_stores
from tests.bucket import Bucket, QuickAws, WordBag

T = TypeVar("T")
NOTHING: dict[str, list[str]] = {"indexes": [], "vectors": [], "texts": [], "left": []}
LONG = "".join(f"Sentence number {n} tells of the tide. " for n in range(60))


async def handled(bucket: Bucket, *keys: str, seconds: float = 900.0) -> list[str]:
    """The messages that come again after one about these objects was handled."""
    reply = await work(bucket.event(*keys), bucket.ingest, lambda: seconds)
    return [each["itemIdentifier"] for each in reply["batchItemFailures"]]


async def found(bucket: Bucket, query: str, kb_id: str = "kb", principals: frozenset[str] | None = None) -> list[str]:
    return [each.document_name for each in await bucket.index.search(query, [kb_id], 10, principals)]


async def test_an_object_becomes_a_document_and_goes_with_it(bucket: Bucket) -> None:
    bucket.put("kb/notes/tide table.md", "# Tides\n\nHigh water is at noon.")
    assert await handled(bucket, "kb/notes/tide table.md") == []
    (passage,) = await bucket.index.search("When is high water?", ["kb"], 5)
    document = await bucket.index.document(passage.document_id)
    assert document is not None
    assert document.text[passage.char_start : passage.char_end] == passage.text
    assert (document.name, document.kb_id) == ("notes/tide table.md", "kb")
    bucket.delete("kb/notes/tide table.md")
    assert await handled(bucket, "kb/notes/tide table.md") == []
    assert await bucket.index.kb_ids() == []
    assert await bucket.index.document(passage.document_id) is None
    assert bucket.stored() == NOTHING


async def test_another_version_takes_the_place_of_the_first(bucket: Bucket) -> None:
    bucket.put("kb/a.txt", LONG)
    await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt", "Low water is at six.")
    await handled(bucket, "kb/a.txt")
    assert [each.text for each in await bucket.index.search("water tide sentence", ["kb"], 10)] == [
        "Low water is at six."
    ]
    (entry,) = await bucket.index.documents("kb")
    assert (entry.state, entry.chunk_count) == ("ready", 1)
    stored = bucket.stored()
    assert {name: len(keys) for name, keys in stored.items()} == {"indexes": 1, "vectors": 1, "texts": 1, "left": 0}


async def test_the_same_object_is_not_embedded_twice(bucket: Bucket, aws_server: AwsServer) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await handled(bucket, "kb/a.txt")
    before = aws_server.calls()
    await handled(bucket, "kb/a.txt")
    added = {name for name, count in aws_server.calls().items() if count != before.get(name, 0)}
    assert added <= {"dynamodb.GetItem", "s3.HeadObject", "s3.GetObject"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"\x89PNG", "unknown kind"),
        ("a.txt", b"", "empty"),
        ("a.pdf", b"no pdf", "PDF"),
        ("a.docx", b"PK\x03\x04", "zip"),
        ("a.txt", b"\x00\x01\x02\x03" * 100, ""),
    ],
)
async def test_a_file_that_cannot_be_read_is_listed_with_the_reason(
    bucket: Bucket, name: str, content: bytes, reason: str
) -> None:
    bucket.put("kb/good.txt", "High water is at noon.")
    bucket.put(f"kb/{name}", content)
    assert await handled(bucket, "kb/good.txt", f"kb/{name}") == []
    entries = {each.document_name: each for each in await bucket.index.documents("kb")}
    assert entries[name].state == "failed"
    assert reason in (entries[name].reason or "")
    assert await found(bucket, "water") == ["good.txt"]


async def test_a_version_that_cannot_be_read_leaves_the_one_before(bucket: Bucket) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt", b"")
    await handled(bucket, "kb/a.txt")
    (entry,) = await bucket.index.documents("kb")
    assert (entry.state, entry.reason, entry.chunk_count) == ("failed", "empty", 1)
    assert await found(bucket, "water") == ["a.txt"]
    bucket.put("kb/a.txt", "High water is at one.")
    await handled(bucket, "kb/a.txt")
    (entry,) = await bucket.index.documents("kb")
    assert (entry.state, entry.reason) == ("ready", None)


async def test_the_file_beside_says_for_whom_the_document_is(bucket: Bucket) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    bucket.put("kb/a.txt.access.json", json.dumps({"principals": ["alice", "pilots"]}))
    await handled(bucket, "kb/a.txt")
    assert await found(bucket, "water", principals=frozenset({"bob"})) == []
    assert await found(bucket, "water", principals=frozenset({"bob", "pilots"})) == ["a.txt"]
    bucket.put("kb/a.txt.access.json", json.dumps({"principals": ["bob"]}))
    await handled(bucket, "kb/a.txt.access.json")
    assert await found(bucket, "water", principals=frozenset({"bob"})) == ["a.txt"]
    assert await found(bucket, "water", principals=frozenset({"pilots"})) == []
    bucket.delete("kb/a.txt.access.json")
    await handled(bucket, "kb/a.txt.access.json")
    assert await found(bucket, "water", principals=frozenset()) == ["a.txt"]


async def test_a_broken_list_of_readers_makes_it_nobodys(bucket: Bucket) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt.access.json", '{"principals": "alice"}')
    await handled(bucket, "kb/a.txt.access.json")
    assert await found(bucket, "water") == []
    (entry,) = await bucket.index.documents("kb")
    assert entry.state == "failed"
    assert (entry.reason or "").startswith("a.txt.access.json: ")
    assert entry.access == ()


async def test_a_version_that_cannot_be_read_is_withdrawn_where_its_readers_have_changed(bucket: Bucket) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt.access.json", '{"principals": ["alice"]}')
    bucket.put("kb/a.txt", b"")
    await handled(bucket, "kb/a.txt")
    assert await found(bucket, "water") == []
    (entry,) = await bucket.index.documents("kb")
    assert (entry.state, entry.access) == ("failed", ("alice",))


@pytest.mark.parametrize("key", ["top.txt", "kb/", "kb/folder/", "two words/a.txt", "*/a.txt", "kb", "/a.txt"])
async def test_what_is_in_no_knowledge_base_is_passed_over(bucket: Bucket, key: str) -> None:
    bucket.put(key, "High water is at noon.")
    assert await handled(bucket, key) == []
    assert bucket.stored() == NOTHING


@pytest.mark.parametrize(
    ("body", "comes_again"),
    [
        ('{"Event": "s3:TestEvent", "Bucket": "documents"}', False),
        ("no JSON", True),
        ('{"Records": [{"s3": {}}]}', True),
        ('{"Records": [{"s3": {"bucket": {"name": "another"}, "object": {"key": "kb/a.txt"}}}]}', True),
    ],
)
async def test_messages_that_are_none_of_ours(bucket: Bucket, body: str, comes_again: bool) -> None:
    event = {"Records": [{"messageId": "m7", "body": body}]}
    reply = await work(event, bucket.ingest, lambda: 900.0)
    assert reply == {"batchItemFailures": [{"itemIdentifier": "m7"}] if comes_again else []}


@pytest.mark.parametrize("event", [{}, {"Records": [{"s3": {}}]}, [], "text", {"Records": None}])
async def test_events_of_others_are_refused(bucket: Bucket, event: Any) -> None:
    with pytest.raises(BadEvent, match=r"Records|valid"):
        await work(event, bucket.ingest, lambda: 900.0)


class _FailingBag(WordBag):
    async def embed(self, texts: Any) -> list[list[float]]:
        raise EmbeddingFailed("The embedding model is busy.", retryable=True)


async def test_one_message_that_fails_is_the_only_one_to_come_again(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket
) -> None:
    failing = Bucket(aws_server, aws_stores, embedder=_FailingBag())
    bucket.put("kb/good.txt", "High water is at noon.")
    await handled(bucket, "kb/good.txt")
    bucket.put("kb/late.txt", "Low water is at six.")
    events = [bucket.event("kb/good.txt", message_id="m1"), bucket.event("kb/late.txt", message_id="m2")]
    event = {"Records": [record for each in events for record in each["Records"]]}
    assert await work(event, failing.ingest, lambda: 900.0) == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
    entries = {each.document_name: each.reason for each in await bucket.index.documents("kb")}
    assert entries == {"good.txt": None, "late.txt": "The embedding model is busy."}
    assert await handled(bucket, "kb/late.txt") == []
    assert sorted(await found(bucket, "water")) == ["good.txt", "late.txt"]
    await failing.aclose()


async def test_another_embedding_model_is_refused_with_the_way_out(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await handled(bucket, "kb/a.txt")
    other = Bucket(aws_server, aws_stores, embedder=WordBag("another/64"))
    bucket.put("kb/b.txt", "Low water is at six.")
    assert await handled(other, "kb/b.txt") == ["m1"]
    with pytest.raises(WrongIndex, match="holds vectors of word-bag/64, this program has another/64"):
        await other.index.search("water", ["kb"], 3)
    entry = (await bucket.index.documents("kb"))[1]
    assert "word-bag/64" in (entry.reason or "")
    await other.aclose()


async def test_throttling_is_waited_out_and_an_outage_brings_the_message_back(
    bucket: Bucket, aws_server: AwsServer
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    aws_server.fail("s3vectors", "PutVectors", "TooManyRequestsException", status=429, times=2)
    assert await handled(bucket, "kb/a.txt") == []
    bucket.put("kb/a.txt", "High water is at one.")
    aws_server.fail("s3vectors", "PutVectors", "ServiceUnavailableException", status=503, times=4)
    assert await handled(bucket, "kb/a.txt") == ["m1"]
    assert [each.text for each in await bucket.index.search("water", ["kb"], 3)] == ["High water is at noon."]
    assert bucket.stored()["left"] == []
    assert await handled(bucket, "kb/a.txt") == []
    assert [each.text for each in await bucket.index.search("water", ["kb"], 3)] == ["High water is at one."]


class _SlowBag(WordBag):
    async def embed(self, texts: Any) -> list[list[float]]:
        await asyncio.Event().wait()
        raise AssertionError("never")


async def test_a_document_that_takes_too_long_is_given_up_and_says_so(
    aws_server: AwsServer, aws_stores: Stores
) -> None:
    slow = Bucket(aws_server, aws_stores, embedder=_SlowBag())
    slow.put("kb/a.txt", "High water is at noon.")
    assert await handled(slow, "kb/a.txt", seconds=60.5) == []
    (entry,) = await slow.index.documents("kb")
    assert (entry.reason or "").startswith("it takes longer than")
    assert (slow.stored()["left"], slow.stored()["texts"]) == ([], [])
    await slow.aclose()


async def test_a_document_that_found_little_time_left_comes_again(aws_server: AwsServer, aws_stores: Stores) -> None:
    slow = Bucket(aws_server, aws_stores, embedder=_SlowBag())
    slow.put("kb/a.txt", "High water is at noon.")
    left = iter([900.0, 60.1])
    reply = await work(slow.event("kb/a.txt"), slow.ingest, lambda: next(left))
    assert reply == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert await slow.index.kb_ids() == []
    await slow.aclose()


# Any order, any repetition, any overlap of messages.

KEYS = ("kb/a.txt", "kb/b.txt", "other/a.txt", "kb/a.txt.access.json")
CONTENTS = st.sampled_from(["High water is at noon.", "Low water is at six.", LONG, '{"principals": ["alice"]}', ""])
CHANGES = st.lists(st.tuples(st.sampled_from(KEYS), st.one_of(st.none(), CONTENTS)), min_size=1, max_size=5)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, seed=st.integers(0, 2**16))
def test_the_index_ends_as_the_bucket_does(
    aws_server: AwsServer, changes: list[tuple[str, str | None]], seed: int
) -> None:
    asyncio.run(_any_order(Bucket(aws_server, make_stores(aws_server)), changes, random.Random(seed)))


async def _any_order(bucket: Bucket, changes: list[tuple[str, str | None]], rng: random.Random) -> None:
    """Each change is told of after it was made: some at once, some late, some again, some side by side."""
    waiting: list[str] = []
    for key, content in changes:
        if content is None:
            bucket.delete(key)
        else:
            bucket.put(key, content)
        waiting += [key] * rng.randint(1, 2)
        rng.shuffle(waiting)
        told = waiting[: rng.randint(0, 2)]
        await asyncio.gather(*(bucket.ingest.sync(each) for each in told))
    last = list(dict.fromkeys(key for key, _ in changes))
    rng.shuffle(last)
    await asyncio.gather(*(bucket.ingest.sync(each) for each in last))
    await _require_in_step(bucket, dict(changes))
    await bucket.aclose()


async def _require_in_step(bucket: Bucket, final: dict[str, str | None]) -> None:
    for key in ("kb/a.txt", "kb/b.txt", "other/a.txt"):
        kb_id, name = key.split("/")
        content = final.get(key)
        access = final.get(f"{key}.access.json")
        document = await bucket.index.document(document_id(kb_id, name))
        readable = content if content and (access is None or access.startswith("{")) else None
        if readable is not None:
            assert document is not None
            assert document.text.strip() == readable.strip()
            assert document.access == (("alice",) if access else None)
        elif content is None:
            assert document is None
    kbs = {kb.id: kb for kb in await bucket.index.knowledge_bases()}
    assert set(kbs) == {
        key.split("/")[0] for key, content in final.items() if content is not None and "access" not in key
    }
    stored = bucket.stored()
    assert stored["left"] == []
    assert len(stored["vectors"]) == sum(kb.chunk_count for kb in kbs.values())
    assert len(stored["texts"]) == sum(kb.document_count for kb in kbs.values())
    assert len(stored["indexes"]) <= len(kbs)


# A function that dies at any call.


class Died(BaseException):
    """As by ``kill -9``: nothing of the process goes on."""


class DyingAws(QuickAws):
    """AWS for a process that dies after its ``calls``-th call: all that it does is done by calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    async def run(self, service: str, work: Callable[[Any], T]) -> T:
        self._left -= 1
        if self._left < 0:
            raise Died
        return await super().run(service, work)


async def _dies(bucket: Bucket, key: str) -> bool:
    try:
        await bucket.ingest.sync(key)
    except Died:
        return True
    finally:
        await bucket.aclose()
    return False


@pytest.mark.parametrize("change", ["create", "update", "delete"])
async def test_whoever_dies_at_any_call_leaves_nothing_behind(
    aws_server: AwsServer, aws_stores: Stores, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(aws_writer, "_ABANDONED_SECONDS", -1)  # no process is at work when the next one begins
    calls, died = -1, True
    while died:
        calls += 1
        before = Bucket(aws_server, aws_stores)
        if change != "create":
            before.put("kb/a.txt", "High water is at noon.")
            await before.ingest.sync("kb/a.txt")
        if change == "delete":
            before.delete("kb/a.txt")
        else:
            before.put("kb/a.txt", "Low water is at six.")
        died = await _dies(Bucket(aws_server, aws_stores, DyingAws(calls)), "kb/a.txt")
        await before.ingest.sync("kb/a.txt")  # SQS hands the message out again
        document = await before.index.document(document_id("kb", "a.txt"))
        assert (document.text if document else None) == (None if change == "delete" else "Low water is at six.")
        left = {name: len(keys) for name, keys in before.stored().items()}
        assert left == dict.fromkeys(left, 0) | ({} if change == "delete" else {"indexes": 1, "vectors": 1, "texts": 1})
        before.delete("kb/a.txt")
        await before.ingest.sync("kb/a.txt")
        assert before.stored() == NOTHING
        await before.aclose()
    assert calls > 5


async def test_a_search_never_sees_two_versions_or_none(bucket: Bucket) -> None:
    """While a document is replaced again and again."""
    bucket.put("kb/other.txt", "High tide and low tide are words of sailors.")
    bucket.put("kb/a.txt", "Version 0 tells of the tide. " * 3)
    await handled(bucket, "kb/other.txt", "kb/a.txt")

    async def replace() -> None:
        for n in range(1, 6):
            bucket.put("kb/a.txt", f"Version {n} tells of the tide. " * 3)
            await bucket.ingest.sync("kb/a.txt")

    replacing = asyncio.create_task(replace())
    searches = 0
    while not replacing.done():
        texts = [
            each.text for each in await bucket.index.search("version tide", ["kb"], 10) if each.document_name == "a.txt"
        ]
        assert len({text.split()[1] for text in texts}) == 1
        searches += 1
    await replacing
    assert searches > 2
