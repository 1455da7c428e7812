"""The stream log in DynamoDB: what is written there, what it costs, and what is made of replies that go astray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from citestream.aws import Aws
from citestream.errors import StoreUnavailable
from citestream.model import Token
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.entry import Entry, to_entry
from citestream.streams.hub import Hub
from citestream.streams.log import Fenced, StreamRecord
from tests.aws import AwsServer, Stores
from tests.cutting_proxy import cutting
from tests.streams import LIMITS, done, entries, producing, record_of

KEEP = 3600.0
WRITE_UNIT = 1024


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    asyncio.run(aws.aclose())


@pytest.fixture
def log(aws: Aws, aws_stores: Stores) -> DynamoStreamLog:
    return DynamoStreamLog(aws, aws_stores.table, KEEP)


@asynccontextmanager
async def opened(stores: Stores) -> AsyncGenerator[DynamoStreamLog]:
    """A log with a client of its own, for the server that the environment points to."""
    aws = Aws()
    yield DynamoStreamLog(aws, stores.table, KEEP)
    await aws.aclose()


def record() -> StreamRecord:
    return StreamRecord("s", "me", "p", time.time() + 10, kb_ids=("kb",))


# --- items


def size(item: dict[str, Any]) -> int:
    """In bytes, as DynamoDB counts: names and values; of a number it is more than half of its digits."""
    values = {name: next(iter(typed.values())) for name, typed in item.items()}
    return sum(len(name.encode()) + len(str(value).encode()) for name, value in values.items())


async def test_an_event_costs_one_write_unit_and_no_index(
    log: DynamoStreamLog, aws_server: AwsServer, aws_stores: Stores
) -> None:
    stream_id = "f" * 32
    await log.create(StreamRecord(stream_id, "me", "0123456789abcdef", time.time() + 10, kb_ids=("kb",)))
    await log.note_sources(stream_id, "0123456789abcdef", ["d" * 24] * 20)  # all that an answer can be written from
    aws_server.reset()
    await log.append(stream_id, "0123456789abcdef", to_entry(Token("x" * LIMITS.token_bytes), 1))
    await log.append(stream_id, "0123456789abcdef", to_entry(done(stream_id), 2))
    assert aws_server.calls() == {"dynamodb.PutItem": 2}  # the end, too, is one
    dynamodb = aws_server.client("dynamodb")
    items = dynamodb.scan(TableName=aws_stores.table)["Items"]
    assert {item["sk"]["S"] for item in items} == {"M", "E#000001", "E#000002"}
    assert max(map(size, items)) <= WRITE_UNIT
    assert dynamodb.scan(TableName=aws_stores.table, IndexName="by_kb")["Items"] == []


async def test_dynamodb_may_remove_nothing_that_may_still_be_wanted(
    log: DynamoStreamLog, aws_server: AwsServer, aws_stores: Stores
) -> None:
    made = record()
    await log.create(made)
    await log.append("s", "p", to_entry(Token("a"), 1))
    await log.renew("s", "p", made.lease_until + 7)
    stored = aws_server.client("dynamodb").scan(TableName=aws_stores.table)["Items"]
    removable = {item["sk"]["S"]: int(item["expires_at"]["N"]) for item in stored}
    assert 0 <= removable["M"] - (made.lease_until + 7 + 2 * KEEP) < 1
    assert 0 <= removable["E#000001"] - (time.time() + 900 + 2 * KEEP) + 60 < 61


# --- reading


async def test_a_gap_is_never_skipped(log: DynamoStreamLog) -> None:
    await log.create(record())
    for n in (1, 2, 4):
        await log.append("s", "p", to_entry(Token("x"), n))
    assert [entry.n for entry in await log.read("s", 0)] == [1, 2]
    assert await log.read("s", 2) == []


async def test_a_stream_of_several_pages_is_read_whole(log: DynamoStreamLog, aws_server: AwsServer) -> None:
    await log.create(record())
    written = [to_entry(Token("x" * 16_000), n) for n in range(1, 71)]
    await asyncio.gather(*(log.append("s", "p", entry) for entry in written))
    aws_server.reset()
    assert await log.read("s", 0) == written
    assert aws_server.calls() == {"dynamodb.Query": 2}
    assert (await record_of(log, "s")).last == 70
    assert aws_server.calls() == {"dynamodb.Query": 3}


async def test_events_without_their_record_are_no_stream(log: DynamoStreamLog) -> None:
    await log.append("s", "p", to_entry(Token("x"), 1))
    assert await log.get("s") is None
    assert await log.read("s", 0) == []


async def test_nothing_is_read_from_a_replica_that_may_lag(aws_stores: Stores) -> None:
    asked: list[dict[str, Any]] = []
    aws = Aws()
    events = await aws.run("dynamodb", lambda client: client.meta.events)
    events.register("provide-client-params.dynamodb", lambda params, **_: asked.append(params))
    log = DynamoStreamLog(aws, aws_stores.table, KEEP)
    await log.get("s")
    await log.read("s", 0)
    await aws.aclose()
    assert [params["ConsistentRead"] for params in asked] == [True, True]


async def test_what_is_too_long_for_a_key_is_not_asked_for(log: DynamoStreamLog, aws_server: AwsServer) -> None:
    aws_server.reset()
    assert await log.get("x" * 3000) is None
    assert await log.read("x" * 3000, 0) == []
    assert aws_server.calls() == {}


# --- writing twice


async def test_what_a_lost_reply_has_repeated_is_no_conflict(
    aws_server: AwsServer, aws_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record()
    first, last = to_entry(Token("a"), 1), to_entry(done("s"), 2)
    writes: list[Callable[[DynamoStreamLog], Awaitable[None]]] = [
        lambda log: log.create(made),
        lambda log: log.append("s", "p", first),
        lambda log: log.append("s", "p", last),
    ]
    for at, write in enumerate(writes, start=1):
        with cutting(aws_server.url, [1]) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            async with opened(aws_stores) as log:
                await write(log)
                assert proxy.cuts == 1
                assert aws_server.calls()["dynamodb.PutItem"] == 2 * at
                stored = await log.get("s"), await log.read("s", 0)
    assert stored[0] is not None
    assert (stored[0].producer, stored[0].last) == ("p", 2)
    assert stored[1] == [first, last]


@pytest.mark.parametrize(("producer", "text"), [("another", "a"), ("p", "b")])
async def test_another_event_of_that_number_is_a_conflict(log: DynamoStreamLog, producer: str, text: str) -> None:
    await log.create(record())
    await log.append("s", "p", to_entry(Token("a"), 1))
    with pytest.raises(Fenced, match="E#000001 of S#s stands already"):
        await log.append("s", producer, to_entry(Token(text), 1))
    assert await log.read("s", 0) == [to_entry(Token("a"), 1)]


async def test_another_stream_of_that_id_is_a_conflict(log: DynamoStreamLog) -> None:
    await log.create(record())
    with pytest.raises(Fenced):
        await log.create(StreamRecord("s", "me", "another", time.time() + 10))
    assert (await record_of(log, "s")).producer == "p"


# --- trouble


async def test_throttling_is_waited_for(log: DynamoStreamLog, aws_server: AwsServer) -> None:
    hub = Hub(log, LIMITS)
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("b")))
    reader = hub.follow(stream_id)
    assert await anext(reader) == Entry(1, "token", '{"text":"a"}')
    aws_server.fail("dynamodb", "PutItem", "ThrottlingException", times=1)
    go_on.set()
    assert [entry.n async for entry in reader if entry] == [2, 3]
    assert [entry.n for entry in await entries(hub, stream_id)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("InternalServerError", 500),
        ("AccessDeniedException", 400),
        ("ValidationException", 400),
    ],
)
async def test_whatever_is_no_answer_is_a_store_that_does_not_answer(
    aws_server: AwsServer, aws_stores: Stores, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    monkeypatch.setattr("citestream.aws._ATTEMPTS", 1)
    monkeypatch.setattr("citestream.streams.dynamo_log._PATIENCE_SECONDS", 25.0)  # what counts is the answer
    for operation in ("PutItem", "UpdateItem", "Query"):
        aws_server.fail("dynamodb", operation, code, status, times=9)
    async with opened(aws_stores) as log:
        calls: list[Awaitable[object]] = [
            *(log.create(record()), log.append("s", "p", to_entry(Token("a"), 1))),
            *(log.renew("s", "p", 1.0), log.note_sources("s", "p", ["d"]), log.request_cancel("s")),
            *(log.get("s"), log.read("s", 0)),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match=code):
                await call


async def test_a_server_that_says_nothing_is_not_waited_for(
    aws_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citestream.aws._ATTEMPTS", 1)
    monkeypatch.setattr("citestream.streams.dynamo_log._PATIENCE_SECONDS", 0.3)
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await let_go.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()))
        async with opened(aws_stores) as log:
            while not asked.is_set():  # boto3 takes its time to make a client
                with pytest.raises(StoreUnavailable, match=r"dynamodb query: no answer within 0\.3 s"):
                    await log.get("s")
            let_go.set()
