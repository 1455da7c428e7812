"""Objects as S3 has them: strange keys, strange states, and lists of readers that can't be read."""

from __future__ import annotations

import asyncio
import json
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from citestream.aws import Denied
from citestream.dynamo import to_item
from citestream.ingest.worker import work
from citestream.model import DocumentEntry, document_id
from citestream.retrieval.embedder import EmbeddingFailed
from tests.aws import AwsServer, Stores
from tests.bucket import Bucket, QuickAws, WordBag
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

T = TypeVar("T")
NOTHING: dict[str, list[str]] = {"indexes": [], "vectors": [], "texts": [], "left": []}


async def handled(bucket: Bucket, *keys: str) -> bool:
    """Whether the message about these objects is done with."""
    return await work(bucket.event(*keys), bucket.ingest, lambda: 900.0) == {"batchItemFailures": []}


async def entry(bucket: Bucket) -> DocumentEntry:
    (found,) = await bucket.index.documents("kb")
    return found


async def found(bucket: Bucket, *principals: str) -> list[str]:
    return [each.document_name for each in await bucket.index.search("water", ["kb"], 5, frozenset(principals))]


@pytest.mark.parametrize(
    "name",
    [
        "a+b c%20d.txt",
        "文書 ü.txt",
        "../up/./a.txt",
        "/a//b.txt",
        "a?b#c&d=e;f.txt",
        "'\"<>\\{}|^`~.txt",
        "x" * 508 + ".txt",
        "각" * 150 + ".txt",
        "文" * 336 + ".txt",
    ],
)
async def test_any_name_can_be_a_documents(bucket: Bucket, name: str) -> None:
    bucket.put(f"kb/{name}", "High water is at noon.")
    assert await handled(bucket, f"kb/{name}")
    assert await found(bucket) == [name]
    assert (await entry(bucket)).document_name == name
    bucket.delete(f"kb/{name}")
    assert await handled(bucket, f"kb/{name}")
    assert bucket.stored() == NOTHING


@pytest.mark.parametrize(
    ("name", "listed", "reason"),
    [
        ("a\x01b.txt", "a\\x01b.txt", "its name holds characters that can't be shown"),
        ("x" * 600 + ".txt", "x" * 600 + ".txt", "its name is over 512 characters"),
        ("\u0958" * 330 + ".txt", "\u0915\u093c" * 170 + "\u0915", "its name is over 512 characters"),
        ("3. " + "y" * 400, "3. " + "y" * 400, "of an unknown kind"),
    ],
    ids=["control", "long", "longer in NFC", "long suffix"],
)
async def test_a_name_that_cannot_be_a_documents_is_listed_with_the_reason(
    bucket: Bucket, name: str, listed: str, reason: str
) -> None:
    bucket.put(f"kb/{name}", "High water is at noon.")
    assert await handled(bucket, f"kb/{name}")
    assert (await entry(bucket)).document_name == listed
    assert ((await entry(bucket)).reason or "").startswith(reason)


async def test_what_cannot_be_read_by_its_name_is_not_downloaded(bucket: Bucket, aws_server: AwsServer) -> None:
    bucket.put("kb/film.mp4", "a hundred million bytes")
    before = aws_server.calls().get("s3.GetObject", 0)
    assert await handled(bucket, "kb/film.mp4")
    assert aws_server.calls()["s3.GetObject"] - before == 1  # of the list beside it


async def test_two_spellings_of_a_name_are_one_document_as_long_as_either_is_there(bucket: Bucket) -> None:
    composed, decomposed = "kb/é.txt", unicodedata.normalize("NFD", "kb/é.txt")
    bucket.put(decomposed, "High water is at noon.")
    assert await handled(bucket, decomposed)
    bucket.put(composed, "High water is at one.")
    for told in (composed, decomposed):
        assert await handled(bucket, told)
        document = await bucket.index.document(document_id("kb", "é.txt"))
        assert document is not None
        assert document.text == "High water is at one."
    bucket.delete(composed)
    assert await handled(bucket, composed)
    document = await bucket.index.document(document_id("kb", "é.txt"))
    assert document is not None
    assert document.text == "High water is at noon."
    bucket.delete(decomposed)
    assert await handled(bucket, decomposed)
    assert bucket.stored() == NOTHING


async def test_a_list_counts_in_any_spelling_of_the_name(bucket: Bucket) -> None:
    bucket.put("kb/é.txt", "High water is at noon.")
    bucket.put(unicodedata.normalize("NFD", "kb/é.txt.access.json"), json.dumps({"principals": ["alice"]}))
    assert await handled(bucket, "kb/é.txt")
    assert (await found(bucket), await found(bucket, "alice")) == ([], ["é.txt"])


