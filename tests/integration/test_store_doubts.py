"""A store that answers with what was, or not at once; readers with other clocks; two producers of one stream."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from citestream.aws import Aws
from citestream.errors import StoreUnavailable
from citestream.model import Token
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.entry import to_entry
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog, StreamRecord
from citestream.streams.production import Production
from tests.aws import AwsServer, Stores
from tests.cutting_proxy import cutting
from tests.faults import Place, entries_of, interposed, producing_answer, runs, side_by_side
from tests.hub_client import Client, check
from tests.streams import KEEP, LIMITS, Store, entries, producing, record_of

HOUR = 3600.0


# --- stale reads


class Stale:
    """What a replica would answer that lags: an event or a record may not be there yet, or not as it is now."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"stale {seed}")
        self._records: list[Any] = [None]

    async def around(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        found = await call()
        if name == "read":
            return found[: self._rng.randint(0, len(found))]
        if name != "get":
            return found
        self._records.append(found)
        return self._rng.choice(self._records)


@runs(5, together=5)
async def test_what_is_read_late_is_read_whole_all_the_same(
    log: StreamLog, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citestream.streams.hub._LOOK_SECONDS", 0.02)

    async def run(seed: int) -> None:
        producer, reader = Hub(log, LIMITS), Hub(interposed(log, Stale(seed).around), LIMITS)
        client = Client(seed, producing_answer(seed), producer, reader)
        stream_id = await client.ask()
        read = await client.read(stream_id, reader)
        assert read == await log.read(stream_id, 0) == entries_of(seed, stream_id)
        await producer.drain(grace=20)

    await side_by_side(seeds, run)


async def test_who_sees_an_old_lease_ends_no_stream_that_has_gone_on(log: StreamLog) -> None:
    """Its last event is as old as its lease: the fence is met."""
    old = StreamRecord("s", "me", "p", time.time() - 1)
    await log.create(replace(old, lease_until=time.time() + 10))
    await log.append("s", "p", to_entry(Token("a"), 1))

    async def around(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return old if name == "get" else await call()

    reader = Hub(interposed(log, around), LIMITS).follow("s")
    assert await anext(reader) == to_entry(Token("a"), 1)
    asking = asyncio.ensure_future(anext(reader))
    await asyncio.wait({asking}, timeout=0.2)
    assert await log.read("s", 0) == [to_entry(Token("a"), 1)]
    await log.append("s", "p", to_entry(Token("b"), 2))
    assert await asking == to_entry(Token("b"), 2)
    await reader.aclose()


# --- two producers


@runs(5, together=5)
async def test_of_two_producers_of_one_stream_one_is_heard(store: Store, seeds: list[int]) -> None:
    logs = [store.log(), store.log()]

    async def run(seed: int) -> None:
        rng = random.Random(f"two {seed}")
        stream_id = f"s{seed}"
        await logs[0].create(StreamRecord(stream_id, "me", "p", time.time() + 10))
        both = [Production(stream_id, log, LIMITS) for log in logs]

        async def produce(at: int) -> list[Any]:
            await asyncio.sleep(rng.choice([0, 0, 0.002]))
            await both[at].run(producing_answer(2 * seed + at)(stream_id))
            return [entry async for entry in both[at].follow(0)]

        shown: Sequence[list[Any]] = await asyncio.gather(produce(0), produce(1))
        kept = await logs[0].read(stream_id, 0)
        assert kept in [entries_of(2 * seed + at, stream_id) for at in range(2)]
        assert sorted(shown, key=len) == [[], kept]

    await side_by_side(seeds, run)


# --- clocks


def turn_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock by which readers judge leases."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr("citestream.streams.hub.time", clock)


async def test_a_reader_whose_clock_is_fast_takes_the_living_for_dead_and_everybody_reads_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (Hub(store.log(), LIMITS) for _ in range(2))
    go_on = asyncio.Event()
    stream_id = await here.start("me", producing(Token("a"), go_on, Token("never shown"), asyncio.Event()))
    listening = asyncio.create_task(entries(here, stream_id))
    turn_clock(monkeypatch, HOUR)
    early = await entries(there, stream_id)
    go_on.set()
    assert await listening == early == await store.log().read(stream_id, 0)
    assert [entry.n for entry in early] == list(range(1, len(early) + 1))
    assert json.loads(early[-1].data)["code"] == "producer_lost"
    await here.drain(grace=20)


async def test_a_reader_whose_clock_is_slow_waits_until_another_has_seen_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = store.log()
    await log.create(StreamRecord("s", "me", "p", time.time() - 1))
    await log.append("s", "p", to_entry(Token("a"), 1))
    monkeypatch.setattr("citestream.streams.hub._LOOK_SECONDS", 0.02)
    turn_clock(monkeypatch, -HOUR)
    slow = Hub(store.log(), replace(LIMITS, heartbeat=0.1)).follow("s")
    assert [await anext(slow), await anext(slow)] == [to_entry(Token("a"), 1), None]
    assert (await record_of(log, "s")).ended_at is None
    turn_clock(monkeypatch, 0)
    end = (await entries(Hub(log, LIMITS), "s"))[-1]
    turn_clock(monkeypatch, -HOUR)
    assert [entry async for entry in slow if entry] == [end]


# --- throttling


@runs(3, together=3)
async def test_throttling_is_waited_for_or_costs_the_ids(
    aws_server: AwsServer, aws_stores: Stores, tmp_path: Path, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citestream.streams.dynamo_log._PATIENCE_SECONDS", 0.7)
    async with Place(tmp_path, aws_stores.table).log() as log:

        async def run(seed: int) -> None:
            rng = random.Random(f"throttled {seed}")
            hub = Hub(log, LIMITS)
            client = Client(seed, producing_answer(seed), hub, hub)
            stream_id = await client.ask()
            operation = rng.choice(["PutItem", "PutItem", "UpdateItem", "Query"])
            await asyncio.to_thread(
                aws_server.fail, "dynamodb", operation, "ThrottlingException", times=rng.randint(1, 4)
            )
            read = await client.read(stream_id, hub)
            await hub.drain(grace=20)
            check(read, await log.read(stream_id, 0), entries_of(seed, stream_id), whole=True)

        await side_by_side(seeds, run)


# --- connections to the store


@runs(4, together=4)
async def test_replies_of_the_store_may_break_off_at_any_byte(
    aws_server: AwsServer, aws_stores: Stores, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked may have been done: it is asked again, and is no conflict."""

    async def run(seed: int) -> None:
        rng = random.Random(f"replies {seed}")
        # Each reply has a connection of its own. Two in a row are as many as may be waited for.
        whole = [1_000_000] * rng.randint(0, 12)
        with cutting(aws_server.url, [*whole, rng.randint(1, 200), rng.randint(1, 200)]) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            aws = Aws()
            aws._client("dynamodb")  # while the environment names this proxy
            hub = Hub(log := DynamoStreamLog(aws, aws_stores.table, KEEP), LIMITS)
            client = Client(seed, producing_answer(seed), hub, hub)
            stream_id = await client.ask()
            read = await client.read(stream_id, hub)
            await hub.drain(grace=20)
            assert proxy.cuts > 0 or len(whole) > 6
            # Only where the reply to the repeated write broke off, too, it is unknown what is kept.
            check(read, await log.read(stream_id, 0), entries_of(seed, stream_id), whole=True)
            assert read[-1].event == "done"
            assert await log.admission.take_slot(f"{seed}", "s", time.time() + 60, 1) is None
            await aws.aclose()

    await side_by_side(seeds, run)


@pytest.mark.parametrize("bytes_of_head", [17, 40, 80])
async def test_a_reply_that_breaks_off_in_its_head_is_no_empty_store(
    aws_server: AwsServer, aws_stores: Stores, bytes_of_head: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cutting(aws_server.url, [bytes_of_head]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        aws = Aws()
        log = DynamoStreamLog(aws, aws_stores.table, KEEP)
        with pytest.raises(StoreUnavailable, match="the reply broke off"):
            await log.read("s", 0)
        assert await log.read("s", 0) == []
        await aws.aclose()
