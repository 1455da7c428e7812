"""Keys and slots in DynamoDB: what they cost, what is left of them, and what is made of replies that go astray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import pytest

from citestream.aws import Aws
from citestream.model import Event, Token
from citestream.streams.admission import Claim, Slot, TooManyAnswers, request_key
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.hub import Hub
from tests.aws import AwsServer, Stores
from tests.cutting_proxy import cutting
from tests.streams import LIMITS, entries, producing

KEEP = 3600.0
KEY = request_key("me", "key", "question")
WRITE_UNIT = 1024


@pytest.fixture
async def log(aws_stores: Stores) -> AsyncGenerator[DynamoStreamLog]:
    aws = Aws()
    yield DynamoStreamLog(aws, aws_stores.table, KEEP)
    await aws.aclose()


@pytest.fixture
async def hub(log: DynamoStreamLog) -> AsyncGenerator[Hub]:
    hub = Hub(log, replace(LIMITS, cancel_poll=1000))  # so that what is counted is the request's
    yield hub
    await hub.aclose()


async def forever(stream_id: str) -> AsyncGenerator[Event]:
    await asyncio.Event().wait()
    yield Token("never")


async def calls_of(server: AwsServer, work: Awaitable[object]) -> dict[str, int]:
    server.reset()
    await work
    return {name.removeprefix("dynamodb."): times for name, times in server.calls().items()}


async def refused(asking: Awaitable[object]) -> None:
    with pytest.raises(TooManyAnswers):
        await asking


async def test_a_slot_is_one_write_and_so_is_a_refusal(hub: Hub, aws_server: AwsServer) -> None:
    # An owner's very first one finds no slots: it makes them by a second write.
    assert await calls_of(aws_server, hub.admit("me", forever)) == {"UpdateItem": 2, "PutItem": 1}
    for _ in range(2):
        assert await calls_of(aws_server, hub.admit("me", forever)) == {"UpdateItem": 1, "PutItem": 1}
    for _ in range(2):
        assert await calls_of(aws_server, refused(hub.admit("me", forever))) == {"UpdateItem": 1}


async def test_what_a_key_costs(hub: Hub, aws_server: AwsServer) -> None:
    await hub.admit("me", forever)
    keyed = hub.admit("me", forever, key=KEY)
    assert await calls_of(aws_server, keyed) == {"PutItem": 2, "UpdateItem": 1}
    assert await calls_of(aws_server, hub.stream_of(KEY)) == {"Query": 2}  # who joins reads
    await hub.admit("me", forever)
    late = refused(hub.admit("me", forever, key=request_key("me", "another", "question")))
    assert await calls_of(aws_server, late) == {"PutItem": 1, "UpdateItem": 2}  # and the key is given back


async def test_what_a_short_answer_costs(hub: Hub, aws_server: AwsServer) -> None:
    await entries(hub, (await hub.admit("me", producing(Token("a")))).stream_id)

    async def answer() -> None:
        await entries(hub, (await hub.admit("me", producing(Token("a")))).stream_id)

    # A slot taken and released; a record and two events.
    assert await calls_of(aws_server, answer()) == {"UpdateItem": 2, "PutItem": 3}


async def test_expired_slots_make_room_by_one_more_write(log: DynamoStreamLog, aws_server: AwsServer) -> None:
    for n in range(3):
        await log.admission.take_slot("me", f"lost{n}", time.time() - 1, 3)
    taking = log.admission.take_slot("me", "s", time.time() + 10, 3)
    assert await calls_of(aws_server, taking) == {"UpdateItem": 2}
    assert await calls_of(aws_server, log.admission.take_slot("me", "t", time.time() + 10, 3)) == {"UpdateItem": 1}


async def test_all_of_it_is_small_and_dynamodb_may_remove_it(
    hub: Hub, log: DynamoStreamLog, aws_server: AwsServer, aws_stores: Stores
) -> None:
    for n in range(3):
        await hub.admit("me", forever, key=request_key("me", f"{n}", "question"))
    for item in aws_server.client("dynamodb").scan(TableName=aws_stores.table)["Items"]:
        assert len(str(item)) < WRITE_UNIT
        assert 0 <= int(item["expires_at"]["N"]) - time.time() - 2 * KEEP < 1000


async def test_what_a_lost_reply_has_repeated_is_done_once(
    aws_server: AwsServer, aws_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = time.time() + 1000
    ours, late = Claim("s", "digest", time.time()), Claim("t", "digest", time.time())
    writes: list[Callable[[DynamoStreamLog], Awaitable[object]]] = [
        lambda log: log.admission.claim("k", ours),
        lambda log: log.admission.claim("k", late, stale="s"),
        lambda log: log.admission.withdraw("k", "t"),
        lambda log: Slot(log.admission, "me", "s0").take(until, 3),  # two writes: the first of these is cut off
        lambda log: Slot(log.admission, "me", "s1").take(until, 3),
        lambda log: Slot(log.admission, "me", "s2").take(until, 3),  # the last one there is
        lambda log: Slot(log.admission, "me", "s2").renew(until),
        lambda log: Slot(log.admission, "me", "s1").release(),
    ]
    outcomes = []
    for write in writes:
        with cutting(aws_server.url, [1]) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            aws = Aws()
            log = DynamoStreamLog(aws, aws_stores.table, KEEP)
            outcomes.append(await write(log))
            assert proxy.cuts == 1
            await aws.aclose()
    assert outcomes == [ours, late, *[None] * 6]
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server.url)
    aws = Aws()
    log = DynamoStreamLog(aws, aws_stores.table, KEEP)
    assert await log.admission.claimed("k") == Claim("t", "digest", 0)
    assert await log.admission.take_slot("me", "s3", until, 3) is None
    assert await log.admission.take_slot("me", "s4", until, 3) is not None
    await aws.aclose()


async def test_owners_whose_slots_change_all_the_time_get_theirs(log: DynamoStreamLog) -> None:
    """Slots that expire, and are replaced, while others are taken, renewed and released."""

    async def come_and_go(name: str) -> int:
        taken = 0
        for n in range(5):
            slot = Slot(log.admission, "me", f"{name}{n}")
            if await slot.take(time.time() + (10 if n % 2 else -1), 3) is None:
                taken += 1
                await slot.renew(time.time() + (10 if n % 2 else -1))
                if n % 2:
                    await slot.release()
        return taken

    assert sum(await asyncio.gather(*(come_and_go(name) for name in "abcdef"))) > 5
    assert [await log.admission.take_slot("me", f"s{n}", time.time() + 10, 3) is None for n in range(4)] == [
        *(True, True, True),
        False,
    ]
