"""From the documents bucket to the index: whatever has happened to an object, the index is made to say what is there.

An object's document is looked up first, then the object, then the index is changed if the document still is as it was
looked up. So the last change sees the last object, however often, and in whatever order, messages come.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from citestream.aws import Aws
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.ingest.access import SUFFIX, parse_access
from citestream.ingest.load import VERSION, read
from citestream.ingest.objects import DocumentObject, DocumentObjects
from citestream.ingest.parse import MAX_BYTES
from citestream.ingest.parsed import UnreadableFile
from citestream.model import KB_ID, Chunk, Document, document_id
from citestream.retrieval.aws_writer import AwsWriter
from citestream.retrieval.document_records import DocumentRecord, Outdated
from citestream.retrieval.embedder import Embedder, EmbeddingFailed, Vectors

_LOG = logging.getLogger("citestream.ingest")

# So many chunks are embedded and stored at a time: what is in memory of a large document's vectors.
_BATCH = 256
_TRIES = 10


@dataclass(frozen=True, slots=True)
class _Place:
    """The document that an object stands for."""

    key: str
    kb_id: str
    name: str

    @property
    def document_id(self) -> str:
        return document_id(self.kb_id, self.name)


class BucketIngest:
    """Keeps the index in step with one bucket, whose keys are ``<kb_id>/<name of the document>``."""

    def __init__(self, aws: Aws, bucket: str, writer: AwsWriter, embedder: Embedder) -> None:
        self.bucket = bucket
        self._objects = DocumentObjects(aws, bucket)
        self._writer = writer
        self._embedder = embedder

    async def sync(self, key: str) -> None:
        """Make the index say what the object is, or that it is gone.

        A file that can't be read is recorded with the reason. Raises what may go better another time:
        StoreUnavailable, EmbeddingFailed, WrongIndex.
        """
        place = _place(key)
        if place is None:
            return
        for _ in range(_TRIES):
            try:
                return await self._sync(place)
            except Outdated:
                _LOG.info("%s has changed meanwhile: once more", key)
        raise StoreUnavailable(f"{key} changes too often")

    async def refuse(self, key: str, reason: str, *, for_good: bool) -> None:
        """Record why the object's document can't be had as it is now; ``for_good``: until the object changes."""
        place = _place(key)
        if place is not None:
            old = await self._writer.record(place.document_id)
            found = await self._objects.look(place.key) if for_good else None
            digest = self._digest(found) if found else ""
            await self._writer.refuse(old, place.kb_id, place.name, reason, old.access, digest=digest)

    async def _sync(self, place: _Place) -> None:
        old = await self._writer.record(place.document_id)
        found = await self._objects.look(place.key)
        if found is None:
            await self._writer.remove(old)
        elif old.kb_id is None or old.digest != self._digest(found):
            await self._put(old, place.kb_id, place.name, found)
        await self._writer.sweep(place.kb_id, old)
        if found is None:
            await self._writer.close_if_empty(place.kb_id)

    async def _put(self, old: DocumentRecord, kb_id: str, name: str, found: DocumentObject) -> None:
        digest = self._digest(found)
        try:
            access = None if found.access is None else parse_access(found.access)
        except UnreadableFile as error:
            # Whom it is for is not known: for nobody, then.
            reason = f"{PurePosixPath(name).name}{SUFFIX}: {error}"
            return await self._writer.refuse(old, kb_id, name, reason, (), digest=digest, withdraw=True)
        try:
            text, chunks = await self._read(found, name)
        except UnreadableFile as error:
            # What there was of it is for whom it was then: where that has changed, it can't stay.
            changed = access != old.access
            return await self._writer.refuse(old, kb_id, name, str(error), access, digest=digest, withdraw=changed)
        document = Document(old.document_id, name, kb_id, text, access)
        try:
            await self._writer.replace(old, document, digest, chunks, self._embedded(text, chunks))
        except (EmbeddingFailed, WrongIndex) as error:
            await self._writer.refuse(old, kb_id, name, str(error), access)
            raise

    async def _read(self, found: DocumentObject, name: str) -> tuple[str, list[Chunk]]:
        """The object's text and chunks, by way of a file. Raises UnreadableFile, and Outdated where it has changed."""
        if found.size > MAX_BYTES:
            raise UnreadableFile(f"{found.size:,} bytes: {MAX_BYTES:,} is the limit")
        with tempfile.TemporaryDirectory(prefix="citestream-") as folder:
            path = Path(folder, f"document{PurePosixPath(name).suffix}")
            if not await self._objects.download(found, path):
                raise Outdated(found.key)
            return await asyncio.to_thread(read, path, name)

    async def _embedded(self, text: str, chunks: Sequence[Chunk]) -> AsyncIterator[Vectors]:
        for at in range(0, len(chunks), _BATCH):
            batch = [text[chunk.start : chunk.end] for chunk in chunks[at : at + _BATCH]]
            yield await self._embedder.embed(batch)

    def _digest(self, found: DocumentObject) -> str:
        """Ends with the object's ``source``, by which the command line knows what it waits for."""
        return f"{VERSION}:{self._embedder.id}:{found.source}"


def _place(key: str) -> _Place | None:
    """The document of the object, or of the object beside which this one lies; None where it is none's."""
    key = key.removesuffix(SUFFIX)
    kb_id, _, name = key.partition("/")
    if not name or name.endswith("/"):
        return None  # a folder, as S3's console makes them, or a file that is in none
    if not KB_ID.fullmatch(kb_id):
        _LOG.warning("%s is passed over: %r can't be the id of a knowledge base", key, kb_id)
        return None
    return _Place(key, kb_id, unicodedata.normalize("NFC", name))
