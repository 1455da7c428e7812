"""Keys and slots: one production for a repeated request, and no more than a few at a time; the same on every store."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from citestream.errors import StoreUnavailable
from citestream.model import Event, Token
from citestream.streams.admission import Claim, KeyReused, RequestKey, Slot, TooManyAnswers, request_key
from citestream.streams.entry import to_entry, to_frame
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog, StreamRecord
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import LIMITS, Produce, SqliteStore, Store, done, entries, producing, record_of
from tests.virtual_time import STREAMS, Clock, told_by

TABLES = ("streams", "events", "keys", "slots")
KEY = request_key("me", "key", "question")
OTHER_REQUEST = replace(KEY, digest="another")


@pytest.fixture
async def hubs(store: Store) -> AsyncGenerator[list[Hub]]:
    """Four processes'."""
    hubs = [Hub(store.log(), LIMITS) for _ in range(4)]
    yield hubs
    for hub in hubs:
        await hub.aclose()


@pytest.fixture
def hub(hubs: list[Hub]) -> Hub:
    return hubs[0]


def slot(log: StreamLog, stream_id: str, owner: str = "me") -> Slot:
    return Slot(log.admission, owner, stream_id)


async def take(log: StreamLog, stream_id: str, *, owner: str = "me", lease: float = 10.0, limit: int = 3) -> bool:
    return await slot(log, stream_id, owner).take(time.time() + lease, limit) is None


# --- slots


@pytest.mark.parametrize("owner", ["me", "auth0|日本 😀 \"' \x00", "x" * 3000])
async def test_there_are_as_many_slots_as_the_limit_says(log: StreamLog, store: Store, owner: str) -> None:
    other = store.log()
    assert [await take(each, f"s{n}", owner=owner) for n, each in enumerate([log, other, log, other])] == [
        *(True, True, True),
        False,
    ]
    assert await take(log, "s", owner="somebody else")
    await slot(other, "s0", owner).release()
    assert [await take(log, stream_id, owner=owner) for stream_id in ("s4", "s5")] == [True, False]


async def test_of_many_at_the_same_time_as_many_get_a_slot_as_there_are(log: StreamLog, store: Store) -> None:
    logs = [log, store.log()] * 10
    taken = await asyncio.gather(*(take(each, f"s{n}") for n, each in enumerate(logs)))
    assert sum(taken) == 3


async def test_who_gets_no_slot_is_told_when_the_next_one_expires(log: StreamLog) -> None:
    for n, lease in enumerate([300.0, 100.0, 200.0]):
        assert await take(log, f"s{n}", lease=lease)
    until = time.time() + 10
    for limit, seconds in [(3, 100), (2, 200), (1, 300)]:
        told = await slot(log, "s").take(until, limit)
        assert told is not None
        assert 0 <= seconds - told < 30


async def test_a_slot_that_has_expired_is_free_and_one_that_was_renewed_is_not(log: StreamLog) -> None:
    for stream_id, lease in [("alive", 10.0), ("lost", -1.0), ("lost, too", -1.0), ("renewed", -1.0)]:
        assert await take(log, stream_id, lease=lease, limit=9)
    await slot(log, "renewed").renew(time.time() + 10)
    assert [await take(log, stream_id) for stream_id in ("s1", "s2")] == [True, False]


async def test_a_slot_is_renewed_and_released_by_those_who_have_it(log: StreamLog) -> None:
    assert await take(log, "mine", limit=1)
    for never_taken in (slot(log, "another"), slot(log, "mine", owner="nobody")):
        await never_taken.renew(time.time() + 10)
        await never_taken.release()
    assert not await take(log, "s", limit=1)
    await slot(log, "mine").release()
    await slot(log, "mine").renew(time.time() + 10)  # a watch that comes too late
    await slot(log, "mine").release()
    assert await take(log, "s", limit=1)


# --- claims


def claim(stream_id: str, claimed_at: float | None = None) -> Claim:
    return Claim(stream_id, "digest", time.time() if claimed_at is None else claimed_at)


