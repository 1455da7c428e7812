"""From the documents bucket to the index: whatever has happened to an object, the index is made to say what is there.

An object's document is looked up first, then the object, then the index is changed if the document still is as it was
looked up. So the last change sees the last object, however often, and in whatever order, messages come.
"""

from __future__ import annotations

import asyncio
import logging
import math
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from citestream.aws import Aws, Denied
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.ingest.access import SUFFIX, parse_access
from citestream.ingest.load import VERSION, read, require_name
from citestream.ingest.objects import DocumentObject, DocumentObjects
from citestream.ingest.parse import MAX_BYTES, require_kind
from citestream.ingest.parsed import UnreadableFile
from citestream.ingest.paths import printable
from citestream.model import KB_ID, Access, Chunk, Document, document_id
from citestream.retrieval.aws_writer import AwsWriter
from citestream.retrieval.document_records import DocumentRecord, Outdated
from citestream.retrieval.embedder import Embedder, EmbeddingFailed, Vectors

_LOG = logging.getLogger("citestream.ingest")

# So many chunks are embedded and stored at a time: what is in memory of a large document's vectors.
_BATCH = 256
_TRIES = 10
# Bytes that a key of one of DynamoDB's indexes may have.
_LONGEST_LISTED = 1024
_DENIED = "its object can't be read: access to it is denied"


@dataclass(frozen=True, slots=True)
class _Place:
    """The document that an object stands for."""

    key: str
    kb_id: str
    name: str

    @property
    def document_id(self) -> str:
        return document_id(self.kb_id, self.name)

    @property
    def listed(self) -> str:
        """The name as the list of documents can show it, and sort by it, also where it can't be a document's."""
        return printable(self.name).encode()[:_LONGEST_LISTED].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class _Limit:
    """When to stop reading, and whether the document is to be given up then."""

    seconds: float
    until: float
    give_up: bool


class BucketIngest:
    """Keeps the index in step with one bucket, whose keys are ``<kb_id>/<name of the document>``."""

    def __init__(self, aws: Aws, bucket: str, writer: AwsWriter, embedder: Embedder) -> None:
        self.bucket = bucket
        self._objects = DocumentObjects(aws, bucket)
        self._writer = writer
        self._embedder = embedder

    async def sync(self, key: str, seconds: float = math.inf, *, give_up: bool = True) -> None:
        """Make the index say what the object is, or that it is gone.

        A file that can't be read is recorded with the reason; so is one that takes more than so many seconds, if it is
        to be given up. Raises what may go better another time: TimeoutError where it is not to be given up,
        StoreUnavailable, EmbeddingFailed, WrongIndex, and whatever is unforeseen.
        """
        place = _place(key)
        if place is None:
            return
        limit = _Limit(seconds, asyncio.get_running_loop().time() + seconds, give_up)
        for _ in range(_TRIES):
            try:
                return await self._sync(place, limit)
            except Outdated:
                _LOG.info("%s has changed meanwhile: once more", key)
        raise StoreUnavailable(f"{key} changes too often")

    async def _sync(self, place: _Place, limit: _Limit) -> None:
        old = await self._writer.record(place.document_id)
        await self._writer.sweep(place.kb_id, old)
        try:
            found = await self._objects.look(place.key)
        except UnreadableFile as error:
            return await self._withdraw(old, place, str(error))
        except Denied:
            await self._withdraw(old, place, _DENIED)
            raise
        if found is None:
            await self._writer.remove(old)
            await self._writer.close_if_empty(place.kb_id)
        elif old.kb_id is None or old.digest != self._digest(found):
            await self._put(old, place, found, limit)

    async def _put(self, old: DocumentRecord, place: _Place, found: DocumentObject, limit: _Limit) -> None:
        digest = self._digest(found)
        try:
            access = None if found.access is None else parse_access(found.access)
        except UnreadableFile as error:
            reason = f"{PurePosixPath(place.listed).name}{SUFFIX}: {error}"
            return await self._withdraw(old, place, reason, digest)
        try:
            async with asyncio.timeout_at(limit.until):
                text, chunks = await self._read(found, place.name)
                document = Document(old.document_id, place.name, place.kb_id, text, access)
                await self._writer.replace(old, document, digest, chunks, self._embedded(text, chunks))
        except Exception as error:
            reason, comes_again = _told(error, place.key, limit)
            if reason:
                # What there was of it is for whom it was then: where that has changed, it can't stay.
                await self._refuse(old, place, reason, access, "" if comes_again else digest, access != old.access)
            if comes_again:
                raise

    async def _withdraw(self, old: DocumentRecord, place: _Place, reason: str, digest: str = "") -> None:
        """Record why it is not known whom the document is for: for nobody, then."""
        await self._refuse(old, place, reason, (), digest, withdraw=True)

    async def _refuse(
        self, old: DocumentRecord, place: _Place, reason: str, access: Access, digest: str, withdraw: bool
    ) -> None:
        name = place.listed
        await self._writer.refuse(old, place.kb_id, name, reason, access, digest=digest, withdraw=withdraw)

    async def _read(self, found: DocumentObject, name: str) -> tuple[str, list[Chunk]]:
        """The object's text and chunks, by way of a file. Raises UnreadableFile, and Outdated where it has changed."""
        require_name(name)
        require_kind(name)
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


def _told(error: Exception, key: str, limit: _Limit) -> tuple[str, bool]:
    """Why a document can't be had, if that is to be recorded, and whether it may go better another time."""
    match error:
        case UnreadableFile():
            return str(error), False
        case TimeoutError() if limit.give_up:
            return f"it takes longer than {limit.seconds:.0f} s to read and to embed", False
        case Denied():
            return _DENIED, True
        case EmbeddingFailed() | WrongIndex():
            return str(error), True
        case StoreUnavailable() | Outdated() | TimeoutError():
            return "", True
    _LOG.error("%s: unforeseen", key, exc_info=error)
    return "it can't be read, for an unforeseen reason that the log tells", True


def _place(key: str) -> _Place | None:
    """The document of the object, or of the object beside which this one lies; None where it is none's."""
    key = key.removesuffix(SUFFIX)
    kb_id, _, name = key.partition("/")
    if not name or name.endswith(("/", SUFFIX)):
        return None  # a folder, as S3's console makes them, or a file that is in none, or the list of a list
    if not KB_ID.fullmatch(kb_id):
        _LOG.warning("%s is passed over: %r can't be the id of a knowledge base", key, kb_id)
        return None
    return _Place(key, kb_id, unicodedata.normalize("NFC", name))
