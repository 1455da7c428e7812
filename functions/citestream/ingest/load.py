"""From files to the index: parse, chunk, embed, put; each document whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
from array import array
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from citestream.ingest.access import read_access
from citestream.ingest.chunk import chunks
from citestream.ingest.files import SourceFile
from citestream.ingest.parse import MAX_BYTES, parse
from citestream.ingest.parsed import UnreadableFile
from citestream.ingest.paths import printable
from citestream.model import Access, Chunk, Document, document_id
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.index import Index

#: Change it when the parsers or the chunks change: files that are the same then count as changed.
VERSION: Final = "1"
# So many chunks are embedded at a time: enough for all cores, few enough for a progress bar and for Ctrl-C.
_BATCH = 64
# With a name of this length any frame still holds its citation.
_LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file; ``reason`` where it was skipped."""

    file: SourceFile
    state: Literal["added", "updated", "unchanged", "skipped"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Ready:
    file: SourceFile
    document: Document
    digest: str
    chunks: list[Chunk]
    is_new: bool


async def load(
    files: Iterable[SourceFile], kb_id: str, index: Index, embedder: Embedder | None
) -> AsyncGenerator[Outcome]:
    """Ingest the files into the knowledge base; an outcome each, when it is in the index for good.

    A file that can't be read is skipped, and recorded with the reason; what the index held of it before stays, for
    those who still may read it. Raises StoreUnavailable, WrongIndex and EmbeddingFailed.
    """
    batch: list[_Ready] = []
    for file in files:
        item = await _prepare(file, kb_id, index, with_vectors=embedder is not None)
        if isinstance(item, Outcome):
            yield item
            continue
        batch.append(item)
        if sum(len(each.chunks) for each in batch) >= _BATCH:
            async for outcome in _put(batch, index, embedder):
                yield outcome
            batch = []
    async for outcome in _put(batch, index, embedder):
        yield outcome


def read(path: Path, name: str) -> tuple[str, list[Chunk]]:
    """The text of the file at ``path``, which is to be a document of that name, and its chunks. Blocks.

    Raises UnreadableFile, for a name that can't be one too.
    """
    require_name(name)
    parsed = parse(path)
    return parsed.text, chunks(parsed)


def require_name(name: str) -> None:
    """Raises UnreadableFile for a name that no document can have."""
    if len(name) > _LONGEST_NAME:
        raise UnreadableFile(f"its name is over {_LONGEST_NAME} characters")
    if not name.isprintable():
        raise UnreadableFile("its name holds characters that can't be shown")


async def _prepare(file: SourceFile, kb_id: str, index: Index, *, with_vectors: bool) -> _Ready | Outcome:
    try:
        access = await asyncio.to_thread(read_access, file.path)
    except UnreadableFile as error:
        # Whom the document is for is not known: for nobody, then.
        return await _skipped(file, kb_id, index, str(error), (), withdraw=True)
    try:
        known = await index.indexed(document_id(kb_id, file.name))
        digest = await asyncio.to_thread(_digest, file.path, access)
        # What was indexed by words alone is done again once there is an embedder.
        if known and digest and known.digest == digest and (known.embedded or not with_vectors):
            return Outcome(file, "unchanged")
        text, found = await asyncio.to_thread(read, file.path, file.name)
    except UnreadableFile as error:
        return await _skipped(file, kb_id, index, str(error), access)
    document = Document(document_id(kb_id, file.name), file.name, kb_id, text, access)
    return _Ready(file, document, digest, found, known is None)


async def _skipped(
    file: SourceFile,
    kb_id: str,
    index: Index,
    reason: str,
    access: Access,
    *,
    withdraw: bool = False,
) -> Outcome:
    name = printable(file.name)
    id = document_id(kb_id, name)
    # What there was of the document is for whom it was then: where that has changed, it can't stay.
    before = await index.access([id])
    if id in before and (withdraw or before[id] != access):
        await index.remove(id)
    await index.fail(id, kb_id, name, reason, access)
    return Outcome(file, "skipped", reason)


async def _put(batch: list[_Ready], index: Index, embedder: Embedder | None) -> AsyncGenerator[Outcome]:
    texts = [each.document.text[chunk.start : chunk.end] for each in batch for chunk in each.chunks]
    embedded = await _embedded(texts, embedder) if embedder and texts else None
    at = 0
    for each in batch:
        vectors = embedded[at : at + len(each.chunks)] if embedded is not None else None
        at += len(each.chunks)
        await index.put(each.document, each.digest, each.chunks, vectors)
        yield Outcome(each.file, "added" if each.is_new else "updated")


async def _embedded(texts: list[str], embedder: Embedder) -> Vectors:
    vectors: list[array[float]] = []  # a quarter, at most, of what lists of floats take: it may be a large document
    for at in range(0, len(texts), _BATCH):
        vectors += (array("f", vector) for vector in await embedder.embed(texts[at : at + _BATCH]))
    return vectors


def _digest(path: Path, access: Access) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return ""  # parsing will say so, without reading it: a pipe or device may have no end
        with path.open("rb") as file:
            digest = f"{VERSION}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise UnreadableFile(error.strerror or "it can't be read") from error
    return digest if access is None else f"{digest}:{hashlib.sha256(json.dumps(access).encode()).hexdigest()}"