async def test_a_key_is_claimed_once(log: StreamLog, store: Store) -> None:
    assert await log.admission.claimed("k") is None
    logs = [log, store.log()] * 4
    standing = await asyncio.gather(*(each.admission.claim("k", claim(f"s{n}")) for n, each in enumerate(logs)))
    assert len(set(standing)) == 1
    assert await log.admission.claimed("k") == standing[0]
    assert await log.admission.claimed("another key") is None


async def test_a_claim_is_replaced_by_who_knows_that_it_is_stale(log: StreamLog) -> None:
    old, new = claim("old", 5.0), claim("new")
    assert await log.admission.claim("k", old) == old
    assert await log.admission.claim("k", new, stale="older") == old
    assert await log.admission.claim("k", new, stale="old") == new
    assert await log.admission.claim("k", claim("late"), stale="old") == new
    assert await log.admission.claimed("k") == new


async def test_a_claim_is_withdrawn_by_who_has_made_it(log: StreamLog) -> None:
    made = claim("s")
    await log.admission.claim("k", made)
    await log.admission.withdraw("k", "another")
    await log.admission.withdraw("another key", "s")
    assert await log.admission.claimed("k") == made
    await log.admission.withdraw("k", "s")
    assert (left := await log.admission.claimed("k")) is None or left.claimed_at == 0


async def test_a_store_that_fails_says_so_to_everyone(log: StreamLog, store: Store) -> None:
    await log.create(StreamRecord("s", "me", "p", time.time() + 10))
    await store.fail()
    for call in (
        log.admission.claimed("k"),
        log.admission.claim("k", claim("s")),
        log.admission.withdraw("k", "s"),
        slot(log, "s").take(1.0, 3),
        slot(log, "s").renew(1.0),
        slot(log, "s").release(),
    ):
        with pytest.raises(StoreUnavailable):
            await call


# --- a limit of answers


async def forever(stream_id: str) -> AsyncGenerator[Event]:
    yield Token("a")
    await asyncio.Event().wait()


async def admit(hub: Hub, produce: Produce = forever, key: RequestKey | None = None, owner: str = "me") -> str:
    return (await hub.admit(owner, produce, key=key)).stream_id


async def test_one_answer_more_than_the_limit_is_refused_wherever_it_is_asked_for(hubs: list[Hub]) -> None:
    for hub in hubs[:3]:
        await admit(hub)
    for hub in hubs:
        with pytest.raises(TooManyAnswers) as refused:
            await admit(hub)
        assert 0 < refused.value.seconds <= LIMITS.lease
    await admit(hubs[3], owner="somebody else")
    await hubs[3].start("me", forever)  # on this machine, by its command line


