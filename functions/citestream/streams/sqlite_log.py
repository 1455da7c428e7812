"""The stream log in a SQLite file."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from citestream.sqlite import transaction
from citestream.streams import sqlite_admission
from citestream.streams.entry import Entry
from citestream.streams.log import Fenced, StreamRecord
from citestream.streams.sqlite_admission import SqliteAdmission
from citestream.streams.sqlite_file import StreamsFile

_LOG = logging.getLogger("citestream.streams")

_RECORD = """
SELECT stream_id, owner, producer, lease_until, ended_at, cancelled,
       (SELECT ifnull(max(n), 0) FROM events WHERE events.stream_id = streams.stream_id), kb_ids, documents
FROM streams WHERE stream_id = ?
"""


class SqliteStreamLog:
    """Streams of this machine, shared by every process that opens the same file.

    A stream that has ended, or whose producer was lost, is removed ``keep`` seconds later: then, or as soon after as
    a next one ends.
    """

    def __init__(self, path: Path, keep: float) -> None:
        self._file = StreamsFile(path)
        self._keep = keep
        self.admission = SqliteAdmission(self._file)

    def check(self) -> None:
        """Open the file once, now. Raises WrongIndex where it has another schema, and StoreUnavailable."""
        self._file.check()

    async def create(self, record: StreamRecord) -> None:
        row = (record.stream_id, record.owner, record.producer, record.lease_until)
        lists = (json.dumps(record.kb_ids), json.dumps(record.documents))
        sql = """
            INSERT INTO streams (stream_id, owner, producer, lease_until, kb_ids, documents) VALUES (?, ?, ?, ?, ?, ?)
        """
        await self._file.write(lambda connection: connection.execute(sql, (*row, *lists)))

    async def get(self, stream_id: str) -> StreamRecord | None:
        row = await self._file.read(lambda connection: connection.execute(_RECORD, (stream_id,)).fetchone())
        if row is None:
            return None
        stream_id, owner, producer, lease_until, ended_at, cancelled, last, *lists = row
        kb_ids, documents = map(tuple, map(json.loads, lists))
        return StreamRecord(stream_id, owner, producer, lease_until, ended_at, bool(cancelled), last, kb_ids, documents)

    async def note_sources(self, stream_id: str, producer: str, document_ids: Sequence[str]) -> None:
        sql = "UPDATE streams SET documents = ? WHERE stream_id = ? AND producer = ?"
        row = (json.dumps(document_ids), stream_id, producer)
        await self._file.write(lambda connection: connection.execute(sql, row))

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None:
        def work(connection: sqlite3.Connection) -> None:
            _append(connection, stream_id, producer, entry)
            if entry.final:
                try:
                    _sweep(connection, time.time() - self._keep)
                except sqlite3.Error as error:  # the event is written; the next end sweeps again
                    _LOG.warning("old streams could not be removed: %s", error)

        await self._file.write(work)

    async def read(self, stream_id: str, after: int) -> Sequence[Entry]:
        sql = "SELECT n, event, data FROM events WHERE stream_id = ? AND n > ? ORDER BY n"
        rows = await self._file.read(lambda connection: connection.execute(sql, (stream_id, after)).fetchall())
        return [Entry(*row) for row in rows]

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None:
        sql = "UPDATE streams SET lease_until = ? WHERE stream_id = ? AND producer = ?"
        row = (lease_until, stream_id, producer)
        await self._file.write(lambda connection: connection.execute(sql, row))

    async def request_cancel(self, stream_id: str) -> None:
        sql = "UPDATE streams SET cancelled = 1 WHERE stream_id = ? AND ended_at IS NULL"
        await self._file.write(lambda connection: connection.execute(sql, (stream_id,)))

    async def aclose(self) -> None:
        await self._file.aclose()


def _append(connection: sqlite3.Connection, stream_id: str, producer: str, entry: Entry) -> None:
    row = (stream_id, entry.n, producer, entry.event, entry.data)
    try:
        with transaction(connection):
            connection.execute("INSERT INTO events (stream_id, n, producer, event, data) VALUES (?, ?, ?, ?, ?)", row)
            if not connection.execute("SELECT 1 FROM streams WHERE stream_id = ?", (stream_id,)).fetchone():
                raise Fenced(f"{stream_id} has been removed: its producer was too long away")
            if entry.final:
                ended = "UPDATE streams SET ended_at = ? WHERE stream_id = ?"
                connection.execute(ended, (time.time(), stream_id))
    except sqlite3.IntegrityError as error:
        raise Fenced(f"event {entry.n} of {stream_id} stands already") from error


def _sweep(connection: sqlite3.Connection, ended_before: float) -> None:
    sql = "SELECT stream_id FROM streams WHERE ifnull(ended_at, lease_until) < ?"
    old = connection.execute(sql, (ended_before,)).fetchall()
    if old:
        with transaction(connection):
            connection.executemany("DELETE FROM events WHERE stream_id = ?", old)
            connection.executemany("DELETE FROM streams WHERE stream_id = ?", old)
            sqlite_admission.sweep(connection, ended_before)
