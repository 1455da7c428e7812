"""One index of S3 Vectors: its vectors, what it takes of them, and its searches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tests.s3_vectors_filter import BadFilter, Filter, is_primitive, parse_filter
from tests.s3_vectors_model import refused
from tests.s3_vectors_search import Floats, Hit, TextIndex, distances, rank

MAX_TOP_K = 100
MAX_METADATA_KEYS = 50
MAX_METADATA_BYTES = 40 * 1024
MAX_FILTERABLE_BYTES = 2 * 1024
Document = dict[str, Any]
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Vector:
    key: str
    data: Floats
    metadata: Document

    def told(self, arguments: Arguments) -> Document:
        found: Document = {"key": self.key}
        if arguments.get("returnData"):
            found["data"] = {"float32": self.data.tolist()}
        if arguments.get("returnMetadata"):
            found["metadata"] = self.metadata
        return found


class Snapshot:
    """The vectors between two writes, in the form that searches want."""

    def __init__(self, vectors: Iterable[Vector]) -> None:
        self.vectors = list(vectors)
        self._texts: dict[str, TextIndex] = {}

    @cached_property
    def matrix(self) -> Floats:
        return np.stack([vector.data for vector in self.vectors])

    def text(self, key: str, language: str | None) -> TextIndex:
        if key not in self._texts:
            texts = [vector.metadata.get(key) for vector in self.vectors]
            self._texts[key] = TextIndex([text if isinstance(text, str) else None for text in texts], language)
        return self._texts[key]


@dataclass
class Index:
    attributes: Document
    vectors: dict[str, Vector] = field(default_factory=dict)
    snapshot: Snapshot | None = None

    @property
    def dimension(self) -> int:
        return int(self.attributes["dimension"])

    @property
    def metric(self) -> str:
        return str(self.attributes["distanceMetric"])

    @property
    def non_filterable(self) -> frozenset[str]:
        return frozenset(self.attributes["metadataConfiguration"].get("nonFilterableMetadataKeys", ()))

    @property
    def searchable(self) -> dict[str, Document]:
        configurations = self.attributes["metadataConfiguration"].get("textSearchConfigurations", ())
        return {each["metadataKey"]: each for each in configurations}

    def vector(self, data: Mapping[str, Any], name: str) -> Floats:
        vector = np.array(data["float32"], np.float32)
        if vector.shape != (self.dimension,):
            raise refused(f"{name}: vector must have length {self.dimension}, but has length {len(vector)}")
        if not np.isfinite(vector).all():
            raise refused(f"{name}: vector must contain only finite numbers")
        if self.metric == "cosine" and not vector.any():
            raise refused(f"{name}: a zero vector has no cosine distance")
        return vector

    def search(self, arguments: Arguments) -> tuple[Snapshot, list[Hit]]:
        """The best ``topK``, as rows of the snapshot that comes with them."""
        self._check(arguments)
        query = self.vector(arguments["queryVector"], "queryVector") if "queryVector" in arguments else None
        allows = self._filter(arguments)
        snapshot = self.snapshot = self.snapshot or Snapshot(self.vectors.values())
        if not snapshot.vectors:
            return snapshot, []
        allowed = [row for row, vector in enumerate(snapshot.vectors) if allows(vector.metadata)]
        away = None if query is None else distances(snapshot.matrix, query, self.metric)
        texts = {text["metadataKey"]: text["text"] for text in arguments.get("queryTexts", ())}
        languages = {key: each.get("language") for key, each in self.searchable.items()}
        scores = {key: snapshot.text(key, languages[key]).scores(text) for key, text in texts.items()}
        return snapshot, rank(np.array(allowed, np.intp), arguments["topK"], away, scores)

    def metadata(self, metadata: object, name: str) -> Document:
        if not isinstance(metadata, dict) or len(metadata) > MAX_METADATA_KEYS:
            raise refused(f"{name}: metadata is an object of at most {MAX_METADATA_KEYS} keys")
        for key, value in metadata.items():
            if not 1 <= len(key) <= 63 or not all(map(is_primitive, value if isinstance(value, list) else [value])):
                raise refused(f"{name}: the metadata {key!r} is no string, number, boolean or list of these")
        filterable = {key: value for key, value in metadata.items() if key not in self.non_filterable}
        for said, part, limit in (
            ("metadata", metadata, MAX_METADATA_BYTES),
            ("filterable metadata", filterable, MAX_FILTERABLE_BYTES),
        ):
            if (size := _size(part)) > limit:
                raise refused(f"{name}: {said} must have at most {limit} bytes, but has {size}")
        return metadata

    def _check(self, arguments: Arguments) -> None:
        texts = arguments.get("queryTexts", ())
        if arguments["topK"] > MAX_TOP_K:
            raise refused(f"topK must be between 1 and {MAX_TOP_K}, not {arguments['topK']}")
        if "queryVector" not in arguments and not texts:
            raise refused("a query has queryVector, queryTexts or both")
        if arguments.get("queryMode", "ENHANCED") != "ENHANCED":
            raise refused("the index is ENHANCED: queryMode can't be CLASSIC")
        for text in distinct(texts):
            if text["metadataKey"] not in self.searchable:
                raise refused(f"the metadata key {text['metadataKey']!r} is not full-text searchable")

    def _filter(self, arguments: Arguments) -> Filter:
        if "filter" not in arguments:
            return lambda metadata: True
        try:
            return parse_filter(arguments["filter"], self.non_filterable)
        except BadFilter as error:
            raise refused(f"Invalid filter: {error}") from error


def told(hit: Hit, vector: Vector, arguments: Arguments) -> Document:
    """A result as QueryVectors answers it."""
    found = vector.told({"returnMetadata": arguments.get("returnMetadata")})
    if arguments.get("returnDistance") and hit.distance is not None:
        found["distance"] = hit.distance
    if arguments.get("returnScores") and "queryTexts" in arguments:
        scores: Document = {"bm25Scores": [{"metadataKey": key, "score": score} for key, score in hit.bm25.items()]}
        if "queryVector" in arguments:
            scores["fused"] = hit.fused
        if hit.distance is not None:
            scores["vectorDistance"] = hit.distance
        found["scores"] = scores
    return found


def distinct(entries: Sequence[Document]) -> Sequence[Document]:
    if len({entry["metadataKey"] for entry in entries}) < len(entries):
        raise refused("a metadata key may appear once only")
    return entries


def _size(metadata: Document) -> int:
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())
