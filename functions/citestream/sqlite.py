"""SQLite as both embedded stores use it: WAL, a schema version, blocking calls kept off the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from citestream.errors import StoreUnavailable, WrongIndex

T = TypeVar("T")
_PAUSE_SECONDS = 0.01


def opened(
    path: Path,
    schema: str,
    version: int,
    *,
    migrations: Mapping[int, str] | None = None,
    synchronous: str = "NORMAL",
    patience: float = 10.0,
) -> sqlite3.Connection:
    """A connection to the file, made with its tables where it is new; transactions are begun by hand.

    ``migrations`` are statements by the version that they lead on from, to the next. It waits up to ``patience``
    seconds for another writer. Raises WrongIndex for a file of a version from which no migrations lead to this one;
    nothing is left open then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection, patience)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if _version(connection) != version:
            _prepare(connection, path, schema, version, migrations or {})
        connection.execute("PRAGMA foreign_keys = ON")  # not before: a table that others refer to may be made anew
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Switch to WAL mode. While another process does so in a new file, SQLite fails at once, whatever its timeout."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def _prepare(
    connection: sqlite3.Connection, path: Path, schema: str, version: int, migrations: Mapping[int, str]
) -> None:
    with transaction(connection):
        found = _version(connection)  # now nobody else can change it: another process may have been faster
        steps = range(found, version)
        if found > version or (found and not migrations.keys() >= set(steps)):
            raise WrongIndex(f"{path} has schema version {found}, this program needs {version}: move it away")
        for script in [migrations[step] for step in steps] if found else [schema]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """What is written within is written as a whole, or, where anything is raised, not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, as a full disk, have rolled it back
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """What is read within is of one state of the file. One may stand in another."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@contextmanager
def store_errors(path: Path) -> Generator[None]:
    """Turn what SQLite and the file system raise over the file into StoreUnavailable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the store does not answer: {path}: {error}") from error


class Worker:
    """Runs blocking work on threads of its own, each with its own connection to one SQLite file."""

    def __init__(self, path: Path, open_connection: Callable[[], sqlite3.Connection], threads: int, name: str) -> None:
        self._path = path
        self._open = open_connection
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns. Raises StoreUnavailable where SQLite fails, or the file is not ours any more."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, work)

    async def aclose(self) -> None:
        """Wait for running work, then close the connections."""
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._opened:
            connection.close()

    def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with store_errors(self._path):
            return work(self._connection())

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            try:
                self._local.connection = self._open()
            except WrongIndex as error:  # it was another file when the program started
                raise StoreUnavailable(str(error)) from error
            self._opened.append(self._local.connection)
        connection: sqlite3.Connection = self._local.connection
        return connection
