"""One event is written while the next is collected: never two at a time, and none is shown before it is written."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest

from citestream.model import Event, Token
from citestream.streams.entry import Entry, to_entry
from citestream.streams.hub import Hub
from citestream.streams.log import Fenced
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import LIMITS, done, entries, producing


class Held(SqliteStreamLog):
    """A log whose writes take until the test lets them go on; what they then raise, if anything."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, keep=3600)
        self.begun: asyncio.Queue[int | None] = asyncio.Queue()
        self.may_go_on = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None:
        self.begun.put_nowait(entry.n)
        await self.may_go_on.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        await super().append(stream_id, producer, entry)

    def go_on(self, times: int = 1) -> None:
        for _ in range(times):
            self.may_go_on.release()


@pytest.fixture
async def log(tmp_path: Path) -> Held:
    return Held(tmp_path / "streams.db")


@pytest.fixture
async def hub(log: Held) -> AsyncGenerator[Hub]:
    hub = Hub(log, LIMITS)
    yield hub
    log.go_on(100)
    await hub.aclose()


class Source:
    """Tells how far it has been read."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.read: asyncio.Queue[str] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, stream_id: str) -> AsyncGenerator[Event]:
        try:
            for text in self._texts:
                yield Token(text)
                self.read.put_nowait(text)
            await self.end.wait()
            yield done(stream_id)
        finally:
            self.closed.set()


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_source_is_read_while_its_events_are_written_one_at_a_time(hub: Hub, log: Held) -> None:
    source = Source("a", "b", "c")
    stream_id = await hub.start("me", source)
    assert await log.begun.get() == 1
    assert [await source.read.get() for _ in range(3)] == ["a", "b", "c"]
    for n in (2, 3):
        await turns()
        assert log.begun.empty()
        log.go_on()
        assert await log.begun.get() == n
    source.end.set()
    log.go_on(2)
    assert [entry.n for entry in await entries(hub, stream_id)] == [1, 2, 3, 4]


async def test_nothing_is_shown_before_it_is_written(hub: Hub, log: Held) -> None:
    stream_id = await hub.start("me", Source("a", "b"))
    reading = asyncio.ensure_future(anext(hub.follow(stream_id)))
    assert await log.begun.get() == 1
    await turns()
    assert not reading.done()
    log.go_on()
    assert await reading == to_entry(Token("a"), 1)


async def test_the_end_waits_for_the_write_that_is_under_way(hub: Hub, log: Held) -> None:
    source = Source("a")
    stream_id = await hub.start("me", source)
    assert await log.begun.get() == 1
    await hub.cancel(stream_id)
    await turns()
    assert log.begun.empty()
    log.go_on(2)
    assert [(entry.n, entry.event) for entry in await entries(hub, stream_id)] == [(1, "token"), (2, "failure")]
    await source.closed.wait()


async def test_who_is_fenced_off_stops_though_its_source_has_nothing_to_say(hub: Hub, log: Held) -> None:
    source = Source("a")
    stream_id = await hub.start("me", source)
    await log.begun.get()
    log.error = Fenced("event 1 stands already")
    log.go_on()
    await source.closed.wait()
    assert await log.read(stream_id, 0) == []


async def test_an_end_that_is_fenced_off_is_not_shown(hub: Hub, log: Held) -> None:
    stream_id = await hub.start("me", producing())
    await log.begun.get()
    await SqliteStreamLog.append(log, stream_id, "another", to_entry(done("another"), 1))
    log.go_on()
    assert [json.loads(entry.data)["stream_id"] for entry in await entries(hub, stream_id)] == ["another"]


@pytest.mark.parametrize("more", [[], ["b"]])
async def test_a_write_that_fails_as_nobody_foresaw_ends_the_answer(
    hub: Hub, log: Held, more: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    source = Source("a", *more)
    stream_id = await hub.start("me", source)
    await log.begun.get()
    log.error = KeyError("lease")
    log.go_on(2)
    source.end.set()
    assert [(entry.n, entry.event) for entry in await entries(hub, stream_id)] == [(1, "failure")]
    assert "KeyError: 'lease'" in caplog.text


async def test_closing_leaves_no_write_behind(hub: Hub, log: Held) -> None:
    before = asyncio.all_tasks()
    await hub.start("me", Source("a", "b"))
    await log.begun.get()
    closing_hub = asyncio.create_task(hub.drain())
    await turns()
    assert not closing_hub.done()
    log.go_on(3)
    await closing_hub
    await turns()
    assert asyncio.all_tasks() == before


async def test_a_slot_that_can_not_be_released_does_not_keep_the_answer_from_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), LIMITS)
    go_on = asyncio.Event()
    stream_id = (await hub.admit("me", producing(Token("a"), go_on))).stream_id
    with closing(sqlite3.connect(tmp_path / "streams.db")) as file, file:
        file.execute("DROP TABLE slots")
    go_on.set()
    assert [entry.event for entry in await entries(hub, stream_id)] == ["token", "done"]
    assert "keeps its slot until that expires" in caplog.text
    await hub.aclose()
