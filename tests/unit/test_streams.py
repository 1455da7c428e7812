"""The log, the production that writes it, and the readers that follow."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from citestream.answer.answerer import AnswerError
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Event, Passage, Results, Token
from citestream.sse.frames import FRAME_LIMIT
from citestream.streams.entry import Entry, split_results, to_entry, to_frame
from citestream.streams.hub import Hub
from citestream.streams.log import Fenced, StreamRecord
from citestream.streams.production import Limits
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import LIMITS, Produce, done, entries, producing, record_of
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry


def passage(text: str) -> Passage:
    return Passage("c", "d", "name", "kb", text, 0, len(text), None, None, 1.0)


# --- a log in a file that others use, too


@contextmanager
def locked(log_path: Path) -> Generator[None]:
    """Another process's write to the file, which takes as long as the block."""
    with closing(sqlite3.connect(log_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_reading_does_not_wait_for_a_write_that_waits(log: SqliteStreamLog, tmp_path: Path) -> None:
    await log.create(StreamRecord("s", "me", "p", 1.0))
    await log.append("s", "p", to_entry(Token("a"), 1))
    with locked(tmp_path / "streams.db"):
        writing = asyncio.create_task(log.append("s", "p", to_entry(Token("b"), 2)))
        await asyncio.sleep(0)  # it is before us
        assert (await record_of(log, "s")).last == 1
        assert [entry.n for entry in await log.read("s", 0)] == [1]
        assert not writing.done()
    await writing
    assert [entry.n for entry in await log.read("s", 0)] == [1, 2]


async def test_writes_that_wait_in_a_row_wait_no_longer_than_one(
    log: SqliteStreamLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.create(StreamRecord("s", "me", "p", 1.0))
    monkeypatch.setattr("citestream.streams.sqlite_file._PATIENCE_SECONDS", 1.0)
    with locked(tmp_path / "streams.db"):
        started = time.monotonic()
        outcomes = await asyncio.gather(*(log.renew("s", "p", 2.0) for _ in range(30)), return_exceptions=True)
        took = time.monotonic() - started
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 30
    assert took < 15  # one after another they would have taken thirty


@pytest.mark.parametrize(
    ("version", "content", "error", "message"),
    [
        (
            0,
            b"not a database, but long enough to look at" * 100,
            StoreUnavailable,
            r"streams\.db: file is not a database",
        ),
        (99, b"", WrongIndex, r"streams\.db has schema version 99, this program needs 3: move it away"),
    ],
)
async def test_a_file_that_can_not_be_the_log_is_noticed(
    tmp_path: Path, version: int, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "streams.db"
    path.write_bytes(content)
    if version:
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(f"PRAGMA user_version = {version}")
    log = SqliteStreamLog(path, keep=3600)
    with pytest.raises(error, match=message):
        log.check()
    with pytest.raises(StoreUnavailable, match=message):  # later, it is a store like any other that does not answer
        await log.get("s")
    await log.aclose()


async def test_a_new_log_passes(tmp_path: Path) -> None:
    log = SqliteStreamLog(tmp_path / "new" / "streams.db", keep=3600)
    log.check()
    assert await log.get("s") is None
    await log.aclose()


async def test_a_file_of_the_version_before_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    with closing(sqlite3.connect(path)) as file:
        file.executescript("""
            CREATE TABLE streams (
                stream_id TEXT PRIMARY KEY, owner TEXT NOT NULL, producer TEXT NOT NULL, lease_until REAL NOT NULL,
                ended_at REAL, cancelled INTEGER NOT NULL DEFAULT 0
            ) WITHOUT ROWID;
            CREATE INDEX streams_by_end ON streams (ifnull(ended_at, lease_until));
            CREATE TABLE events (
                stream_id TEXT NOT NULL, n INTEGER NOT NULL, producer TEXT NOT NULL, event TEXT NOT NULL,
                data TEXT NOT NULL, PRIMARY KEY (stream_id, n)
            ) WITHOUT ROWID;
            INSERT INTO streams VALUES ('old', 'me', 'p', 9e9, NULL, 0);
            INSERT INTO events VALUES ('old', 1, 'p', 'token', '{}');
            PRAGMA user_version = 1;
        """)
    log = SqliteStreamLog(path, keep=3600)
    log.check()
    assert (await log.get("old"), await log.read("old", 0)) == (None, [])
    await log.create(StreamRecord("new", "me", "p", 9e9, kb_ids=("kb",)))
    await log.append("new", "p", to_entry(Token("a"), 1))
    assert await log.get("new") == StreamRecord("new", "me", "p", 9e9, last=1, kb_ids=("kb",))
    await log.aclose()


# --- entries


def test_only_the_first_frame_announces_the_reconnection_time() -> None:
    token = Token("x")
    assert to_frame(to_entry(token, 1), "s") == b'event: token\ndata: {"text":"x"}\nretry: 1500\nid: s-1\n\n'
    assert to_frame(to_entry(token, 2), "s") == b'event: token\ndata: {"text":"x"}\nid: s-2\n\n'


def test_an_entry_that_is_not_in_the_log_has_no_id() -> None:
    assert to_frame(to_entry(Token("x"), None), "s") == b'event: token\ndata: {"text":"x"}\n\n'


@pytest.mark.parametrize("text", ["a" * 2000, "日" * 2000, "😀" * 2000, '"\\' * 1000])
def test_results_take_as_many_frames_as_they_need(text: str) -> None:
    passages = [passage(text)] * 20
    parts = list(split_results(passages))
    assert [each for part in parts for each in part.results] == passages
    assert all(len(to_frame(to_entry(part, 1), "s" * 32)) <= FRAME_LIMIT for part in parts)
    assert len(parts) > 1


def test_no_results_are_one_empty_frame() -> None:
    assert list(split_results([])) == [Results(())]


# --- the log


async def test_old_streams_are_removed_when_another_one_ends(tmp_path: Path) -> None:
    log = SqliteStreamLog(tmp_path / "streams.db", keep=1000)
    now = time.time()
    for stream_id, lease_until in [("lost long ago", now - 1001), ("lost", now - 900), ("alive", now + 10)]:
        await log.create(StreamRecord(stream_id, "me", "p", lease_until))
        await log.append(stream_id, "p", to_entry(Token("x"), 1))
    assert await log.get("lost long ago") is not None
    await log.append("alive", "p", to_entry(done("alive"), 2))
    assert await log.get("lost long ago") is None
    assert await log.read("lost long ago", 0) == []
    assert await log.get("lost") is not None
    assert len(await log.read("alive", 0)) == 2
    await log.aclose()
    late = SqliteStreamLog(tmp_path / "streams.db", keep=-60)
    await late.append("lost", "p", to_entry(done("lost"), 2))
    assert [await late.get(stream_id) for stream_id in ("lost", "alive")] == [None, None]
    await late.aclose()


# --- production and readers


async def test_every_reader_gets_every_event_whenever_it_comes(hub: Hub) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("b")))
    early = asyncio.create_task(entries(hub, stream_id))
    while not (record := await hub.record(stream_id)) or record.last < 1:
        await asyncio.sleep(0)
    middle = asyncio.create_task(entries(hub, stream_id, after=1))
    go_on.set()
    all_of_it = await early
    assert [entry.event for entry in all_of_it] == ["token", "token", "done"]
    assert [entry.n for entry in all_of_it] == [1, 2, 3]
    assert await middle == all_of_it[1:]
    assert await entries(hub, stream_id) == all_of_it
    assert await entries(hub, stream_id, after=2) == all_of_it[2:]


async def test_what_is_appended_while_a_reader_takes_its_time_does_not_wait_for_the_next_event(hub: Hub) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("b"), asyncio.Event()))
    reader = hub.follow(stream_id)
    assert await anext(reader) == Entry(1, "token", '{"text":"a"}')
    go_on.set()
    while not (record := await hub.record(stream_id)) or record.last < 2:
        await asyncio.sleep(0)
    assert await anext(reader) == Entry(2, "token", '{"text":"b"}')  # which the next heartbeat would not be


