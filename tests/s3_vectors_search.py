"""How S3 Vectors ranks: exact distances, BM25 for each searchable metadata key, reciprocal rank fusion of all.

The analyzer is the standard one whatever the language: words in lower case, without stemming and without stop words.
Where AWS's user guide is silent: each side brings topK candidates into the fusion, and a search of several texts alone
ranks by the sum of their scores.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
RRF_K = 60
_K1, _B = 1.2, 0.75
# Ideographs, kana, hangul: every character is a word of its own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class TextIndex:
    """BM25 of one metadata key; a vector without it has the text None."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = np.zeros(len(texts), np.float32)
        for row, text in enumerate(texts):
            counts = Counter(words(text or ""))
            lengths[row] = counts.total()
            for word, count in counts.items():
                found[word].append((row, count))
        self._postings = {word: np.array(rows, np.intp).T for word, rows in found.items()}
        self._texts = sum(text is not None for text in texts)
        mean = float(lengths.sum()) / max(self._texts, 1)
        self._saturation = _K1 * (1 - _B + _B * lengths / max(mean, 1e-9))

    def scores(self, query: str) -> Floats:
        """One per vector; 0 where no word of the query is in its text."""
        total = np.zeros(len(self._saturation), np.float32)
        for word, times in Counter(words(query)).items():
            if word in self._postings:
                rows, counts = self._postings[word]
                rarity = math.log(1 + (self._texts - len(rows) + 0.5) / (len(rows) + 0.5))
                total[rows] += times * rarity * counts * (_K1 + 1) / (counts + self._saturation[rows])
        return total


@dataclass
class Hit:
    """A vector that was found, and what each side says of it where that side has found it."""

    row: int
    distance: float | None = None
    bm25: dict[str, float] = field(default_factory=dict)
    fused: float = 0.0


def distances(matrix: Floats, query: Floats, metric: str) -> Floats:
    if metric == "euclidean":
        return np.asarray(np.linalg.norm(matrix - query, axis=1), np.float32)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(query)
    return np.asarray(1 - (matrix @ query) / lengths, np.float32)


def rank(allowed: Rows, top_k: int, away: Floats | None, scores: Mapping[str, Floats]) -> list[Hit]:
    """The best ``top_k`` of the ``allowed`` rows, best first.

    ``away`` has every row's distance from the query vector, ``scores`` every row's BM25 for each searched key.
    """
    sides = [] if away is None else [_best(allowed, away[allowed], top_k)]
    hits: dict[int, Hit] = defaultdict(lambda: Hit(-1))
    for key, score in scores.items():
        matched = allowed[score[allowed] > 0]
        sides.append(_best(matched, -score[matched], top_k if away is not None else len(matched)))
        for row in sides[-1]:
            hits[row].bm25[key] = float(score[row])
    if away is not None:
        for row in sides[0]:
            hits[row].distance = float(away[row])
    for side in sides:
        for place, row in enumerate(side, 1):
            hits[row].row = row
            hits[row].fused += 1 / (RRF_K + place)
    return sorted(hits.values(), key=lambda hit: _order(hit, away is not None, bool(scores)))[:top_k]


def _order(hit: Hit, by_vector: bool, by_text: bool) -> tuple[float, int]:
    if by_vector and by_text:
        return -hit.fused, hit.row
    if by_text:
        return -sum(hit.bm25.values()), hit.row
    assert hit.distance is not None
    return hit.distance, hit.row


def _best(rows: Rows, away: Floats, top: int) -> list[int]:
    return [int(row) for row in rows[np.argsort(away, kind="stable")[:top]]]
