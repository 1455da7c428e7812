"""Keys and slots in the SQLite file of streams."""

from __future__ import annotations

import sqlite3
import time

from citestream.sqlite import transaction
from citestream.streams.admission import Claim
from citestream.streams.sqlite_file import StreamsFile

_CLAIM = """
INSERT INTO keys (name, stream_id, digest, claimed_at) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET stream_id = excluded.stream_id, digest = excluded.digest,
    claimed_at = excluded.claimed_at WHERE stream_id = ?
"""
_CLAIMED = "SELECT stream_id, digest, claimed_at FROM keys WHERE name = ?"


class SqliteAdmission:
    """Keys and slots of this machine."""

    def __init__(self, file: StreamsFile) -> None:
        self._file = file

    async def claimed(self, key: str) -> Claim | None:
        row = await self._file.read(lambda connection: connection.execute(_CLAIMED, (key,)).fetchone())
        return None if row is None else Claim(*row)

    async def claim(self, key: str, claim: Claim, stale: str | None = None) -> Claim:
        def work(connection: sqlite3.Connection) -> Claim:
            with transaction(connection):
                connection.execute(_CLAIM, (key, claim.stream_id, claim.digest, claim.claimed_at, stale))
                return Claim(*connection.execute(_CLAIMED, (key,)).fetchone())

        return await self._file.write(work)

    async def withdraw(self, key: str, stream_id: str) -> None:
        sql = "DELETE FROM keys WHERE name = ? AND stream_id = ?"
        await self._file.write(lambda connection: connection.execute(sql, (key, stream_id)))

    async def take_slot(self, owner: str, stream_id: str, until: float, limit: int) -> float | None:
        def work(connection: sqlite3.Connection) -> float | None:
            with transaction(connection):
                now = time.time()
                connection.execute("DELETE FROM slots WHERE owner = ? AND until <= ?", (owner, now))
                taken = connection.execute(
                    "SELECT until FROM slots WHERE owner = ? ORDER BY until", (owner,)
                ).fetchall()
                if len(taken) >= limit:
                    return float(taken[len(taken) - limit][0] - now)
                connection.execute("INSERT INTO slots VALUES (?, ?, ?)", (owner, stream_id, until))
                return None

        return await self._file.write(work)

    async def renew_slot(self, owner: str, stream_id: str, until: float) -> None:
        sql = "UPDATE slots SET until = ? WHERE owner = ? AND stream_id = ?"
        await self._file.write(lambda connection: connection.execute(sql, (until, owner, stream_id)))

    async def release_slot(self, owner: str, stream_id: str) -> None:
        sql = "DELETE FROM slots WHERE owner = ? AND stream_id = ?"
        await self._file.write(lambda connection: connection.execute(sql, (owner, stream_id)))


def sweep(connection: sqlite3.Connection, before: float) -> None:
    """Remove what was left behind before then: keys without a stream, slots of owners that did not come back."""
    sql = "DELETE FROM keys WHERE claimed_at < ? AND stream_id NOT IN (SELECT stream_id FROM streams)"
    connection.execute(sql, (before,))
    connection.execute("DELETE FROM slots WHERE until < ?", (before,))
