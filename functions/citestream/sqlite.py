"""SQLite as both embedded stores use it: WAL, a schema version, blocking calls kept off the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from citestream.errors import StoreUnavailable, WrongIndex

T = TypeVar("T")


def connect(path: Path, *, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """A connection in WAL mode, transactions begun by hand, that waits up to 10 s for another writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def prepare(connection: sqlite3.Connection, schema: str, version: int) -> None:
    """Make the tables in a new file. Raises WrongIndex for a file of another schema version."""
    if _version(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == 0:  # no other process has been faster
            for statement in schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    found = _version(connection)
    if found != version:
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        raise WrongIndex(f"{file} has schema version {found}, this program needs {version}: move it away")


@contextmanager
def store_errors() -> Generator[None]:
    """Turn what SQLite and the file system raise into StoreUnavailable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the store does not answer: {error}") from error


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


class Worker:
    """Runs blocking work on threads of its own, each with its own connection to one SQLite file."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection], threads: int, name: str) -> None:
        self._open = open_connection
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns. Raises StoreUnavailable where SQLite fails."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, work)

    async def aclose(self) -> None:
        """Wait for running work, then close the connections."""
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._opened:
            connection.close()

    def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with store_errors():
            if not hasattr(self._local, "connection"):
                self._local.connection = self._open()
                self._opened.append(self._local.connection)
            connection: sqlite3.Connection = self._local.connection
            return work(connection)
