"""Texts as the product ingests them, and where in them a place of the original has gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from citestream.evaluation.data import Span
from citestream.ingest.files import SourceFile
from citestream.ingest.load import load
from citestream.ingest.normal import normalise
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.sqlite_index import SqliteIndex

#: The knowledge base that the texts are in.
KB_ID = "eval"


@asynccontextmanager
async def ingested(texts: Mapping[str, str], embedder: Embedder) -> AsyncGenerator[SqliteIndex]:
    """An index with the texts as documents, by their names; it goes when it is left."""
    with TemporaryDirectory() as folder:
        index = SqliteIndex(Path(folder, "index.db"), embedder)
        try:
            await ingest(texts, index, embedder)
            yield index
        finally:
            await index.aclose()


async def ingest(texts: Mapping[str, str], index: SqliteIndex, embedder: Embedder) -> None:
    """Put the texts into the index, read and cut as files of these names. Raises ValueError for what can't be read."""
    with TemporaryDirectory() as folder:
        files = [_written(Path(folder, str(number)), *each) for number, each in enumerate(texts.items())]
        async for outcome in load(files, KB_ID, index, embedder):
            if outcome.state == "skipped":
                raise ValueError(f"{outcome.file.name} is not read: {outcome.reason}")


def located(raw: str, span: Span) -> Span:
    """Where the span of ``raw`` is in the normalised text: in full, but for white space at its ends.

    Raises ValueError where it is nowhere: it cuts a character, or is nothing but white space.
    """
    text, words = _normal(raw), normalise(raw[slice(*span)]).strip()
    about = len(normalise(raw[: span[0]]))
    places = [place for place in (text.rfind(words, 0, about + len(words)), text.find(words, about)) if place >= 0]
    if not words or not places:
        raise ValueError(f"{raw[slice(*span)]!r} at {span} is nowhere in the normalised text")
    start = min(places, key=lambda place: abs(place - about))
    return start, start + len(words)


@lru_cache(maxsize=1)
def _normal(raw: str) -> str:
    """As spans come, most are of the same text as the one before."""
    return normalise(raw)


def _written(stem: Path, name: str, text: str) -> SourceFile:
    path = stem.with_suffix(PurePath(name).suffix)
    path.write_bytes(text.encode())
    return SourceFile(path, name)
