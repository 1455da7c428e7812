"""How S3 Vectors ranks: exact distances, BM25 for each searchable metadata key, reciprocal rank fusion of all.

Words are in lower case; English ones (``en``) lose their endings by Porter's rules, which SQLite has, and Lucene's stop
words are left out. The analyzers of other languages are not here. Where AWS's user guide is silent: each side brings
topK candidates into the fusion, and a search of several texts alone ranks by the sum of their scores.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
RRF_K = 60
_K1, _B = 1.2, 0.75
# Ideographs, kana, hangul: every character is a word of its own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")


_STOP_WORDS = frozenset(
    _WORD.findall(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they"
        " this to was will with"
    )
)


def words(text: str, language: str | None = None) -> list[str]:
    found = _WORD.findall(text.lower())
    return [_stem(word) for word in found if word not in _STOP_WORDS] if language == "en" else found


@cache
def _stemmer() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", check_same_thread=False)  # whoever asks holds the lock of the vectors
    database.execute("CREATE VIRTUAL TABLE words USING fts5(word, tokenize = 'porter unicode61 remove_diacritics 0')")
    database.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(words, instance)")
    return database


@cache
def _stem(word: str) -> str:
    database = _stemmer()
    database.execute("DELETE FROM words")
    database.execute("INSERT INTO words VALUES (?)", (word,))
    found = database.execute("SELECT term FROM stems").fetchone()
    return str(found[0]) if found else word  # "½" is none to SQLite


class TextIndex:
    """BM25 of one metadata key; a vector without it has the text None."""

    def __init__(self, texts: Sequence[str | None], language: str | None = None) -> None:
        self._language = language
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = np.zeros(len(texts), np.float32)
        for row, text in enumerate(texts):
            counts = Counter(words(text or "", language))
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
        for word, times in Counter(words(query, self._language)).items():
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