def test_the_defaults_keep_what_clients_were_promised() -> None:
    limits = Limits()
    assert (limits.answer, limits.heartbeat, limits.retention) == (60, 3, 60)
    assert limits.lease + limits.lease / 3 < 15  # a crashed producer's stream is readable to its end within 15 s
    assert limits.cancel_poll < 1  # a cancel stops the production within 1 s
    assert (limits.coalesce, limits.token_bytes) == (0.1, 900)


async def test_silence_is_told(tmp_path: Path) -> None:
    quick = Limits(heartbeat=0.01)
    hub, other = (Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), quick) for _ in range(2))
    stream_id = await hub.start("me", producing(asyncio.Event()))
    assert await anext(hub.follow(stream_id)) is None
    assert await anext(other.follow(stream_id)) is None
    await hub.aclose()
    await other.aclose()


async def failure_of(hub: Hub, produce: Produce) -> tuple[list[str], str]:
    seen = await entries(hub, await hub.start("me", produce))
    return [entry.event for entry in seen], json.loads(seen[-1].data)["code"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AnswerError("upstream_error", "The model failed.", retryable=True), "upstream_error"),
        (AnswerError("timeout", "The model was slow.", retryable=True), "timeout"),
        (StoreUnavailable("locked"), "internal_error"),
        (ZeroDivisionError("secret internals"), "internal_error"),
    ],
)
async def test_an_error_becomes_the_terminal_event(hub: Hub, error: Exception, code: str) -> None:
    assert await failure_of(hub, producing(Token("a"), error)) == (["token", "failure"], code)