class ChangingAws(QuickAws):
    """AWS where something else is done before the n-th call of S3."""

    def __init__(self, n: int, change: Callable[[], object]) -> None:
        super().__init__()
        self._left = n
        self._change = change

    async def run(self, service: str, work: Callable[[Any], T]) -> T:
        self._left -= service == "s3"
        if self._left == 0:
            self._left = -1
            self._change()
        return await super().run(service, work)


@pytest.mark.parametrize("call", [2, 3], ids=["list", "download"])
@pytest.mark.parametrize("versions", ["Enabled", "Suspended", None])
async def test_an_object_that_changes_while_it_is_looked_at_is_read_as_it_is(
    aws_server: AwsServer, aws_stores: Stores, versions: str | None, call: int
) -> None:
    stores, s3 = replace(aws_stores, documents_bucket=f"{aws_stores.documents_bucket}-2"), aws_server.client("s3")
    s3.create_bucket(Bucket=stores.documents_bucket)
    if versions:
        configuration = {"Status": versions}
        s3.put_bucket_versioning(Bucket=stores.documents_bucket, VersioningConfiguration=configuration)
    aws = ChangingAws(call, lambda: made.put("kb/a.txt", "High water is at one."))
    made = Bucket(aws_server, stores, aws)
    made.put("kb/a.txt", "High water is at noon.")
    await made.ingest.sync("kb/a.txt")
    await made.ingest.sync("kb/a.txt")  # as the change's event will have it
    document = await made.index.document(document_id("kb", "a.txt"))
    assert document is not None
    assert document.text == "High water is at one."
    record = await made.index.writer.record(document.document_id)
    assert s3.head_object(Bucket=stores.documents_bucket, Key="kb/a.txt")["ETag"] in record.digest
    await made.aclose()


@pytest.mark.parametrize("call", [2, 3], ids=["list", "download"])
async def test_an_object_that_goes_with_its_list_while_it_is_looked_at_is_nobodys(
    aws_server: AwsServer, aws_stores: Stores, call: int
) -> None:
    def go() -> None:
        made.delete("kb/a.txt")
        made.delete("kb/a.txt.access.json")

    made = Bucket(aws_server, aws_stores, ChangingAws(call, go))
    made.put("kb/a.txt.access.json", json.dumps({"principals": ["alice"]}))
    made.put("kb/a.txt", "High water is at noon.")
    await made.ingest.sync("kb/a.txt")
    assert made.stored() == NOTHING
    await made.aclose()


