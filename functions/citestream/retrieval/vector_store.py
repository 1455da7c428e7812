"""Chunks in Amazon S3 Vectors: one index per knowledge base, searched by words and by meaning in one query.

Limits and meanings are those of the user guide's pages "Limitations and restrictions", "Metadata filtering" and
"Hybrid search" (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors.html).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from citestream.aws import Aws, Refused
from citestream.model import Chunk, Document
from citestream.retrieval.embedder import Vectors
from citestream.retrieval.index import Principals

T = TypeVar("T")
_LOG = logging.getLogger("citestream")
# Principals of documents for everybody, and for nobody: what is no principal, neither in a list nor in a token.
_EVERYBODY = "*"
_NOBODY = "nobody\n"
# A filter may have 100 constraints; each value is counted as one, to be safe. More principals are more queries.
_MOST_VALUES = 45
_MOST_TEXT = 1024
_MOST_RESULTS = 100
_MOST_VECTORS = 500
_MOST_KEYS = 500
# A request may have 20 MiB, of JSON in ASCII: a number takes up to 26 bytes there, and a letter up to 12.
_REQUEST_BYTES = 20_000_000
_NUMBER_BYTES = 26
# What a word of the heading is worth, beside one of the text.
_HEADING_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a document in the vector index of that name: how many chunks it has, or may have, there."""

    id: str
    index: str
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that a query found: its BM25 score (``words``) and its cosine (``meaning``).

    None where it was not found on that side.
    """

    key: str
    document_id: str
    version: str
    ordinal: int
    name: str
    text: str
    chunk: Chunk
    words: float | None
    meaning: float | None


class VectorStore:
    """The vector indexes of one vector bucket. Its methods raise StoreUnavailable."""

    def __init__(self, aws: Aws, bucket: str, language: str = "") -> None:
        self._aws = aws
        self._bucket = bucket
        self._language = language

    async def create(self, index: str, dimensions: int, *, text_search: bool) -> None:
        """Create the index; one that is there is left as it is."""
        configuration: dict[str, Any] = {"nonFilterableMetadataKeys": ["text", "heading", "document", "place"]}
        if text_search:
            language = {"language": self._language} if self._language else {}
            configuration["textSearchConfigurations"] = [{"metadataKey": key} | language for key in ("text", "heading")]
        try:
            await self._call(
                "create_index",
                index,
                dataType="float32",
                dimension=dimensions,
                distanceMetric="cosine",
                metadataConfiguration=configuration,
            )
        except Refused as error:
            if error.code != "ConflictException":
                raise

    async def delete(self, index: str) -> None:
        """Delete the index with all that it holds; none that is there is no error."""
        await self._unless_missing("delete_index", index)

    async def put(
        self, version: Version, document: Document, first: int, chunks: Sequence[Chunk], vectors: Vectors
    ) -> None:
        """Add the chunks, the document's ``first`` and the following ones. Raises Refused NotFoundException where there
        is no such index."""
        items = [
            {
                "key": _key(document.document_id, version.id, first + i),
                "data": {"float32": list(vector)},
                "metadata": _metadata(document, version.id, chunk),
            }
            for i, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True))
        ]
        for batch in _requests(items):
            await self._call("put_vectors", version.index, vectors=batch)

    async def remove(self, document_id: str, version: Version) -> None:
        """Remove all chunks of the version; those that are not there are no error."""
        keys = [_key(document_id, version.id, ordinal) for ordinal in range(version.chunk_count)]
        for batch in _batches(keys, _MOST_KEYS):
            await self._unless_missing("delete_vectors", version.index, keys=batch)

    async def query(
        self,
        index: str,
        vector: Sequence[float],
        text: str | None,
        principals: Principals,
        without: Sequence[str] = (),
    ) -> list[Candidate]:
        """The candidates for the caller with these principals, by words too where ``text`` is given.

        Those of the versions in ``without`` are passed over. There are none in an index that is not there (any more).
        """
        search = {"topK": _MOST_RESULTS, "queryVector": {"float32": list(vector)}}
        filters = list(_filters(principals, without))
        try:
            found = await asyncio.gather(*(self._query(index, search | _sides(text) | each) for each in filters))
        except Refused as error:
            if text is None or error.code != "ValidationException":
                raise
            # Which texts an analyzer makes nothing of is not known beforehand.
            _LOG.warning("the words of a question are left out: %s refuses them", index)
            return await self.query(index, vector, None, principals, without)
        return list({each.key: each for candidates in found for each in candidates}.values())

    async def _query(self, index: str, search: dict[str, Any]) -> list[Candidate]:
        found: list[Candidate] = []
        more: dict[str, Any] = {}
        while True:
            page = await self._unless_missing("query_vectors", index, returnMetadata=True, **search, **more)
            if page is None:
                _LOG.warning("nothing can be found in %s of %s: it is not there", index, self._bucket)
                return found
            found += map(_candidate, page["vectors"])
            if not page.get("nextToken") or len(found) >= _MOST_RESULTS:
                return found
            more = {"nextToken": page["nextToken"]}

    async def _unless_missing(self, operation: str, index: str, **arguments: Any) -> dict[str, Any] | None:
        try:
            return await self._call(operation, index, **arguments)
        except Refused as error:
            if error.code != "NotFoundException":
                raise
            return None

    async def _call(self, operation: str, index: str, **arguments: Any) -> dict[str, Any]:
        return await self._aws.call("s3vectors", operation, vectorBucketName=self._bucket, indexName=index, **arguments)


def _key(document_id: str, version: str, ordinal: int) -> str:
    return f"{document_id}/{version}/{ordinal}"


def _metadata(document: Document, version: str, chunk: Chunk) -> dict[str, Any]:
    """``p`` and ``v`` can be filtered by, and are bounded: S3 Vectors takes 2 KB of what can."""
    place = [chunk.start, chunk.end, chunk.page, chunk.section]
    return {
        "p": [_EVERYBODY] if document.access is None else list(document.access) or [_NOBODY],
        "v": version,
        "text": document.text[chunk.start : chunk.end],
        "heading": f"{PurePosixPath(document.name).stem} {chunk.section or ''}".strip(),
        "document": document.name,
        "place": json.dumps(place, ensure_ascii=False),
    }


def _candidate(found: dict[str, Any]) -> Candidate:
    metadata, scores = found["metadata"], found.get("scores", {})
    document_id, version, ordinal = found["key"].split("/")
    bm25 = {each["metadataKey"]: each["score"] for each in scores.get("bm25Scores", [])}
    distance = scores.get("vectorDistance", found.get("distance"))
    return Candidate(
        key=found["key"],
        document_id=document_id,
        version=version,
        ordinal=int(ordinal),
        name=metadata["document"],
        text=metadata["text"],
        chunk=Chunk(*json.loads(metadata["place"])),
        words=bm25.get("text", 0.0) + _HEADING_WEIGHT * bm25.get("heading", 0.0) if bm25 else None,
        meaning=None if distance is None else 1.0 - distance,
    )


def _sides(text: str | None) -> dict[str, Any]:
    """What is asked beside the vector, and what of both is to be told."""
    if text is None:
        return {"returnDistance": True}
    words = [{"metadataKey": key, "text": _cut(text)} for key in ("text", "heading")]
    return {"queryTexts": words, "returnScores": True}


def _filters(principals: Principals, without: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What limits a query to documents that the caller may see: applied before the search, never behind it."""
    others = [{"v": {"$nin": list(without)[:_MOST_VALUES]}}] if without else []
    if principals is None:
        yield {"filter": others[0]} if others else {}
        return
    for batch in _batches(sorted(principals), _MOST_VALUES) or [[]]:
        yield {"filter": {"$and": [{"p": {"$in": [_EVERYBODY, *batch]}}, *others]}}


def _cut(text: str) -> str:
    """The beginning of the text that a query may have, in whole words where it has any."""
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT].rpartition(" ")[0] or text[:_MOST_TEXT]


def _requests(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The vectors in as few requests as their limits let."""
    batch: list[dict[str, Any]] = []
    size = 0
    for item in items:
        bytes_ = len(item["data"]["float32"]) * _NUMBER_BYTES + len(json.dumps(item["metadata"])) + len(item["key"])
        if batch and (len(batch) == _MOST_VECTORS or size + bytes_ > _REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += bytes_
    if batch:
        yield batch


def _batches(items: Sequence[T], most: int) -> list[Sequence[T]]:
    return [items[at : at + most] for at in range(0, len(items), most)]