async def test_internals_are_not_told(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    seen = await entries(hub, await hub.start("me", producing(ZeroDivisionError("secret internals"))))
    assert "secret" not in seen[-1].data
    assert "secret internals" in caplog.text


async def test_an_answer_without_an_end_is_a_failure(hub: Hub) -> None:
    assert await failure_of(hub, producing(Token("a"), end=False)) == (["token", "failure"], "internal_error")


async def test_an_answer_that_takes_too_long_ends(hub: Hub, hurry: Hurry) -> None:
    hub.limits = replace(LIMITS, answer=1000)
    stream_id = await hub.start("me", producing(Token("a"), asyncio.Event()))
    reader = hub.follow(stream_id)
    assert await anext(reader) == Entry(1, "token", '{"text":"a"}')
    hurry(1000)
    (end,) = [entry async for entry in reader if entry]
    assert (end.event, json.loads(end.data)["code"]) == ("failure", "timeout")


async def test_an_event_that_fits_no_frame_is_a_failure_before_the_log_has_it(hub: Hub) -> None:
    assert await failure_of(hub, producing(Results((passage("x" * 20_000),)))) == (["failure"], "internal_error")


async def test_a_source_that_cancels_itself_does_not_hang(hub: Hub) -> None:
    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        yield Token("a")
        raise asyncio.CancelledError("a scope of the source's own")

    assert await failure_of(hub, produce) == (["token", "failure"], "internal_error")


class Faulty(SqliteStreamLog):
    """A log with a bug, as another implementation may have one."""

    renewed = asyncio.Event()

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None:
        self.renewed.set()
        raise KeyError("lease")


async def test_an_unforeseen_error_beside_the_answer_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Faulty(tmp_path / "streams.db", keep=3600)
    hub = Hub(log, LIMITS)
    stream_id = await hub.start("me", producing(asyncio.Event()))
    await log.renewed.wait()
    await hub.cancel(stream_id)
    await entries(hub, stream_id)
    assert "KeyError: 'lease'" in caplog.text
    await hub.aclose()


async def test_cancelling_here_does_not_wait_for_the_next_look_into_the_log(tmp_path: Path) -> None:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), Limits(cancel_poll=1000, heartbeat=1000))
    stream_id = await hub.start("me", producing(asyncio.Event()))
    await hub.cancel(stream_id)
    assert [entry.event for entry in await entries(hub, stream_id)] == ["failure"]
    await hub.aclose()


async def test_following_a_stream_that_is_not_there_or_over_ends(hub: Hub) -> None:
    assert await entries(hub, "unknown") == []
    stream_id = await hub.start("me", producing(Token("a")))
    assert len(await entries(hub, stream_id)) == 2
    assert await entries(hub, stream_id, after=2) == []
    assert await entries(hub, stream_id, after=7) == []


async def test_the_stream_ends_when_its_production_has_let_go_of_everything(hub: Hub) -> None:
    closed = False

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        nonlocal closed
        try:
            yield Token("a")
            yield done(stream_id)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed = True

    await entries(hub, await hub.start("me", produce))
    assert closed


async def test_cancelling_ends_the_production_and_closes_its_source(hub: Hub) -> None:
    closed = asyncio.Event()

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        try:
            yield Token("a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream_id = await hub.start("me", produce)
    reader = hub.follow(stream_id)
    await anext(reader)
    await hub.cancel(stream_id)
    last = await anext(reader)
    assert last is not None
    assert json.loads(last.data) == {"code": "cancelled", "message": "The answer was stopped.", "retryable": False}
    await closed.wait()


async def test_a_readers_leaving_does_not_end_the_production(hub: Hub) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(Token("a"), go_on, Token("b")))
    reader = hub.follow(stream_id)
    await anext(reader)
    await reader.aclose()
    go_on.set()
    assert [entry.event for entry in await entries(hub, stream_id)] == ["token", "token", "done"]


async def test_closing_the_hub_ends_what_is_being_produced(tmp_path: Path, log: SqliteStreamLog) -> None:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), LIMITS)
    stream_id = await hub.start("me", producing(Token("a"), asyncio.Event()))
    reader = hub.follow(stream_id)
    await anext(reader)
    await hub.aclose()
    assert [json.loads(entry.data)["code"] for entry in await log.read(stream_id, 1)] == ["producer_lost"]
    await reader.aclose()


async def test_no_task_is_left_behind(hub: Hub) -> None:
    before = asyncio.all_tasks()
    await entries(hub, await hub.start("me", producing(Token("a"))))
    while asyncio.all_tasks() - before:
        await asyncio.sleep(0)


async def test_a_log_that_can_not_be_opened_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    hub = Hub(SqliteStreamLog(tmp_path / "file" / "streams.db", keep=3600), LIMITS)
    with pytest.raises(StoreUnavailable):
        await hub.start("me", producing())
    await hub.aclose()


async def test_a_producer_that_was_away_until_its_stream_was_removed_writes_no_more(tmp_path: Path) -> None:
    log = SqliteStreamLog(tmp_path / "streams.db", keep=60)
    for stream_id, lease in (("stalled", -61.0), ("other", 10.0)):
        await log.create(StreamRecord(stream_id, "me", "p", time.time() + lease))
    await log.append("other", "p", to_entry(done("other"), 1))  # removes the first
    with pytest.raises(Fenced, match="removed"):
        await log.append("stalled", "p", to_entry(Token("late"), 1))
    assert await log.read("stalled", 0) == []
    await log.aclose()
