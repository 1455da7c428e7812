"""The SQLite file of streams: one file has one writer, and the index has its own to do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from citestream.sqlite import Worker, opened, store_errors

T = TypeVar("T")
# Clients wait some 5 s for a first byte: who can't write by then says so.
_PATIENCE_SECONDS = 3.0
_VERSION = 3
_SCHEMA = """
CREATE TABLE streams (
    stream_id TEXT PRIMARY KEY, owner TEXT NOT NULL, producer TEXT NOT NULL, lease_until REAL NOT NULL,
    ended_at REAL, cancelled INTEGER NOT NULL DEFAULT 0, kb_ids TEXT NOT NULL, documents TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX streams_by_end ON streams (ifnull(ended_at, lease_until));
CREATE TABLE events (
    stream_id TEXT NOT NULL, n INTEGER NOT NULL, producer TEXT NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (stream_id, n)
) WITHOUT ROWID;
CREATE TABLE keys (
    name TEXT PRIMARY KEY, stream_id TEXT NOT NULL, digest TEXT NOT NULL, claimed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_by_time ON keys (claimed_at);
CREATE TABLE slots (
    owner TEXT NOT NULL, stream_id TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (owner, stream_id)
) WITHOUT ROWID
"""
# Streams are kept for little more than an hour: an older version's are given up, not carried over.
_MIGRATIONS = {1: "", 2: f"DROP TABLE streams; DROP TABLE events; {_SCHEMA}"}


class StreamsFile:
    """Shared by every process that opens it. All calls raise StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A file has one writer. What is read must not wait for it, in WAL mode: not even where another process keeps
        # the file locked.
        self._writer = Worker(path, lambda: _opened(path), 1, "stream-log")
        self._reader = Worker(path, lambda: _opened(path), 1, "stream-log-reader")

    def check(self) -> None:
        """Open the file once, now. Raises WrongIndex where it has another schema, and StoreUnavailable."""
        with store_errors(self._path):
            _opened(self._path).close()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.run(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work when those before it are done; patience counts from now, not from there."""
        patient_until = time.monotonic() + _PATIENCE_SECONDS

        def write(connection: sqlite3.Connection) -> T:
            left = max(patient_until - time.monotonic(), 0.0)
            connection.execute(f"PRAGMA busy_timeout = {round(left * 1000)}")
            return work(connection)

        return await self._writer.run(write)

    async def aclose(self) -> None:
        await self._writer.aclose()
        await self._reader.aclose()


def _opened(path: Path) -> sqlite3.Connection:
    # A power cut may take the last frames of streams that it ended anyway; a killed process loses nothing.
    return opened(path, _SCHEMA, _VERSION, migrations=_MIGRATIONS, synchronous="OFF", patience=_PATIENCE_SECONDS)
