"""SQLite files: opened or left closed, written as a whole or not at all."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Done, Token
from citestream.sqlite import opened, snapshot, store_errors, transaction
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


def test_a_snapshot_is_of_one_state_and_ends_with_what_is_raised_in_it(tmp_path: Path) -> None:
    reader, writer = connection_to(tmp_path / "it.db"), connection_to(tmp_path / "it.db")
    with suppress(ZeroDivisionError), snapshot(reader):
        assert reader.execute("SELECT x FROM t").fetchall() == []
        write(writer, "INSERT INTO t VALUES (1)")
        assert reader.execute("SELECT x FROM t").fetchall() == []
        raise ZeroDivisionError
    assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
    reader.close()
    writer.close()


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
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 6
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


@pytest.mark.parametrize(
    ("version", "content", "message"),
    [
        (1, b"not a database, but long enough to look at" * 100, "it.db: file is not a database"),
        (2, None, "it.db has schema version 1, this program needs 2: move it away"),
    ],
)
def test_a_file_that_can_not_be_used_is_left_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, content: bytes | None, message: str
) -> None:
    path = tmp_path / "it.db"
    connection_to(path).close()
    if content is not None:
        path.write_bytes(content)
    connections = Connections()
    monkeypatch.setattr(sqlite3, "connect", connections)
    with pytest.raises((StoreUnavailable, WrongIndex), match=message), store_errors(path):
        opened(path, "", version)
    assert [is_open(connection) for connection in connections.opened] == [False]


STEPS = {
    1: "ALTER TABLE t ADD COLUMN y; UPDATE t SET y = x",
    2: "CREATE TABLE t_3 (x, y, z); INSERT INTO t_3 SELECT x, y, 3 FROM t; DROP TABLE t; ALTER TABLE t_3 RENAME TO t",
}


def at_version(path: Path, version: int) -> list[Any]:
    """What the file holds once it is opened as one of that version."""
    with closing(opened(path, "CREATE TABLE t (x, y, z)", version, migrations=STEPS)) as connection:
        return connection.execute("SELECT * FROM t").fetchall()


def test_a_file_of_a_version_before_is_led_on_step_by_step(tmp_path: Path) -> None:
    with closing(connection_to(tmp_path / "it.db")) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("CREATE TABLE of_t (x REFERENCES t (x))")
        connection.execute("INSERT INTO of_t VALUES (1)")
    assert at_version(tmp_path / "it.db", 2) == [(1, 1)]
    assert at_version(tmp_path / "it.db", 3) == [(1, 1, 3)]
    assert at_version(tmp_path / "it.db", 3) == [(1, 1, 3)]
    assert at_version(tmp_path / "new.db", 3) == []


@pytest.mark.parametrize(("found", "needed"), [(3, 2), (1, 4), (-1, 1)])
def test_a_file_from_which_no_steps_lead_is_refused(tmp_path: Path, found: int, needed: int) -> None:
    with closing(connection_to(tmp_path / "it.db")) as connection:
        connection.execute(f"PRAGMA user_version = {found}")
    with pytest.raises(WrongIndex, match=f"version {found}, this program needs {needed}: move it away"):
        at_version(tmp_path / "it.db", needed)


def test_steps_of_which_one_fails_change_nothing(tmp_path: Path) -> None:
    connection_to(tmp_path / "it.db").close()
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        opened(tmp_path / "it.db", "", 3, migrations={1: STEPS[1], 2: "INSERT INTO nowhere VALUES (1)"})
    assert at_version(tmp_path / "it.db", 2) == []


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
