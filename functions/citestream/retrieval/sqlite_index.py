"""The embedded index: one SQLite file, words by FTS5, meaning by vectors, one ranking out of both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from citestream.errors import WrongIndex
from citestream.model import Chunk, Document, DocumentEntry, KnowledgeBase, Passage
from citestream.retrieval import sqlite_reads, sqlite_schema
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.fusion import fuse
from citestream.retrieval.index import Indexed, Principals
from citestream.retrieval.sqlite_words import by_words
from citestream.retrieval.vectors import VectorCache, to_blobs
from citestream.retrieval.words import terms
from citestream.sqlite import Worker, opened, store_errors, transaction

T = TypeVar("T")
#: How many candidates each side puts up.
CANDIDATES = 100
_THREADS = 4
# A document that is replaced between the ranking and the reading has other row ids: it is looked for again.
_TRIES = 3


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

    async def access(self, document_ids: Sequence[str]) -> Mapping[str, tuple[str, ...] | None]:
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

    async def fail(
        self, document_id: str, kb_id: str, name: str, reason: str, access: tuple[str, ...] | None = None
    ) -> None:
        await self._write(lambda connection: sqlite_schema.fail(connection, document_id, kb_id, name, reason, access))

    async def remove(self, document_id: str) -> bool:
        return await self._write(lambda connection: sqlite_schema.remove(connection, document_id))

    async def search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals = None
    ) -> Sequence[Passage]:
        for _ in range(_TRIES):
            whole, passages = await self._search(query, kb_ids, top_k, principals)
            if whole:
                break
        return passages

    async def _search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals
    ) -> tuple[bool, list[Passage]]:
        """The passages, and whether they are what was ranked: not where one was replaced meanwhile."""
        weight = self._embedder.weight(query) if self._embedder else 0.0
        shelves = await self._worker.run(lambda connection: self._shelves(connection, kb_ids, principals))
        words, meaning = await asyncio.gather(
            self._worker.run(lambda connection: by_words(connection, terms(query), shelves, CANDIDATES)),
            self._by_meaning(query, shelves, weight),
        )
        ranked = fuse(words, meaning, weight)
        passages = await self._worker.run(lambda connection: sqlite_reads.passages(connection, ranked, top_k))
        return len(passages) == min(top_k, len(ranked)), passages

    def _shelves(self, connection: sqlite3.Connection, kb_ids: Sequence[str], principals: Principals) -> dict[int, int]:
        self._check_embedder(connection)
        return sqlite_reads.shelves(connection, kb_ids, principals)

    async def _by_meaning(self, query: str, shelves: dict[int, int], weight: float) -> dict[int, float]:
        cache = self._cache
        if self._embedder is None or cache is None or not shelves or not weight:
            return {}
        (vector,) = await self._embedder.embed([query])
        return await self._worker.run(lambda connection: cache.nearest(connection, vector, shelves.items(), CANDIDATES))

    async def aclose(self) -> None:
        await self._worker.aclose()

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return await self._worker.run(whole)
