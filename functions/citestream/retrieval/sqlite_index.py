"""The embedded index: one SQLite file, words by FTS5, meaning by vectors, one ranking out of both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from citestream.errors import WrongIndex
from citestream.model import Access, Chunk, Document, DocumentEntry, KnowledgeBase, Passage
from citestream.retrieval import sqlite_reads, sqlite_schema
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.fusion import fuse
from citestream.retrieval.index import Indexed, Principals
from citestream.retrieval.sqlite_words import by_words
from citestream.retrieval.vectors import VectorCache, to_blobs
from citestream.retrieval.words import terms
from citestream.sqlite import Worker, opened, snapshot, store_errors, transaction

T = TypeVar("T")
#: How many candidates each side puts up.
CANDIDATES = 100
_THREADS = 4


class SqliteIndex:
    """Shared by every process that opens the same file: one writes at a time, readers see whole documents."""

    def __init__(self, path: Path, embedder: Embedder | None) -> None:
        self._path = path
        self._embedder = embedder
        self._cache = VectorCache(embedder.dimensions) if embedder else None
        self._worker = Worker(path, self._open, _THREADS, "index")

    def check(self) -> None:
        """Open the file once, now. Raises WrongIndex where it was made with another embedder or schema, and
        StoreUnavailable."""
        with store_errors(self._path), closing(self._open()) as connection:
            self._check_embedder(connection)

    def _open(self) -> sqlite3.Connection:
        return opened(self._path, sqlite_schema.SCHEMA, sqlite_schema.VERSION, migrations=sqlite_schema.MIGRATIONS)

    def _check_embedder(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT value FROM meta WHERE key = 'embedder'").fetchone()
        if found and self._embedder and found[0] != self._embedder.id:
            message = f"{self._path} holds vectors of {found[0]}, this program has {self._embedder.id}"
            raise WrongIndex(f"{message}: remove the file and ingest again")

    async def kb_ids(self) -> Sequence[str]:
        return await self._worker.run(sqlite_reads.kb_ids)

    async def knowledge_bases(self) -> Sequence[KnowledgeBase]:
        return await self._worker.run(sqlite_reads.knowledge_bases)

    async def documents(self, kb_id: str, after: str = "", limit: int = 1000) -> Sequence[DocumentEntry]:
        return await self._worker.run(lambda connection: sqlite_reads.entries(connection, kb_id, after, limit))

    async def document(self, document_id: str) -> Document | None:
        return await self._worker.run(lambda connection: sqlite_reads.document(connection, document_id))

    async def access(self, document_ids: Sequence[str]) -> Mapping[str, Access]:
        return await self._worker.run(lambda connection: sqlite_reads.access(connection, document_ids))

    async def indexed(self, document_id: str) -> Indexed | None:
        return await self._worker.run(lambda connection: sqlite_reads.indexed(connection, document_id))

    async def put(self, document: Document, digest: str, chunks: Sequence[Chunk], vectors: Vectors | None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            blobs = None if vectors is None else to_blobs(vectors)
            if blobs is not None and self._embedder is not None:
                sql = "INSERT OR IGNORE INTO meta VALUES ('embedder', ?)"
                connection.execute(sql, (self._embedder.id,))
                self._check_embedder(connection)
            sqlite_schema.put(connection, document, digest, chunks, blobs)

        await self._write(work)

    async def fail(self, document_id: str, kb_id: str, name: str, reason: str, access: Access = None) -> None:
        await self._write(lambda connection: sqlite_schema.fail(connection, document_id, kb_id, name, reason, access))

    async def remove(self, document_id: str) -> bool:
        return await self._write(lambda connection: sqlite_schema.remove(connection, document_id))

    async def search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals = None
    ) -> Sequence[Passage]:
        words = terms(query)
        weight = self._embedder.weight(query) if self._embedder else 0.0
        shelves = await self._worker.run(lambda connection: self._shelves(connection, kb_ids, principals))
        if not shelves:
            return []
        # Side by side, on connections of their own: they may see different states of the file.
        found, (vector, near) = await asyncio.gather(
            self._worker.run(lambda connection: by_words(connection, words, shelves, CANDIDATES)),
            self._by_meaning(query, weight, shelves),
        )
        best = fuse(found, near, weight)[:top_k]

        def passages(connection: sqlite3.Connection) -> list[Passage]:
            with snapshot(connection):
                now = self._shelves(connection, kb_ids, principals)
                read = sqlite_reads.passages(connection, best)
                if len(read) == len(best) and now.keys() == shelves.keys():
                    return read
                # A document was replaced meanwhile, and its chunks have other row ids: once more, in one state.
                again = by_words(connection, words, now, CANDIDATES), self._nearest(connection, vector, now)
                return sqlite_reads.passages(connection, fuse(*again, weight)[:top_k])

        return await self._worker.run(passages)

    async def aclose(self) -> None:
        await self._worker.aclose()

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return await self._worker.run(whole)

    def _shelves(self, connection: sqlite3.Connection, kb_ids: Sequence[str], principals: Principals) -> dict[int, int]:
        self._check_embedder(connection)
        return sqlite_reads.shelves(connection, kb_ids, principals)

    async def _by_meaning(
        self, query: str, weight: float, shelves: dict[int, int]
    ) -> tuple[Sequence[float] | None, dict[int, float]]:
        """The query's vector, where it has any weight, and the nearest."""
        if self._embedder is None or not weight:
            return None, {}
        (vector,) = await self._embedder.embed([query])
        return vector, await self._worker.run(lambda connection: self._nearest(connection, vector, shelves))

    def _nearest(
        self, connection: sqlite3.Connection, vector: Sequence[float] | None, shelves: dict[int, int]
    ) -> dict[int, float]:
        if self._cache is None or vector is None or not shelves:
            return {}
        return self._cache.nearest(connection, vector, shelves.items(), CANDIDATES)
