"""The chunks that hold a query's words, by BM25 over the knowledge bases that are searched and no others.

FTS5 counts in how many chunks of the whole index a word stands. Whoever may read only a part of it could tell from
the scores which words the rest holds. So each word is ranked by itself, and what FTS5 took for its rarity is replaced
by its rarity among the chunks that may be read. (The mean length of a chunk stays that of the whole index.)
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from itertools import chain

# What FTS5 gives to a word that stands in half of all chunks, or more.
_LEAST_RARITY = 1e-6
_CHUNKS = "SELECT total(chunk_count), total(chunk_count * (kb IN ({kbs}))) FROM documents"
_HOLDING = "SELECT count(*), total(rowid >> 32 IN ({kbs})) FROM words WHERE words MATCH ?"
_WORD = """
SELECT rowid, -rank * ? AS score FROM words
WHERE words MATCH ? AND rowid BETWEEN {first} << 32 AND ({last} << 32) + 0xFFFFFFFF AND rowid >> 32 IN ({kbs})
"""
_WORDS = "SELECT rowid, sum(score) AS total FROM ({}) GROUP BY rowid ORDER BY total DESC, rowid LIMIT ?"


def by_words(connection: sqlite3.Connection, words: Sequence[str], kbs: Sequence[int], limit: int) -> dict[int, float]:
    """Row ids with BM25 (larger is better) of the ``limit`` best chunks in the knowledge bases of these numbers."""
    if not words or not kbs:
        return {}
    scope: dict[str, object] = {"kbs": ", ".join(map(str, kbs)), "first": min(kbs), "last": max(kbs)}
    chunks: tuple[float, float] = connection.execute(_CHUNKS.format(**scope)).fetchone()
    matches = [f'"{word}"' for word in words]
    corrections = [1.0] * len(words)
    if chunks[0] != chunks[1]:
        found = (connection.execute(_HOLDING.format(**scope), (match,)).fetchone() for match in matches)
        corrections = [_correction(chunks, holding) for holding in found]
    parameters = chain.from_iterable(zip(corrections, matches, strict=True))
    sql = _WORDS.format(" UNION ALL ".join([_WORD.format(**scope)] * len(words)))
    return dict(connection.execute(sql, (*parameters, limit)).fetchall())


def _correction(chunks: tuple[float, float], holding: tuple[float, float]) -> float:
    """What a word weighs in the scope, as a multiple of its weight in the index; each pair is ``(index, scope)``."""
    return _rarity(chunks[1], holding[1]) / _rarity(chunks[0], holding[0])


def _rarity(chunks: float, holding: float) -> float:
    """The inverse document frequency as FTS5 computes it."""
    odds = (chunks - holding + 0.5) / (holding + 0.5)
    return max(math.log(odds), _LEAST_RARITY) if odds > 1 else _LEAST_RARITY
