"""The stream log in a SQLite file of its own: one file has one writer, and the index has its own to do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from citestream.sqlite import Worker, connect, prepare
from citestream.streams.entry import Entry
from citestream.streams.log import Fenced, StreamRecord

_VERSION = 1
_SCHEMA = """
CREATE TABLE streams (
    stream_id TEXT PRIMARY KEY, owner TEXT NOT NULL, producer TEXT NOT NULL, lease_until REAL NOT NULL,
    ended_at REAL, cancelled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE events (
    stream_id TEXT NOT NULL, n INTEGER NOT NULL, producer TEXT NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (stream_id, n)
) WITHOUT ROWID
"""
_RECORD = """
SELECT stream_id, owner, producer, lease_until, ended_at, cancelled,
       (SELECT ifnull(max(n), 0) FROM events WHERE events.stream_id = streams.stream_id)
FROM streams WHERE stream_id = ?
"""


class SqliteStreamLog:
    """Streams of this machine, shared by every process that opens the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # One thread: appends keep their order, and a file has one writer anyway.
        self._worker = Worker(self._open, 1, "stream-log")

    def _open(self) -> sqlite3.Connection:
        # A power cut may take the last frames of streams that it ended anyway; a killed process loses nothing.
        connection = connect(self._path, synchronous="OFF")
        prepare(connection, _SCHEMA, _VERSION)
        return connection

    async def create(self, record: StreamRecord) -> None:
        row = (record.stream_id, record.owner, record.producer, record.lease_until)
        sql = "INSERT INTO streams (stream_id, owner, producer, lease_until) VALUES (?, ?, ?, ?)"
        await self._worker.run(lambda connection: connection.execute(sql, row))

    async def get(self, stream_id: str) -> StreamRecord | None:
        row = await self._worker.run(lambda connection: connection.execute(_RECORD, (stream_id,)).fetchone())
        if row is None:
            return None
        stream_id, owner, producer, lease_until, ended_at, cancelled, last = row
        return StreamRecord(stream_id, owner, producer, lease_until, ended_at, bool(cancelled), last)

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None:
        await self._worker.run(lambda connection: _append(connection, stream_id, producer, entry))

    async def read(self, stream_id: str, after: int) -> Sequence[Entry]:
        sql = "SELECT n, event, data FROM events WHERE stream_id = ? AND n > ? ORDER BY n"
        rows = await self._worker.run(lambda connection: connection.execute(sql, (stream_id, after)).fetchall())
        return [Entry(*row) for row in rows]

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None:
        sql = "UPDATE streams SET lease_until = ? WHERE stream_id = ? AND producer = ?"
        row = (lease_until, stream_id, producer)
        await self._worker.run(lambda connection: connection.execute(sql, row))

    async def request_cancel(self, stream_id: str) -> None:
        sql = "UPDATE streams SET cancelled = 1 WHERE stream_id = ? AND ended_at IS NULL"
        await self._worker.run(lambda connection: connection.execute(sql, (stream_id,)))

    async def sweep(self, ended_before: float) -> None:
        await self._worker.run(lambda connection: _sweep(connection, ended_before))

    async def aclose(self) -> None:
        await self._worker.aclose()


def _append(connection: sqlite3.Connection, stream_id: str, producer: str, entry: Entry) -> None:
    row = (stream_id, entry.n, producer, entry.event, entry.data)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("INSERT INTO events (stream_id, n, producer, event, data) VALUES (?, ?, ?, ?, ?)", row)
        if entry.final:
            ended = "UPDATE streams SET ended_at = ? WHERE stream_id = ?"
            connection.execute(ended, (time.time(), stream_id))
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        connection.execute("ROLLBACK")
        raise Fenced(f"event {entry.n} of {stream_id} stands already") from error
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _sweep(connection: sqlite3.Connection, ended_before: float) -> None:
    old = "SELECT stream_id FROM streams WHERE ifnull(ended_at, lease_until) < ?"
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DELETE FROM events WHERE stream_id IN ({old})", (ended_before,))  # noqa: S608
    connection.execute("DELETE FROM streams WHERE ifnull(ended_at, lease_until) < ?", (ended_before,))
    connection.execute("COMMIT")
