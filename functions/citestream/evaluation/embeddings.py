"""Vectors that are kept: what an evaluation embeds, its next run need not embed again."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from citestream.retrieval.embedder import Embedder, Vectors
from citestream.sqlite import opened, transaction

_SCHEMA = "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
_VERSION = 1
_PATIENCE = 60.0  # seconds: another run may be writing


class Cached:
    """An embedder that remembers, in the file at ``path``, what another one made of each text.

    Any number of processes may share the file, and embedders too. Numbers are kept in single precision.
    """

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self._embedder = embedder
        self._path = path

    @property
    def id(self) -> str:
        return self._embedder.id

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def weight(self, query: str) -> float:
        return self._embedder.weight(query)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        known = await asyncio.to_thread(self._read, set(texts))
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            vectors = await self._embedder.embed(missing)
            new = {text: array("f", vector) for text, vector in zip(missing, vectors, strict=True)}
            await asyncio.to_thread(self._keep, new)
            known |= new
        return [known[text] for text in texts]

    def _read(self, texts: Iterable[str]) -> dict[str, array[float]]:
        with closing(self._open()) as connection:
            sql = "SELECT vector FROM vectors WHERE key = ?"
            rows = {text: connection.execute(sql, (self._key(text),)).fetchone() for text in texts}
        return {text: array("f", row[0]) for text, row in rows.items() if row}

    def _keep(self, vectors: Mapping[str, array[float]]) -> None:
        rows = [(self._key(text), vector.tobytes()) for text, vector in vectors.items()]
        with closing(self._open()) as connection, transaction(connection):
            connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        return opened(self._path, _SCHEMA, _VERSION, patience=_PATIENCE)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.id}\0{text}".encode()).digest()
