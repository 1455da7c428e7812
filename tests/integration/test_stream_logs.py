"""The stream log, and what hubs of several processes make of it: the same on every store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from citestream.errors import StoreUnavailable
from citestream.model import Citation, Sources, Token
from citestream.sse.frames import FRAME_LIMIT
from citestream.streams.entry import Entry, to_entry, to_frame
from citestream.streams.hub import Hub
from citestream.streams.log import Fenced, StreamLog, StreamRecord
from citestream.streams.production import Limits
from tests.streams import LIMITS, Store, done, entries, producing, record_of


@pytest.fixture
async def hub(store: Store) -> AsyncGenerator[Hub]:
    hub = Hub(store.log(), LIMITS)
    yield hub
    await hub.aclose()


@pytest.fixture
async def other_hub(store: Store) -> AsyncGenerator[Hub]:
    hub = Hub(store.log(), LIMITS)
    yield hub
    await hub.aclose()


def record(stream_id: str = "s", *, lease: float = 10.0) -> StreamRecord:
    return StreamRecord(stream_id, "me", "p", time.time() + lease)


# --- records


@pytest.mark.parametrize("owner", ["me", "auth0|日本 😀 \"' \x00"])
async def test_a_record_comes_back_as_it_was_made(log: StreamLog, store: Store, owner: str) -> None:
    made = StreamRecord("s", owner, "p", time.time() + 10, kb_ids=("hr", "engineering"), documents=("d1",))
    await log.create(made)
    assert await log.get("s") == made
    assert await store.log().get("s") == made


@pytest.mark.parametrize("stream_id", ["unknown", "x" * 128, "x" * 3000, "日本", "a/b#c", " "])
async def test_what_is_not_there_stays_away_whatever_is_asked_of_it(log: StreamLog, stream_id: str) -> None:
    await log.create(record())
    assert await log.get(stream_id) is None
    assert await log.read(stream_id, 0) == []
    await log.request_cancel(stream_id)
    assert await log.get(stream_id) is None


async def test_only_its_producer_changes_a_record(log: StreamLog) -> None:
    made = record()
    await log.create(made)
    for stream_id, producer in [("s", "another"), ("unknown", "p")]:
        await log.renew(stream_id, producer, made.lease_until + 5)
        await log.note_sources(stream_id, producer, ["d"])
    assert await log.get("s") == made
    assert await log.get("unknown") is None
    await log.renew("s", "p", made.lease_until + 5)
    await log.note_sources("s", "p", ["b", "a"])
    assert await log.get("s") == replace(made, lease_until=made.lease_until + 5, documents=("b", "a"))


async def test_a_cancel_is_seen_wherever_the_producer_is(log: StreamLog, store: Store) -> None:
    await log.create(record())
    await store.log().request_cancel("s")
    assert (await record_of(log, "s")).cancelled


async def test_a_stream_is_gone_when_it_was_kept_long_enough(store: Store) -> None:
    log = store.log(keep=1000)
    for stream_id, lease in [("lost long ago", -1001.0), ("lost", -900.0), ("alive", 10.0)]:
        await log.create(record(stream_id, lease=lease))
        await log.append(stream_id, "p", to_entry(Token("x"), 1))
    await log.append("alive", "p", to_entry(done("alive"), 2))
    assert await log.get("lost long ago") is None
    assert await log.read("lost long ago", 0) == []
    assert [(await record_of(log, stream_id)).last for stream_id in ("lost", "alive")] == [1, 2]
    late = store.log(keep=-60)  # as it will be when it has been kept and a minute has gone by
    await late.append("lost", "p", to_entry(done("lost"), 2))
    for stream_id in ("lost", "alive"):
        assert await late.get(stream_id) is None
        assert await late.read(stream_id, 0) == []


# --- events


async def test_events_come_back_in_order_after_a_cursor(log: StreamLog, store: Store) -> None:
    made = record()
    await log.create(made)
    for n, text in enumerate("abc", start=1):
        await log.append("s", "p", to_entry(Token(text), n))
    for reader in (log, store.log()):
        assert [entry.data for entry in await reader.read("s", 1)] == ['{"text":"b"}', '{"text":"c"}']
        assert await reader.read("s", 3) == []
        assert await reader.read("s", 999_999_999) == []
        assert await reader.get("s") == replace(made, last=3)


@pytest.mark.parametrize("text", ["é\u2028\x85\ufeff😀", "\x00\x1b\r\n\\\"'", "x" * (FRAME_LIMIT - 300)])
async def test_an_event_comes_back_to_the_byte(log: StreamLog, text: str) -> None:
    await log.create(record())
    entry = to_entry(Token(text), 1)
    await log.append("s", "p", entry)
    assert await log.read("s", 0) == [entry]


async def test_an_event_is_written_once(log: StreamLog, store: Store) -> None:
    await log.create(record())
    await log.append("s", "p", to_entry(Token("mine"), 1))
    with pytest.raises(Fenced):
        await store.log().append("s", "other", to_entry(Token("theirs"), 1))
    assert [entry.data for entry in await log.read("s", 0)] == ['{"text":"mine"}']


async def test_of_producers_at_the_same_time_one_writes(log: StreamLog, store: Store) -> None:
    await log.create(record())
    logs = [log, store.log()] * 4
    writing = [each.append("s", f"p{at}", to_entry(Token(f"{at}"), 1)) for at, each in enumerate(logs)]
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    (winner,) = (at for at, outcome in enumerate(outcomes) if outcome is None)
    assert sum(isinstance(outcome, Fenced) for outcome in outcomes) == len(logs) - 1
    assert await log.read("s", 0) == [Entry(1, "token", f'{{"text":"{winner}"}}')]


async def test_a_final_event_ends_the_stream(log: StreamLog) -> None:
    await log.create(record())
    await log.append("s", "p", to_entry(Token("a"), 1))
    assert (await record_of(log, "s")).ended_at is None
    await log.append("s", "p", to_entry(done("s"), 2))
    ended_at = (await record_of(log, "s")).ended_at
    assert ended_at is not None
    assert abs(ended_at - time.time()) < 60
    await log.request_cancel("s")
    assert not (await record_of(log, "s")).cancelled
    await log.renew("s", "p", time.time() + 100)  # a watch that comes too late
    assert (await record_of(log, "s")).ended_at == ended_at


async def test_a_store_that_fails_says_so_to_everyone(log: StreamLog, store: Store) -> None:
    await log.create(record())
    await store.fail()
    for call in (
        log.create(record("t")),
        log.get("s"),
        log.append("s", "p", to_entry(Token("a"), 1)),
        log.read("s", 0),
        log.renew("s", "p", 1.0),
        log.note_sources("s", "p", ["d"]),
        log.request_cancel("s"),
    ):
        with pytest.raises(StoreUnavailable):
            await call


# --- hubs that share a log


def frames(read: list[Entry], stream_id: str) -> list[bytes]:
    return [to_frame(entry, stream_id) for entry in read]


async def test_readers_of_other_processes_get_the_same_bytes(hub: Hub, other_hub: Hub) -> None:
    go_on = asyncio.Event()
    citation = Citation(1, "d", "größe.md", "kb", "„Zitat“ 😀", 3, 12, None, "§ 1", 0.5, 1 / 3)
    stream_id = await hub.start(
        "me", producing(Sources(("d",)), Token("日本"), Token("\n\u2028"), go_on, Token("b"), citation), kb_ids=["kb"]
    )
    there = other_hub.follow(stream_id)
    early = [await anext(there), await anext(there)]
    record = await other_hub.record(stream_id)
    assert record is not None
    assert (record.kb_ids, record.documents, record.last, record.ended_at) == (("kb",), ("d",), 2, None)
    resumed = asyncio.create_task(entries(other_hub, stream_id, after=1))
    go_on.set()
    everything = frames(await entries(hub, stream_id), stream_id)
    assert [frame.split(b"\n")[0] for frame in everything] == [
        *[b"event: token"] * 3,
        b"event: citation",
        b"event: done",
    ]
    assert frames([entry async for entry in there if entry], stream_id) == everything[2:]
    assert frames([entry for entry in early if entry], stream_id) == everything[:2]
    assert frames(await resumed, stream_id) == everything[1:]
    for after in range(len(everything) + 1):
        assert frames(await entries(other_hub, stream_id, after), stream_id) == everything[after:]


async def test_another_process_can_cancel(hub: Hub, other_hub: Hub) -> None:
    stream_id = await hub.start("me", producing(Token("a"), asyncio.Event()))
    reader = other_hub.follow(stream_id)
    assert await anext(reader) == Entry(1, "token", '{"text":"a"}')
    await other_hub.cancel(stream_id)
    last = await anext(reader)
    assert last is not None
    assert json.loads(last.data)["code"] == "cancelled"
    assert await entries(hub, stream_id, after=1) == [last]


async def test_a_lost_producers_stream_is_sealed_by_whoever_reads_it(log: StreamLog, hub: Hub, other_hub: Hub) -> None:
    await log.create(record(lease=-1.0))
    await log.append("s", "p", to_entry(Token("a"), 1))
    both = await asyncio.gather(entries(hub, "s"), entries(other_hub, "s"))
    assert both[0] == both[1]
    assert [entry.n for entry in both[0]] == [1, 2]
    assert json.loads(both[0][-1].data)["code"] == "producer_lost"
    assert (await record_of(log, "s")).ended_at is not None
    with pytest.raises(Fenced):  # the producer was not lost but late
        await log.append("s", "p", to_entry(Token("b"), 2))


async def test_a_producer_that_was_taken_over_stops_and_its_readers_go_on_from_the_log(
    hub: Hub, log: StreamLog
) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("never sent"), asyncio.Event()))
    reader = hub.follow(stream_id)
    first = await anext(reader)
    await log.append(stream_id, "another", to_entry(done(stream_id), 2))
    go_on.set()
    assert [first, *[entry async for entry in reader]] == await log.read(stream_id, 0)


async def test_a_producer_that_was_taken_over_notices_while_it_has_nothing_to_write(hub: Hub, log: StreamLog) -> None:
    stream_id = await hub.start("me", producing(Token("a"), asyncio.Event()))
    reader = hub.follow(stream_id)
    first = await anext(reader)
    await log.append(stream_id, "another", to_entry(done(stream_id), 2))
    assert [first, *[entry async for entry in reader]] == await log.read(stream_id, 0)


async def test_the_lease_is_renewed(store: Store) -> None:
    hub = Hub(store.log(), Limits(lease=1, cancel_poll=0.01))
    stream_id = await hub.start("me", producing(asyncio.Event()))
    first = await hub.record(stream_id)
    assert first is not None
    while (now := await hub.record(stream_id)) is not None and now.lease_until == first.lease_until:
        await asyncio.sleep(0)
    assert now is not None
    assert now.lease_until > first.lease_until
    await hub.aclose()


async def test_when_the_log_fails_the_stream_goes_on_without_ids(
    hub: Hub, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("b")))
    reader = hub.follow(stream_id)
    first = await anext(reader)
    assert first == Entry(1, "token", '{"text":"a"}')
    await store.fail()
    go_on.set()
    assert [(entry.n, entry.event) async for entry in reader if entry] == [(None, "token"), (None, "done")]
    assert "goes on without ids" in caplog.text


async def test_a_log_that_fails_refuses_the_start_and_breaks_off_readers_of_other_processes(
    hub: Hub, other_hub: Hub, store: Store
) -> None:
    stream_id = await hub.start("me", producing(Token("a"), asyncio.Event()))
    reader = other_hub.follow(stream_id)
    await anext(reader)
    await store.fail()
    with pytest.raises(StoreUnavailable):
        await anext(reader)
    with pytest.raises(StoreUnavailable):
        await hub.start("me", producing())
