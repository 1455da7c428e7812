"""What a document is for its readers, and what is left behind, where calls of AWS cross or get no answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from citestream.aws import Refused
from citestream.errors import StoreUnavailable
from citestream.ingest.worker import work
from citestream.model import document_id
from tests.aws import AwsServer, Stores
from tests.bucket import Bucket, QuickAws

Hook = Callable[[], Awaitable[None]]
ONE = {"indexes": 1, "vectors": 1, "texts": 1, "left": 0}
ID = document_id("kb", "a.txt")


class CrossedAws(QuickAws):
    """AWS whose operations are crossed by others: ``before`` and ``after`` say what is done there, once.

    The first call of the operation ``slow`` reaches AWS only when it may ``go_on``, whatever becomes of who waits.
    """

    def __init__(self, slow: str = "") -> None:
        super().__init__()
        self.before: dict[str, list[Hook]] = {}
        self.after: dict[str, list[Hook]] = {}
        self._slow = slow
        self.reached = asyncio.Event()
        self.go_on = threading.Event()

    async def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        if hooks := self.before.get(operation):
            await hooks.pop(0)()
        if operation == self._slow:
            self._slow = ""
            tell = partial(asyncio.get_running_loop().call_soon_threadsafe, self.reached.set)
            found = await self.run(service, lambda client: self._late(getattr(client, operation), arguments, tell))
        else:
            found = await super().call(service, operation, **arguments)
        if hooks := self.after.get(operation):
            await hooks.pop(0)()
        return found

    def _late(
        self, call: Callable[..., dict[str, Any]], arguments: dict[str, Any], tell: Callable[[], object]
    ) -> dict[str, Any]:
        tell()
        assert self.go_on.wait(60)
        return call(**arguments)


async def nothing() -> None:
    pass


async def no_answer() -> None:
    raise StoreUnavailable("the answer was lost")


async def require_only(bucket: Bucket, text: str) -> None:
    """The document is this, for every reader, and all that there is in the stores is of it."""
    document = await bucket.index.document(ID)
    assert document is not None
    assert document.text == text
    assert [each.text for each in await bucket.index.search("water", ["kb"], 5)] == [text]
    assert {name: len(keys) for name, keys in bucket.stored().items()} == ONE


@pytest.mark.parametrize("more", [0, 1])
async def test_a_search_that_has_passed_over_a_version_notices_when_it_becomes_the_document(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores, more: int
) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    await bucket.ingest.sync("kb/a.txt")
    bucket.put("kb/a.txt", "High water is at one.")
    writing, searching = CrossedAws(), CrossedAws()
    writer, reader = Bucket(aws_server, aws_stores, writing), Bucket(aws_server, aws_stores, searching)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        written.set()
        await go_on.wait()

    async def let_it_go_on() -> None:
        go_on.set()
        await replacing
        for n in range(more):
            bucket.put("kb/a.txt", f"High water is at {n}.")
            await bucket.ingest.sync("kb/a.txt")

    writing.before["transact_write_items"] = [wait]
    searching.before["query_vectors"] = [nothing, let_it_go_on]
    replacing = asyncio.create_task(writer.ingest.sync("kb/a.txt"))
    await written.wait()
    assert [each.text for each in await reader.index.search("water", ["kb"], 5)] == [
        "High water is at 0." if more else "High water is at one."
    ]
    await writer.aclose()
    await reader.aclose()


@pytest.mark.parametrize("change", ["create", "update"])
async def test_a_commit_whose_answer_is_lost_has_happened(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores, change: str
) -> None:
    if change == "update":
        bucket.put("kb/a.txt", "High water is at noon.")
        await bucket.ingest.sync("kb/a.txt")
    aws = CrossedAws()
    other = Bucket(aws_server, aws_stores, aws)
    other.put("kb/a.txt", "Low water is at six.")
    aws.after["transact_write_items"] = [no_answer]
    with pytest.raises(StoreUnavailable):
        await other.ingest.sync("kb/a.txt")
    assert [each.text for each in await bucket.index.search("water", ["kb"], 5)] == ["Low water is at six."]
    await bucket.ingest.sync("kb/a.txt")
    await require_only(bucket, "Low water is at six.")
    await other.aclose()


@pytest.mark.parametrize("operation", ["update_item", "put_object", "put_vectors", "transact_write_items"])
async def test_who_is_cancelled_in_the_midst_of_a_call_leaves_nothing(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores, operation: str
) -> None:
    bucket.put("kb/b.txt", "The moon is full.")
    await bucket.ingest.sync("kb/b.txt")
    bucket.put("kb/a.txt", "High water is at noon.")
    aws = CrossedAws(slow=operation)
    other = Bucket(aws_server, aws_stores, aws)
    syncing = asyncio.create_task(other.ingest.sync("kb/a.txt"))
    await aws.reached.wait()
    syncing.cancel()
    # Who did not wait for the call would have cleaned up by then, and the call would come behind that.
    await asyncio.wait([syncing], timeout=0.3)
    aws.go_on.set()
    await asyncio.wait([syncing])
    await other.aclose()
    assert {name: len(keys) for name, keys in bucket.stored().items()} == ONE
    await bucket.ingest.sync("kb/a.txt")
    assert [each.document_name for each in await bucket.index.search("water", ["kb"], 1)] == ["a.txt"]
    bucket.delete("kb/a.txt")
    await bucket.ingest.sync("kb/a.txt")
    assert {name: len(keys) for name, keys in bucket.stored().items()} == ONE


@pytest.mark.parametrize("operation", ["put_object", "put_vectors", "transact_write_items"])
async def test_a_document_that_comes_while_the_last_one_goes_stays(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores, operation: str
) -> None:
    bucket.put("kb/b.txt", "The moon is full.")
    await bucket.ingest.sync("kb/b.txt")
    bucket.delete("kb/b.txt")
    bucket.put("kb/a.txt", "High water is at noon.")
    aws = CrossedAws()
    aws.before[operation] = [lambda: bucket.ingest.sync("kb/b.txt")]
    other = Bucket(aws_server, aws_stores, aws)
    await other.ingest.sync("kb/a.txt")
    await require_only(bucket, "High water is at noon.")
    await other.aclose()


async def test_what_crosses_a_transaction_waits_for_its_end(bucket: Bucket, aws_server: AwsServer) -> None:
    bucket.put("kb/a.txt", "High water is at noon.")
    aws_server.fail("dynamodb", "UpdateItem", "TransactionConflictException", times=2)
    reply = await work(bucket.event("kb/a.txt"), bucket.ingest, lambda: 900.0)
    assert reply == {"batchItemFailures": []}
    await require_only(bucket, "High water is at noon.")


@pytest.mark.parametrize(
    ("reasons", "state"), [(["None", "TransactionConflict"], "ready"), (["ValidationError", "None"], "failed")]
)
async def test_a_commit_is_repeated_only_where_it_may_go_better(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores, reasons: list[str], state: str
) -> None:
    async def cancelled() -> None:
        response = {"CancellationReasons": [{"Code": each} for each in reasons]}
        raise Refused("TransactionCanceledException", "", response)

    aws = CrossedAws()
    aws.before["transact_write_items"] = [cancelled]
    other = Bucket(aws_server, aws_stores, aws)
    other.put("kb/a.txt", "High water is at noon.")
    await work(other.event("kb/a.txt"), other.ingest, lambda: 900.0)
    (entry,) = await bucket.index.documents("kb")
    assert entry.state == state
    assert bucket.stored()["left"] == []
    await other.aclose()


async def test_what_is_left_of_a_document_that_never_was_expires(
    bucket: Bucket, aws_server: AwsServer, aws_stores: Stores
) -> None:
    aws = CrossedAws()
    other = Bucket(aws_server, aws_stores, aws)
    other.put("kb/a.txt", "High water is at noon.")
    aws.before["put_object"] = [no_answer]
    with pytest.raises(StoreUnavailable):
        await other.ingest.sync("kb/a.txt")
    items = bucket.client("dynamodb").scan(TableName=aws_stores.table)["Items"]
    (record,) = [item for item in items if item["pk"]["S"].startswith("D#")]
    assert int(record["expires_at"]["N"]) > time.time() + 14 * 86_400
    await bucket.ingest.sync("kb/a.txt")
    items = bucket.client("dynamodb").scan(TableName=aws_stores.table)["Items"]
    assert not any("expires_at" in item for item in items)
    await other.aclose()
