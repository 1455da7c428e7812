"""The embedded index: one SQLite file, words by FTS5, meaning by vectors, one ranking out of both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from citestream.errors import WrongIndex
from citestream.model import Chunk, Document, KnowledgeBase, Passage
from citestream.retrieval import sqlite_schema
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
_PASSAGE = """
SELECT chunks.rowid, document_id || '-' || ordinal, document_id, name, id, chunks.text, char_start, char_end, page,
       section
FROM chunks JOIN documents USING (document_id) JOIN knowledge_bases USING (kb)
WHERE chunks.rowid IN ({})
"""


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
        with store_errors(self._path):
            self._open().close()

    def _open(self) -> sqlite3.Connection:
        return opened(self._path, sqlite_schema.SCHEMA, sqlite_schema.VERSION, check=self._check_embedder)

    def _check_embedder(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT value FROM meta WHERE key = 'embedder'").fetchone()
        if found and self._embedder and found[0] != self._embedder.id:
            message = f"{self._path} holds vectors of {found[0]}, this program has {self._embedder.id}"
            raise WrongIndex(f"{message}: remove the file and ingest again")

    async def kb_ids(self) -> Sequence[str]:
        sql = "SELECT id FROM knowledge_bases ORDER BY id"
        rows = await self._worker.run(lambda connection: connection.execute(sql).fetchall())
        return [kb_id for (kb_id,) in rows]

    async def knowledge_bases(self) -> Sequence[KnowledgeBase]:
        sql = """
            SELECT id, count(*), sum(chunk_count) FROM knowledge_bases JOIN documents USING (kb)
            GROUP BY kb ORDER BY id
        """
        rows = await self._worker.run(lambda connection: connection.execute(sql).fetchall())
        return [KnowledgeBase(*row) for row in rows]

    async def document(self, document_id: str) -> Document | None:
        sql = """
            SELECT document_id, name, id, text FROM documents JOIN knowledge_bases USING (kb) WHERE document_id = ?
        """
        row = await self._worker.run(lambda connection: connection.execute(sql, (document_id,)).fetchone())
        return Document(*row) if row else None

    async def indexed(self, document_id: str) -> Indexed | None:
        sql = "SELECT digest, embedded FROM documents WHERE document_id = ?"
        row = await self._worker.run(lambda connection: connection.execute(sql, (document_id,)).fetchone())
        return Indexed(row[0], bool(row[1])) if row else None

    async def put(self, document: Document, digest: str, chunks: Sequence[Chunk], vectors: Vectors | None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            blobs = None if vectors is None else to_blobs(vectors)
            if blobs is not None and self._embedder is not None:
                sql = "INSERT OR IGNORE INTO meta VALUES ('embedder', ?)"
                connection.execute(sql, (self._embedder.id,))
            sqlite_schema.put(connection, document, digest, chunks, blobs)

        await self._write(work)

    async def remove(self, document_id: str) -> bool:
        return await self._write(lambda connection: sqlite_schema.remove(connection, document_id))

    async def search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals = None
    ) -> Sequence[Passage]:
        for _ in range(_TRIES):
            whole, passages = await self._search(query, kb_ids, top_k)
            if whole:
                break
        return passages

    async def _search(self, query: str, kb_ids: Sequence[str], top_k: int) -> tuple[bool, list[Passage]]:
        """The passages, and whether they are what was ranked: not where one was replaced meanwhile."""
        weight = self._embedder.weight(query) if self._embedder else 0.0
        kbs = await self._worker.run(lambda connection: _kbs(connection, kb_ids))
        words, meaning = await asyncio.gather(
            self._worker.run(lambda connection: by_words(connection, terms(query), list(kbs), CANDIDATES)),
            self._by_meaning(query, kbs, weight),
        )
        ranked = fuse(words, meaning, weight)
        passages = await self._worker.run(lambda connection: _passages(connection, ranked, top_k))
        return len(passages) == min(top_k, len(ranked)), passages

    async def aclose(self) -> None:
        await self._worker.aclose()

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return await self._worker.run(whole)

    async def _by_meaning(self, query: str, kbs: dict[int, int], weight: float) -> dict[int, float]:
        cache = self._cache
        if self._embedder is None or cache is None or not kbs or not weight:
            return {}
        (vector,) = await self._embedder.embed([query])
        return await self._worker.run(lambda connection: cache.nearest(connection, vector, kbs.items(), CANDIDATES))


def _kbs(connection: sqlite3.Connection, kb_ids: Sequence[str]) -> dict[int, int]:
    """The knowledge bases to search: the number and the generation of each."""
    wanted = set(kb_ids)
    rows = connection.execute("SELECT kb, generation, id FROM knowledge_bases ORDER BY kb").fetchall()
    return {kb: generation for kb, generation, kb_id in rows if kb_id in wanted}


def _passages(connection: sqlite3.Connection, ranked: Sequence[tuple[int, float]], top_k: int) -> list[Passage]:
    """The best that still are there: a row id that a newer version of its document has replaced is passed over."""
    passages: list[Passage] = []
    for first in range(0, len(ranked), top_k):
        scores = dict(ranked[first : first + top_k])
        rows = connection.execute(_PASSAGE.format(", ".join("?" * len(scores))), tuple(scores)).fetchall()
        found = {rowid: Passage(*(*fields, round(scores[rowid], 4))) for rowid, *fields in rows}
        passages += [found[rowid] for rowid in scores if rowid in found]
        if len(passages) >= top_k:
            break
    return passages[:top_k]
