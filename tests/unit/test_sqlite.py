"""SQLite files: opened or left closed, written as a whole or not at all."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Done, Token
from citestream.sqlite import opened, store_errors, transaction
from citestream.streams.entry import to_entry
from citestream.streams.log import StreamRecord
from citestream.streams.sqlite_log import SqliteStreamLog


def connection_to(path: Path) -> sqlite3.Connection:
    return opened(path, "CREATE TABLE t (x UNIQUE)", 1)


def write(connection: sqlite3.Connection, *statements: str, error: type[BaseException] | None = None) -> None:
    with transaction(connection):
        for statement in statements:
            connection.execute(statement)
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [sqlite3.IntegrityError, KeyboardInterrupt, ZeroDivisionError])
def test_a_transaction_that_fails_changes_nothing_and_stops_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    connection = connection_to(tmp_path / "it.db")
    with pytest.raises(error):
        write(connection, "INSERT INTO t VALUES (1)", error=error)
    write(connection, "INSERT INTO t VALUES (2)")
    connection.close()
    again = connection_to(tmp_path / "it.db")
    assert again.execute("SELECT x FROM t").fetchall() == [(2,)]
    again.close()


def test_what_sqlite_has_rolled_back_itself_is_not_rolled_back_again(tmp_path: Path) -> None:
    connection = connection_to(tmp_path / "it.db")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        write(connection, "INSERT INTO t VALUES (1)", "INSERT OR ROLLBACK INTO t VALUES (1)")
    assert connection.execute("SELECT x FROM t").fetchall() == []
    connection.close()


@contextmanager
def locked(path: Path) -> Generator[sqlite3.Connection]:
    """Another process's lock on a file that is not in WAL mode yet."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_new_file_that_another_process_has_locked_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path / "it.db") as other:
        monkeypatch.setattr(time, "sleep", lambda seconds: other.execute("ROLLBACK"))
        connection = connection_to(tmp_path / "it.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_new_file_that_stays_locked_is_waited_for_with_patience(tmp_path: Path) -> None:
    with locked(tmp_path / "it.db"), pytest.raises(sqlite3.OperationalError, match="locked"):
        opened(tmp_path / "it.db", "CREATE TABLE t (x)", 1, patience=0.05)


PROGRAM = """
import sys, pathlib
from citestream import sqlite
print("ready", flush=True)
input()
connection = sqlite.opened(pathlib.Path(sys.argv[1]), "CREATE TABLE t (x)", 1)
connection.execute("INSERT INTO t VALUES (1)")
"""


def test_processes_that_start_at_once_share_a_new_file(tmp_path: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, str(tmp_path / "it.db")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes: list[Any] = [subprocess.Popen(line, text=True, **pipes) for _ in range(6)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 6
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=20)[1] for process in processes] == [""] * 6
    with closing(sqlite3.connect(tmp_path / "it.db")) as file:
        assert file.execute("SELECT count(*) FROM t").fetchone() == (6,)


class Connections:
    """Opens SQLite files, and remembers the connections."""

    def __init__(self) -> None:
        self.opened: list[sqlite3.Connection] = []
        self._connect = sqlite3.connect

    def __call__(self, *args: Any, **options: Any) -> sqlite3.Connection:
        self.opened.append(self._connect(*args, **options))
        return self.opened[-1]


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.cursor()
    except sqlite3.ProgrammingError:
        return False
    return True


def refuse(connection: sqlite3.Connection) -> None:
    raise WrongIndex("not this one")


@pytest.mark.parametrize(
    ("version", "check", "content", "message"),
    [
        (1, None, b"not a database, but long enough to look at" * 100, "it.db: file is not a database"),
        (2, None, None, "it.db has schema version 1, this program needs 2: move it away"),
        (1, refuse, None, "not this one"),
    ],
)
def test_a_file_that_can_not_be_used_is_left_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, check: Any, content: bytes | None, message: str
) -> None:
    path = tmp_path / "it.db"
    connection_to(path).close()
    if content is not None:
        path.write_bytes(content)
    connections = Connections()
    monkeypatch.setattr(sqlite3, "connect", connections)
    with pytest.raises((StoreUnavailable, WrongIndex), match=message), store_errors(path):
        opened(path, "", version, check=check)
    assert [is_open(connection) for connection in connections.opened] == [False]


async def test_a_log_that_could_not_be_written_can_be_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = SqliteStreamLog(tmp_path / "streams.db", keep=0)
    for stream_id in ("old", "s"):
        await log.create(StreamRecord(stream_id, "me", "p", 1.0))
    await log.append("s", "p", to_entry(Token("a"), 1))
    end = to_entry(Done(50, "stop", "s", {}), 2)
    with closing(sqlite3.connect(tmp_path / "streams.db")) as file, file:
        for change in ("DELETE", "UPDATE"):  # these come last, in a sweep and in the end of a stream
            trigger = f"CREATE TRIGGER no_{change} BEFORE {change} ON streams"
            file.execute(f"{trigger} BEGIN INSERT INTO nowhere VALUES (1); END")
        with pytest.raises(StoreUnavailable, match="nowhere"):
            await log.append("s", "p", end)
        assert [entry.n for entry in await log.read("s", 0)] == [1]
        file.execute("DROP TRIGGER no_UPDATE")
        file.commit()
        await log.append("s", "p", end)
        assert "old streams could not be removed" in caplog.text
        assert await log.get("old") is not None
        file.execute("DROP TRIGGER no_DELETE")
    await log.append("s", "p", to_entry(Done(50, "stop", "s", {}), 3))
    assert await log.get("old") is None
    await log.aclose()
