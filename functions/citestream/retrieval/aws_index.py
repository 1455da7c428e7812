"""The index on AWS: vectors and words in S3 Vectors, texts in S3, and the word on what is valid in DynamoDB.

Readers go by a document's record: a chunk of another version than it names is passed over, so that no answer sees two
versions of a document, or half of one. Nothing else is filtered behind the search.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from citestream.errors import StoreUnavailable
from citestream.model import Access, Chunk, Document, DocumentEntry, KnowledgeBase, Passage
from citestream.retrieval.aws_writer import AwsWriter, require_embedder
from citestream.retrieval.document_records import DocumentRecord, DocumentRecords, Outdated
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.fusion import fuse
from citestream.retrieval.index import Indexed, Principals
from citestream.retrieval.kb_records import KbRecord, KbRecords
from citestream.retrieval.text_store import TextStore
from citestream.retrieval.vector_store import Candidate, VectorStore

T = TypeVar("T")
# A document that is replaced between the query and the look at its record is looked for again: as often as anybody
# may replace documents within one search.
_TRIES = 10


class AwsIndex:
    """Shared by every function that has the same table and buckets.

    Needs an embedder: S3 Vectors holds nothing without a vector. ``writer`` changes the same stores.
    """

    def __init__(
        self,
        kbs: KbRecords,
        documents: DocumentRecords,
        vectors: VectorStore,
        texts: TextStore,
        embedder: Embedder,
        writer: AwsWriter,
    ) -> None:
        self.writer = writer
        self._kbs = kbs
        self._documents = documents
        self._vectors = vectors
        self._texts = texts
        self._embedder = embedder

    async def kb_ids(self) -> Sequence[str]:
        return [kb.kb_id for kb in await self._kbs.all() if kb.entry_count]

    async def knowledge_bases(self) -> Sequence[KnowledgeBase]:
        found = [kb for kb in await self._kbs.all() if kb.entry_count]
        return [KnowledgeBase(kb.kb_id, kb.document_count, kb.chunk_count) for kb in found]

    async def documents(self, kb_id: str, after: str = "", limit: int = 1000) -> Sequence[DocumentEntry]:
        return [record.entry for record in await self._documents.entries(kb_id, after, limit)]

    async def document(self, document_id: str) -> Document | None:
        for _ in range(_TRIES):
            record = await self._documents.get(document_id)
            if record.kb_id is None or record.version is None:
                return None
            text = await self._texts.get(document_id, record.version)
            if text is not None:
                return Document(document_id, record.name, record.kb_id, text, record.access)
        raise StoreUnavailable(f"the text of {document_id} is not where its record says")

    async def access(self, document_ids: Sequence[str]) -> Mapping[str, Access]:
        records = await self._documents.get_many(document_ids)
        return {each: record.access for each, record in records.items() if record.version}

    async def search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals = None
    ) -> Sequence[Passage]:
        if not kb_ids:
            return []
        kbs, (vector,) = await asyncio.gather(self._searchable(kb_ids), self._embedder.embed([query]))
        stale: set[str] = set()
        known: dict[str, str | None] = {}
        for _ in range(_TRIES):
            found = await self._candidates(kbs, vector, query, principals, stale)
            current = await self._current({*known, *(candidate.document_id for _, candidate in found)})
            valid = [(kb, each) for kb, each in found if current[each.document_id] == each.version]
            # A version that was passed over may have become its document's before the query, or after it.
            if len(valid) == len(found) and all(current[each] == version for each, version in known.items()):
                break
            # What has replaced these was not there yet, or crowded out: nor may the chunks of a large document in the
            # making, or one that is being removed, crowd out all others.
            stale = {*stale, *(candidate.version for _, candidate in found)} - set(current.values())
            known = current
        return _ranked(valid, self._weight(query, kbs), top_k)

    async def indexed(self, document_id: str) -> Indexed | None:
        record = await self._documents.get(document_id)
        return None if record.version is None else Indexed(record.digest, embedded=True)

    async def put(self, document: Document, digest: str, chunks: Sequence[Chunk], vectors: Vectors | None) -> None:
        if vectors is None:
            raise ValueError("S3 Vectors holds no document without vectors")
        write = self.writer.replace
        await self._now(document.document_id, lambda old: write(old, document, digest, chunks, _one(vectors)))

    async def fail(self, document_id: str, kb_id: str, name: str, reason: str, access: Access = None) -> None:
        await self._now(document_id, lambda old: self.writer.refuse(old, kb_id, name, reason, access))

    async def remove(self, document_id: str) -> bool:
        return await self._now(document_id, self.writer.remove)

    async def aclose(self) -> None:
        """Nothing is the index's own: the way to AWS is its owner's to close."""

    async def _now(self, document_id: str, change: Callable[[DocumentRecord], Awaitable[T]]) -> T:
        """Make the change, whatever the document is by then."""
        while True:
            try:
                return await change(await self._documents.get(document_id))
            except Outdated:
                continue

    async def _searchable(self, kb_ids: Sequence[str]) -> list[KbRecord]:
        wanted = set(kb_ids)
        found = [kb for kb in await self._kbs.all() if kb.kb_id in wanted and kb.document_count]
        for kb in found:
            require_embedder(kb, self._embedder)
        return found

    async def _current(self, document_ids: Collection[str]) -> dict[str, str | None]:
        """The version that each document has now; None for those that are not there."""
        records = await self._documents.get_many(document_ids)
        versions = {each: record.version.id for each, record in records.items() if record.version}
        return {each: versions.get(each) for each in document_ids}

    async def _candidates(
        self,
        kbs: Sequence[KbRecord],
        vector: Sequence[float],
        query: str,
        principals: Principals,
        without: Collection[str],
    ) -> list[tuple[KbRecord, Candidate]]:
        """The best of each knowledge base: each is an index of its own, and a boundary."""
        queries = (
            self._vectors.query(kb.index, vector, query if kb.text_search else None, principals, sorted(without))
            for kb in kbs
        )
        found = await asyncio.gather(*queries)
        return [(kb, candidate) for kb, candidates in zip(kbs, found, strict=True) for candidate in candidates]

    def _weight(self, query: str, kbs: Sequence[KbRecord]) -> float:
        """What meaning counts beside words: all, where no knowledge base can be searched by words."""
        return self._embedder.weight(query) if any(kb.text_search for kb in kbs) else 1.0


def _ranked(found: Sequence[tuple[KbRecord, Candidate]], weight: float, top_k: int) -> list[Passage]:
    words = {each.key: each.words for _, each in found if each.words is not None}
    meaning = {each.key: each.meaning for _, each in found if each.meaning is not None}
    by_key = {each.key: (kb.kb_id, each) for kb, each in found}
    return [_passage(*by_key[key], score) for key, score in fuse(words, meaning, weight)[:top_k]]


def _passage(kb_id: str, found: Candidate, score: float) -> Passage:
    return Passage(
        f"{found.document_id}-{found.ordinal}",
        found.document_id,
        found.name,
        kb_id,
        found.text,
        found.chunk.start,
        found.chunk.end,
        found.chunk.page,
        found.chunk.section,
        round(score, 4),
    )


async def _one(vectors: Vectors) -> AsyncIterator[Vectors]:
    yield vectors
