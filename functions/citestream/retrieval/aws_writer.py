"""Documents into the stores on AWS, and out of them: whole for every reader, whatever crashes on the way.

A version's text and chunks are written under names of their own; then the document's record is switched to it, which
is the moment at which readers see it; then what stands of the version before is removed. The record knows of each
version that may stand somewhere: who crashes leaves a note of what is to be removed.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import replace

from citestream.aws import Refused, to_its_end
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Access, Chunk, Document
from citestream.retrieval.document_records import DocumentRecord, DocumentRecords
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.kb_records import KbRecord, KbRecords
from citestream.retrieval.text_store import TextStore
from citestream.retrieval.vector_store import VectorStore, Version

# Who has begun to write a version that long ago does not write any more: a function ends after 15 minutes.
_ABANDONED_SECONDS = 1_000
_LONGEST_SLUG = 40
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class AwsWriter:
    """Changes documents, each where its record still is the ``old`` one that the change was decided by.

    Its methods raise Outdated where it is not, and StoreUnavailable.
    """

    def __init__(
        self,
        kbs: KbRecords,
        documents: DocumentRecords,
        vectors: VectorStore,
        texts: TextStore,
        embedder: Embedder,
        *,
        text_search: bool,
    ) -> None:
        self._kbs = kbs
        self._documents = documents
        self._vectors = vectors
        self._texts = texts
        self._embedder = embedder
        self._text_search = text_search

    async def record(self, document_id: str) -> DocumentRecord:
        """What is known of the document, to be read before what it is to be changed to."""
        return await self._documents.get(document_id)

    async def replace(
        self,
        old: DocumentRecord,
        document: Document,
        digest: str,
        chunks: Sequence[Chunk],
        batches: AsyncIterable[Vectors],
    ) -> None:
        """Make this the document; ``batches`` have its chunks' vectors in order.

        Raises WrongIndex where its knowledge base has vectors of another embedder, and what ``batches`` raises.
        """
        kb = await self._open(document.kb_id)
        require_embedder(kb, self._embedder)
        version = Version(secrets.token_hex(8), kb.index, len(chunks))
        try:
            await to_its_end(self._documents.begin(old, version))
            await self._write(kb, version, document, chunks, batches)
            new = DocumentRecord(
                document.document_id,
                kb_id=document.kb_id,
                name=document.name,
                digest=digest,
                access=document.access,
                updated_at=time.time(),
                version=version,
            )
            await self._documents.commit(old, new, kb)
        except BaseException:
            await self._clean(document.kb_id, old, version)
            raise
        if old.version:
            await self._clean(document.kb_id, old, old.version)

    async def refuse(
        self,
        old: DocumentRecord,
        kb_id: str,
        name: str,
        reason: str,
        access: Access,
        *,
        digest: str = "",
        withdraw: bool = False,
    ) -> None:
        """Record why the file can't be read. What answers were made from stays, unless it is to be withdrawn.

        ``access`` says who may see the record, where it is all that there is of the document.
        """
        kb = await self._open(kb_id)
        new = replace(old, kb_id=kb_id, name=name, state="failed", reason=reason, digest=digest, updated_at=time.time())
        if withdraw or old.version is None:
            new = replace(new, version=None, access=access)
        await self._documents.commit(old, new, kb)
        if old.version and withdraw:
            await self._clean(kb_id, old, old.version)

    async def remove(self, old: DocumentRecord) -> bool:
        """Remove the document, and its knowledge base with the last one; False where there is none."""
        if old.kb_id is None:
            return False
        kb = await self._kbs.get(old.kb_id)
        if kb is None:
            raise StoreUnavailable(f"{old.kb_id} is not there, but its document {old.document_id} is")
        await self._documents.commit(old, DocumentRecord(old.document_id, updated_at=time.time()), kb)
        if old.version:
            await self._clean(old.kb_id, old, old.version)
        await self.close_if_empty(old.kb_id)
        return True

    async def sweep(self, kb_id: str, record: DocumentRecord) -> None:
        """Remove what was left by who has crashed, and is not at work any more."""
        for left in record.leftovers:
            if left.since < time.time() - _ABANDONED_SECONDS:
                await self._clean(kb_id, record, left.version)

    async def close_if_empty(self, kb_id: str) -> None:
        """Remove the knowledge base's vector index, and then its record, where it has no document."""
        kb = await self._kbs.get(kb_id)
        if kb and not kb.entry_count and (kb.closing or await self._kbs.close(kb)):
            await self._vectors.delete(kb.index)
            await self._kbs.drop(kb)

    async def _open(self, kb_id: str) -> KbRecord:
        """The knowledge base's record, made where there is none."""
        while True:
            kb = await self._kbs.get(kb_id)
            if kb and not kb.closing:
                return kb
            if kb:
                await self.close_if_empty(kb_id)
                continue
            embedder = self._embedder
            kb = KbRecord(kb_id, _index_name(kb_id), embedder.id, embedder.dimensions, self._text_search)
            if await self._kbs.add(kb):
                return kb

    async def _write(
        self,
        kb: KbRecord,
        version: Version,
        document: Document,
        chunks: Sequence[Chunk],
        batches: AsyncIterable[Vectors],
    ) -> None:
        await to_its_end(self._texts.put(document.document_id, version, document.text))
        written = 0
        async for vectors in batches:
            part = chunks[written : written + len(vectors)]
            await to_its_end(self._put(kb, version, document, written, part, vectors))
            written += len(vectors)
        if written != len(chunks):
            raise ValueError(f"{written} vectors for {len(chunks)} chunks")

    async def _put(
        self, kb: KbRecord, version: Version, document: Document, first: int, chunks: Sequence[Chunk], vectors: Vectors
    ) -> None:
        try:
            await self._vectors.put(version, document, first, chunks, vectors)
        except Refused as error:
            if error.code != "NotFoundException":
                raise
            await self._vectors.create(kb.index, kb.dimensions, text_search=kb.text_search)
            await self._vectors.put(version, document, first, chunks, vectors)

    async def _clean(self, kb_id: str, record: DocumentRecord, version: Version) -> None:
        """Remove all that the version has left, unless it has become the document's.

        Whether it has, not even who has asked for that may know: an answer that does not come says neither.
        """
        if not await self._documents.give_up(record, version):
            return
        kb = await self._kbs.get(kb_id)
        if kb is None or kb.closing or kb.index != version.index:
            # An index that the knowledge base has no more; a writer that did not know may have made it again.
            await self._vectors.delete(version.index)
        else:
            await self._vectors.remove(record.document_id, version)
        await self._texts.remove(record.document_id, version)
        await self._documents.forget(record, version)


def require_embedder(kb: KbRecord, embedder: Embedder) -> None:
    """Raises WrongIndex where the knowledge base's vectors can't be compared with the embedder's."""
    if kb.embedder != embedder.id:
        raise WrongIndex(
            f"knowledge base {kb.kb_id} holds vectors of {kb.embedder}, this program has {embedder.id}: "
            "choose that model, or remove the knowledge base's documents and add them again"
        )


def _index_name(kb_id: str) -> str:
    """A new name, of 3 to 63 characters: one that no removed knowledge base has had, and that tells whose it is."""
    slug = _NOT_IN_NAMES.sub("-", kb_id.lower()).strip("-")[:_LONGEST_SLUG]
    return f"{slug}-{secrets.token_hex(8)}"