@pytest.mark.parametrize(
    ("operation", "code", "status", "reason", "comes_again"),
    [
        ("HeadObject", "", 400, "S3 does not give it: it may be encrypted with a key of your own", False),
        ("HeadObject", "", 403, "its object can't be read: access to it is denied", True),
        ("GetObject", "InvalidObjectState", 403, "S3 does not give the list of who may read it: it is", False),
        ("GetObject", "AccessDenied", 403, "its object can't be read: access to it is denied", True),
        ("GetObject", "KMS.DisabledException", 400, "S3 does not give the list of who may read it: KMS.", False),
    ],
)
async def test_an_object_that_s3_does_not_give_is_listed_with_the_reason(
    bucket: Bucket,
    aws_server: AwsServer,
    operation: str,
    code: str,
    status: int,
    reason: str,
    comes_again: bool,
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    assert await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt", "High water is at one.")
    aws_server.fail("s3", operation, code, status=status, times=4)
    assert await handled(bucket, "kb/a.txt") is not comes_again
    assert ((await entry(bucket)).reason or "").startswith(reason)
    assert await found(bucket) == []
    aws_server.fail("s3", operation, code, status=status, times=0)
    assert await handled(bucket, "kb/a.txt")  # whoever tells of it once more
    assert ((await entry(bucket)).reason, await found(bucket)) == (None, ["a.txt"])


async def test_a_credential_that_has_expired_says_nothing_of_the_object(bucket: Bucket, aws_server: AwsServer) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    assert await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt", "High water is at one.")
    aws_server.fail("s3", "HeadObject", "", status=400)
    aws_server.fail("s3", "GetObject", "ExpiredToken", status=400)
    assert not await handled(bucket, "kb/a.txt")
    assert ((await entry(bucket)).reason, await found(bucket)) == (None, ["a.txt"])


async def test_an_object_that_may_not_be_downloaded_is_listed_and_comes_again(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket
) -> None:
    def deny() -> None:
        raise Denied("s3 GetObject: AccessDenied: arn:aws:kms:… is not for arn:aws:sts:…")

    denied = Bucket(aws_server, aws_stores, ChangingAws(3, deny))
    denied.put("kb/a.txt", "High water is at noon.")
    assert not await handled(denied, "kb/a.txt")
    assert (await entry(bucket)).reason == "its object can't be read: access to it is denied"
    assert await handled(denied, "kb/a.txt")
    assert await found(bucket) == ["a.txt"]
    await denied.aclose()


async def test_an_object_that_is_too_large_is_not_downloaded(
    bucket: Bucket, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citestream.ingest.bucket.MAX_BYTES", 20)
    bucket.put("kb/a.txt", "High water is at noon.")
    before = aws_server.calls().get("s3.GetObject", 0)
    assert await handled(bucket, "kb/a.txt")
    assert aws_server.calls()["s3.GetObject"] - before == 1  # of the list beside it
    assert (await entry(bucket)).reason == "22 bytes: 20 is the limit"


class _Failing(WordBag):
    """An embedder at which something happens, once: then it is as any."""

    def __init__(self, happens: Callable[[], Any]) -> None:
        super().__init__()
        self._happens: Callable[[], Any] | None = happens

    async def embed(self, texts: Any) -> list[list[float]]:
        happens, self._happens = self._happens, None
        if happens is not None:
            await happens()
        return await super().embed(texts)


async def _fail() -> None:
    raise EmbeddingFailed("The embedding model is busy.", retryable=True)


async def _break() -> None:
    raise LookupError("secret text")


async def _hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("happens", "seconds"), [(_fail, 900.0), (_break, 900.0), (_hang, 60.2)])
async def test_whatever_fails_nobody_goes_on_reading_what_is_for_others_now(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket, happens: Callable[[], Any], seconds: float
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    assert await handled(bucket, "kb/a.txt")
    bucket.put("kb/a.txt.access.json", json.dumps({"principals": ["alice"]}))
    failing = Bucket(aws_server, aws_stores, embedder=_Failing(happens))
    reply = await work(failing.event("kb/a.txt.access.json"), failing.ingest, lambda: seconds)
    assert bool(reply["batchItemFailures"]) is (happens is not _hang)
    assert await found(bucket) == []
    assert ((await entry(bucket)).state, (await entry(bucket)).access) == ("failed", ("alice",))
    await failing.aclose()


async def test_what_comes_while_another_version_is_given_up_is_read(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket, hurry: Hurry
) -> None:
    async def hang() -> None:
        bucket.put("kb/a.txt", "Low water is at six.")
        hurry(900.0)
        await asyncio.Event().wait()

    slow = Bucket(aws_server, aws_stores, embedder=_Failing(hang))
    slow.put("kb/a.txt", "High water is at noon.")
    assert await handled(slow, "kb/a.txt")
    assert ((await entry(bucket)).reason or "").startswith("it takes longer than")
    assert await handled(bucket, "kb/a.txt")
    assert ((await entry(bucket)).reason, await found(bucket)) == (None, ["a.txt"])
    await slow.aclose()


async def test_what_a_crash_has_left_is_removed_also_where_the_next_try_fails(
    aws_server: AwsServer, aws_stores: Stores, bucket: Bucket
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    left = {"id": "crashed", "index": "kb-gone", "chunk_count": 1, "since": time.time() - 2_000}
    item = {"pk": f"D#{document_id('kb', 'a.txt')}", "sk": "D", "revision": 0, "left_crashed": left}
    bucket.client("dynamodb").put_item(TableName=aws_stores.table, Item=to_item(item))
    failing = Bucket(aws_server, aws_stores, embedder=_Failing(_fail))
    assert not await handled(failing, "kb/a.txt")
    assert bucket.stored()["left"] == []
    await failing.aclose()


async def test_an_unforeseen_failure_is_logged_also_where_it_cannot_be_recorded(
    aws_server: AwsServer, aws_stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_all() -> None:
        aws_server.fail("dynamodb", "TransactWriteItems", "InternalServerError", status=500, times=4)
        raise LookupError("unforeseen")

    failing = Bucket(aws_server, aws_stores, embedder=_Failing(break_all))
    failing.put("kb/a.txt", "High water is at noon.")
    assert not await handled(failing, "kb/a.txt")
    assert any(record.exc_info and record.exc_info[0] is LookupError for record in caplog.records)
    assert "High water" not in caplog.text
    await failing.aclose()