class Endless:
    """A source that never ends."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __call__(self, stream_id: str) -> AsyncGenerator[Event]:
        try:
            yield Token("a")
            await asyncio.Event().wait()
        finally:
            self.closed.set()


@pytest.mark.parametrize("how", ["done", "failure", "unforeseen", "cancelled here", "cancelled there", "timeout"])
async def test_who_has_seen_the_end_has_the_slot_back(store: Store, hubs: list[Hub], how: str) -> None:
    limits = replace(LIMITS, answers=1, answer=0.05 if how == "timeout" else LIMITS.answer)
    here, there = Hub(store.log(), limits), hubs[0]
    there.limits = limits
    go_on = asyncio.Event()
    ends: dict[str, Produce] = {
        "failure": producing(go_on, StoreUnavailable("the index")),
        "unforeseen": producing(go_on, ZeroDivisionError()),
        "done": producing(go_on),
    }
    stream_id = await admit(here, ends.get(how, Endless()))
    if how != "timeout":
        with pytest.raises(TooManyAnswers):
            await admit(there)
    go_on.set()
    if how.startswith("cancelled"):
        await (here if how == "cancelled here" else there).cancel(stream_id)
    assert [entry.final for entry in await entries(there, stream_id)][-1]
    assert await entries(there, await admit(there, producing()))
    await here.aclose()


async def test_a_reader_that_leaves_leaves_the_slot_to_its_answer(hub: Hub) -> None:
    hub.limits = replace(LIMITS, answers=1)
    go_on = asyncio.Event()
    stream_id = await admit(hub, producing(Token("a"), go_on))
    reader = hub.follow(stream_id)
    await anext(reader)
    await reader.aclose()
    with pytest.raises(TooManyAnswers):
        await admit(hub)
    go_on.set()
    await entries(hub, stream_id)
    await admit(hub)


async def test_a_producer_that_was_taken_over_gives_its_slot_back(store: Store, hub: Hub, log: StreamLog) -> None:
    hub.limits = replace(LIMITS, answers=1)
    began, go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        began.set()
        try:
            await go_on.wait()
            yield Token("a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream_id = await admit(hub, produce)
    await began.wait()
    await log.append(stream_id, "another", to_entry(done(stream_id), 1))
    go_on.set()  # it may have noticed before
    await closed.wait()  # though it had nothing more to write
    while True:
        try:
            assert await admit(hub)
            return
        except TooManyAnswers:
            await asyncio.sleep(0.01)


async def test_a_lost_producers_slot_is_free_when_its_stream_has_ended(hub: Hub, log: StreamLog) -> None:
    hub.limits = replace(LIMITS, answers=1)
    await log.create(StreamRecord("lost", "me", "p", time.time() - 1))
    assert await take(log, "lost", lease=5.0, limit=1)  # was renewed, when its stream could not be
    (end,) = await entries(hub, "lost")
    assert json.loads(end.data)["code"] == "producer_lost"
    await admit(hub)


async def test_the_slot_is_renewed_with_the_stream(store: Store, log: StreamLog) -> None:
    clock = Clock()
    with told_by(clock, *STREAMS):
        hub = Hub(store.log(), replace(LIMITS, lease=60, answers=1))
        stream_id = await admit(hub)
        for _ in range(12):
            clock.now += 10
            # Each third of a lease, and no more than a step later.
            while (await record_of(log, stream_id)).lease_until <= clock.now + 30:
                await asyncio.sleep(0)
            with pytest.raises(TooManyAnswers):
                await admit(hub)
        await hub.aclose()


async def test_what_can_not_begin_leaves_neither_slot_nor_key(
    hubs: list[Hub], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = store.log()
    failing = Hub(log, replace(LIMITS, answers=1))

    async def create(record: StreamRecord) -> None:
        raise StoreUnavailable("throttled")

    with monkeypatch.context() as patch:
        patch.setattr(log, "create", create)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="throttled"):
                await admit(failing, key=KEY)
    hubs[0].limits = failing.limits
    assert (await hubs[0].admit("me", forever, key=KEY)).is_new
    await failing.aclose()


async def test_where_the_store_fails_nothing_begins(hub: Hub, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await entries(hub, await admit(hub, producing()))
    await store.fail()
    for key in (None, KEY):
        with pytest.raises(StoreUnavailable):
            await admit(hub, key=key)
    assert "may have left a slot or a key" in caplog.text


# --- keys


class Counted:
    """A source that counts how often it is asked, and ends when it may."""

    def __init__(self) -> None:
        self.times = 0
        self.go_on = asyncio.Event()

    async def __call__(self, stream_id: str) -> AsyncGenerator[Event]:
        self.times += 1
        yield Token(f"answer {self.times}")
        await self.go_on.wait()
        yield Token(" ends")
        yield done(stream_id)


async def test_fifty_requests_with_one_key_get_the_same_bytes_of_one_production(hubs: list[Hub]) -> None:
    source = Counted()

    async def ask(hub: Hub) -> bytes:
        stream_id = await admit(hub, source, KEY)
        read = b"".join([to_frame(entry, stream_id) async for entry in hub.follow(stream_id) if entry])
        assert read.endswith(f"id: {stream_id}-3\n\n".encode())
        return read

    asking = [asyncio.create_task(ask(hub)) for hub in hubs for _ in range(12 if hub is hubs[0] else 13)][:50]
    await asyncio.sleep(0)
    source.go_on.set()
    assert len(asking) == 50
    assert len(set(await asyncio.gather(*asking))) == 1
    assert source.times == 1


async def test_who_joins_takes_no_slot(hubs: list[Hub]) -> None:
    for hub in hubs:
        hub.limits = replace(LIMITS, answers=1)
    admitted = [await hub.admit("me", forever, key=KEY) for hub in hubs]
    assert [each.is_new for each in admitted] == [True, False, False, False]
    assert len({each.stream_id for each in admitted}) == 1
    assert await hubs[1].stream_of(KEY) == admitted[0].stream_id


async def test_a_key_stands_for_one_request_of_one_caller(hubs: list[Hub]) -> None:
    first = await admit(hubs[0], key=KEY)
    for hub in hubs[:2]:
        with pytest.raises(KeyReused):
            await hub.stream_of(OTHER_REQUEST)
        with pytest.raises(KeyReused):
            await admit(hub, key=OTHER_REQUEST)
    assert await admit(hubs[1], key=request_key("you", "key", "question")) != first


@pytest.mark.parametrize("key", [KEY, OTHER_REQUEST], ids=["same", "another"])
async def test_a_key_is_free_when_its_stream_is_no_longer_kept(store: Store, key: RequestKey) -> None:
    hub = Hub(store.log(), replace(LIMITS, retention=0.0))
    first = await admit(hub, producing(), KEY)
    await entries(hub, first)
    assert await hub.stream_of(key) is None
    assert await admit(hub, producing(), key) != first
    await hub.aclose()


async def test_within_its_retention_a_stream_that_has_ended_is_joined(hubs: list[Hub]) -> None:
    first = await admit(hubs[0], producing(Token("a")), KEY)
    everything = await entries(hubs[0], first)
    assert await admit(hubs[1], forever, KEY) == first
    assert await entries(hubs[1], first) == everything


async def test_a_key_whose_request_was_refused_is_free(hubs: list[Hub]) -> None:
    taken = [await admit(hubs[0]) for _ in range(3)]
    for hub in hubs[:2]:
        with pytest.raises(TooManyAnswers):
            await admit(hub, key=KEY)
        assert await hub.stream_of(KEY) is None
    await hubs[0].cancel(taken[0])
    await entries(hubs[0], taken[0])
    assert (await hubs[1].admit("me", forever, key=OTHER_REQUEST)).is_new


async def test_a_lost_producers_key_stands_for_its_stream_as_long_as_for_others(hub: Hub, log: StreamLog) -> None:
    for stream_id, lease, joined in [("lost", -1.0, True), ("long ago", -LIMITS.retention - 1, False)]:
        key = request_key("me", stream_id, "question")
        await log.admission.claim(key.name, Claim(stream_id, key.digest, time.time()))
        await log.create(StreamRecord(stream_id, "me", "p", time.time() + lease))
        assert (await admit(hub, key=key) == stream_id) == joined


async def test_a_stream_that_has_its_key_and_does_not_begin_is_waited_for(
    hub: Hub, log: StreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.admission.claim(KEY.name, Claim("s", KEY.digest, time.time()))
    with pytest.raises(KeyReused):
        await hub.stream_of(OTHER_REQUEST)
    monkeypatch.setattr("citestream.streams.keys._PATIENCE_SECONDS", 0.1)
    with pytest.raises(StoreUnavailable, match="does not begin"):
        await admit(hub, key=KEY)
    monkeypatch.setattr("citestream.streams.keys._PATIENCE_SECONDS", 20.0)
    waiting = asyncio.create_task(admit(hub, key=KEY))
    await asyncio.sleep(0)
    await log.create(StreamRecord("s", "me", "p", time.time() + 10))
    assert await waiting == "s"


async def withdrawn(log: StreamLog) -> None:
    await log.admission.withdraw(KEY.name, "s")


async def replaced(log: StreamLog) -> None:
    await log.admission.claim(KEY.name, Claim("t", KEY.digest, time.time()), stale="s")
    await log.create(StreamRecord("t", "me", "p", time.time() + 10))


@pytest.mark.parametrize(("change", "joined"), [(withdrawn, False), (replaced, True)])
async def test_a_claim_may_go_while_it_is_waited_for(
    hub: Hub, log: StreamLog, change: Callable[[StreamLog], Awaitable[None]], joined: bool
) -> None:
    await log.admission.claim(KEY.name, Claim("s", KEY.digest, time.time()))
    waiting = asyncio.create_task(admit(hub, key=KEY))
    await asyncio.sleep(0.05)
    await change(log)
    assert (await waiting == "t") == joined


async def test_a_process_that_crashed_between_key_and_stream_keeps_nobody_waiting_for_ever(
    hubs: list[Hub], log: StreamLog
) -> None:
    await log.admission.claim(KEY.name, Claim("s", KEY.digest, time.time() - 16))
    assert await hubs[0].stream_of(OTHER_REQUEST) is None
    admitted = await asyncio.gather(*(hub.admit("me", forever, key=KEY) for hub in hubs))
    assert sorted(each.is_new for each in admitted) == [False, False, False, True]
    assert len({each.stream_id for each in admitted}) == 1


# --- what is told, and what is left


async def test_the_end_of_an_answer_is_one_line_in_the_log(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "citestream.streams")
    other, go_on = await admit(hub), asyncio.Event()
    stream_id = await admit(hub, producing(Token("a"), go_on, Token("b")))
    for _ in range(2):
        lost = hub.follow(stream_id)
        await anext(lost)
        await lost.aclose()
    reader = asyncio.create_task(entries(hub, stream_id, after=1))
    await asyncio.sleep(0)
    go_on.set()
    await reader
    await hub.cancel(other)
    await entries(hub, other)
    first, second = (record for record in caplog.records if record.getMessage().startswith("stream ended: "))
    told = vars(first)
    assert {name: told[name] for name in ("stream_id", "ended", "events", "log_failed", "streams_open")} == {
        "stream_id": stream_id,
        "ended": "stop",
        "events": 3,
        "log_failed": False,
        "streams_open": 1,
    }
    assert (told["readers"], told["readers_lost"], told["readers_back"]) == (3, 2, 2)
    assert 0 <= told["first_token_seconds"] <= told["seconds"] < 30
    assert f"stream_id={stream_id} ended=stop seconds=" in first.getMessage()
    assert (vars(second)["ended"], vars(second)["streams_open"]) == ("cancelled", 0)


async def test_nothing_is_left_of_many_answers(store: Store) -> None:
    """Neither tasks nor descriptors, nor anything in the store but what is to be read for a while."""
    each = 25 if isinstance(store, SqliteStore) else 5
    hub = Hub(store.log(), replace(LIMITS, answers=8))
    await entries(hub, await admit(hub, producing(Token("a")), request_key("me", "first", "question")))
    tasks, descriptors = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))

    async def one_after_another(name: str) -> None:
        for n in range(each):
            ends = {0: producing(), 1: producing(ZeroDivisionError()), 2: forever}
            key = request_key("me", f"{name}{n}", "question")
            stream_id = await admit(hub, ends[n % 3], key)
            reader = hub.follow(stream_id)
            if n % 3 == 2:
                await anext(reader)
                await reader.aclose()
                await hub.cancel(stream_id)
            assert (await entries(hub, stream_id))[-1].final

    await asyncio.gather(*map(one_after_another, "abcdefgh"))
    while asyncio.all_tasks() != tasks:
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 16  # connections to AWS, of which boto3 keeps some
    taken = [await hub.admit("me", forever) for _ in range(8)]
    assert len(taken) == 8
    await hub.aclose()


async def test_of_what_is_no_longer_kept_nothing_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    log = SqliteStreamLog(path, keep=0.0)
    hub = Hub(log, replace(LIMITS, retention=0.0))
    await log.admission.claim("crashed", Claim("never began", "digest", time.time() - 60))
    await log.admission.take_slot("nobody", "never began", time.time() - 60, 3)
    for n in range(20):
        await entries(hub, await admit(hub, producing(Token("a")), request_key("me", f"{n}", "question")))
    await asyncio.sleep(0.01)
    last = await admit(hub, producing(), request_key("me", "last", "question"))
    await entries(hub, last)
    with closing(sqlite3.connect(path)) as file:
        counts = [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
    assert max(counts[:3]) <= 2  # what the last one's own end came too early for
    assert counts[3] == 0
    await hub.aclose()
