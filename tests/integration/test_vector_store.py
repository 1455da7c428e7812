"""Chunks in S3 Vectors: its limits, its pages, and what is found where it does not search by words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from citestream.aws import Aws, Refused
from citestream.model import Chunk, Document
from citestream.retrieval.vector_store import VectorStore, Version
from tests.aws import AwsServer, Stores
from tests.bucket import Bucket, QuickAws


@pytest.fixture
async def aws(aws_server: AwsServer) -> AsyncIterator[Aws]:
    made = QuickAws()
    yield made
    await made.aclose()


async def filled(
    aws: Aws, stores: Stores, texts: list[str], *, name: str = "a.txt", section: str = "", text_search: bool = True
) -> VectorStore:
    """A store with an index of a document of these texts."""
    store = VectorStore(aws, stores.vector_bucket)
    await store.create("index", 2, text_search=text_search)
    starts = [sum(map(len, texts[:i])) for i in range(len(texts))] if len(texts) < 10 else range(0, 10**9, 2_000)
    spans = [Chunk(start, start + len(text), None, section) for start, text in zip(starts, texts, strict=False)]
    document = Document("d", name, "kb", "".join(texts))
    version = Version("v", "index", len(texts))
    await store.put(version, document, 0, spans, [[1.0, i / len(texts)] for i in range(len(texts))])
    return store


async def test_all_pages_of_a_query_are_read(aws: Aws, aws_server: AwsServer, aws_stores: Stores) -> None:
    store = await filled(aws, aws_stores, [f"tide {i}" for i in range(7)])
    aws_server.page(3)
    assert len(await store.query("index", [1.0, 0.0], "tide", None)) == 7
    assert len(await store.query("index", [1.0, 0.0], None, None)) == 7


async def test_requests_are_as_large_as_they_may_be_whatever_is_written(
    aws: Aws, aws_server: AwsServer, aws_stores: Stores
) -> None:
    before = aws_server.calls().get("s3vectors.PutVectors", 0)
    await filled(aws, aws_stores, ["𐎠" * 2_000] * 501, name="𐎠" * 500, section="𐎠" * 300)
    assert aws_server.calls()["s3vectors.PutVectors"] - before == 2


async def test_words_that_are_refused_are_left_out(
    aws: Aws, aws_server: AwsServer, aws_stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    store = await filled(aws, aws_stores, ["High tide", "Low tide"])
    aws_server.fail("s3vectors", "QueryVectors", "ValidationException")
    found = await store.query("index", [1.0, 0.0], "the secret", None)
    assert [(each.ordinal, each.words) for each in found] == [(0, None), (1, None)]
    assert "the words of a question are left out" in caplog.text
    assert "secret" not in caplog.text
    aws_server.fail("s3vectors", "QueryVectors", "ValidationException", times=2)
    with pytest.raises(Refused):
        await store.query("index", [1.0, 0.0], "the secret", None)


@pytest.mark.parametrize(
    "query", ["?!", "the", " ", "\x00", "\ud800", "x" * 1_500, "word " * 400, "😀" * 1_100, "漢字" * 700]
)
async def test_any_question_can_be_asked(aws: Aws, aws_stores: Stores, query: str) -> None:
    store = await filled(aws, aws_stores, ["High tide", "Low tide"])
    assert [each.ordinal for each in await store.query("index", [1.0, 0.0], query, None)] == [0, 1]


async def test_a_caller_with_many_principals_finds_what_is_for_any_of_them(
    aws: Aws, aws_server: AwsServer, aws_stores: Stores
) -> None:
    bucket = Bucket(aws_server, aws_stores, aws)
    for n in (0, 150):
        bucket.put(f"kb/{n}.txt", "High water is at noon.")
        bucket.put(f"kb/{n}.txt.access.json", f'{{"principals": ["group {n}"]}}')
        await bucket.ingest.sync(f"kb/{n}.txt")
    principals = frozenset(f"group {n}" for n in range(200))
    found = await bucket.index.search("water", ["kb"], 5, principals)
    assert sorted(each.document_name for each in found) == ["0.txt", "150.txt"]
    assert await bucket.index.search("water", ["kb"], 5, principals - {"group 0", "group 150"}) == []


async def test_without_a_search_by_words_meaning_counts_alone(
    aws: Aws, aws_server: AwsServer, aws_stores: Stores
) -> None:
    bucket = Bucket(aws_server, aws_stores, aws, text_search=False)
    bucket.put("kb/near.txt", "high water at noon")
    bucket.put("kb/far.txt", "cranes lift tonnes of water")
    bucket.put("kb/secret.txt", "high water")
    bucket.put("kb/secret.txt.access.json", '{"principals": ["alice"]}')
    for name in ("near", "far", "secret"):
        await bucket.ingest.sync(f"kb/{name}.txt")
    everybody = await bucket.index.search("high water", ["kb"], 5, frozenset())
    assert [(each.document_name, each.score) for each in everybody] == [("near.txt", 1.0)]
    alice = await bucket.index.search("high water", ["kb"], 1, frozenset({"alice"}))
    assert [(each.document_name, each.score) for each in alice] == [("secret.txt", 1.0)]
    # How a knowledge base is searched is decided when it is made.
    other = Bucket(aws_server, aws_stores, aws)
    assert await other.index.search("high water", ["kb"], 5, frozenset()) == everybody
