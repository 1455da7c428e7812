"""The chunks that hold a query's words, by BM25 over the shelves that are searched and no others.

FTS5 counts in how many chunks of the whole index a word stands. Whoever may read only a part of it could tell from
the scores which words the rest holds. So each word is ranked by itself, and what FTS5 took for its rarity is replaced
by its rarity among the chunks that may be read. (The mean length of a chunk stays that of the whole index.)
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Sequence
from itertools import chain

from citestream.sqlite import snapshot

# What FTS5 gives to a word that stands in half of all chunks, or more.
_LEAST_RARITY = 1e-6
# A table, as it may be a thousand shelves: looked up faster than a list of numbers, which each word would repeat.
_SCOPE = "CREATE TEMP TABLE IF NOT EXISTS scope (shelf INTEGER PRIMARY KEY)"
_CHUNKS = "SELECT total(chunk_count), total(chunk_count * (shelf IN temp.scope)) FROM documents"
_HOLDING = "SELECT count(*), total(rowid >> 32 IN temp.scope) FROM words WHERE words MATCH ?"
_WORD = """
SELECT rowid, -rank * ? AS score FROM words
WHERE words MATCH ? AND rowid >> 32 IN temp.scope AND rowid >= (SELECT min(shelf) << 32 FROM temp.scope)
      AND rowid < (SELECT max(shelf) + 1 << 32 FROM temp.scope)
"""
_WORDS = "SELECT rowid, sum(score) AS total FROM ({}) GROUP BY rowid ORDER BY total DESC, rowid LIMIT ?"


def by_words(
    connection: sqlite3.Connection, words: Sequence[str], shelves: Collection[int], limit: int
) -> dict[int, float]:
    """Row ids with BM25 (larger is better) of the ``limit`` best chunks on these shelves."""
    if not words or not shelves:
        return {}
    matches = [f'"{word}"' for word in words]
    sql = _WORDS.format(" UNION ALL ".join([_WORD] * len(words)))
    with snapshot(connection):
        connection.execute(_SCOPE)
        connection.execute("DELETE FROM temp.scope")
        connection.executemany("INSERT INTO temp.scope VALUES (?)", ((shelf,) for shelf in shelves))
        parameters = chain.from_iterable(zip(_corrections(connection, matches), matches, strict=True))
        return dict(connection.execute(sql, (*parameters, limit)).fetchall())


def _corrections(connection: sqlite3.Connection, matches: Sequence[str]) -> list[float]:
    chunks: tuple[float, float] = connection.execute(_CHUNKS).fetchone()
    if chunks[0] == chunks[1]:
        return [1.0] * len(matches)
    return [_correction(chunks, connection.execute(_HOLDING, (match,)).fetchone()) for match in matches]


def _correction(chunks: tuple[float, float], holding: tuple[float, float]) -> float:
    """What a word weighs in the scope, as a multiple of its weight in the index; each pair is ``(index, scope)``."""
    return _rarity(chunks[1], holding[1]) / _rarity(chunks[0], holding[0])


def _rarity(chunks: float, holding: float) -> float:
    """The inverse document frequency as FTS5 computes it."""
    odds = (chunks - holding + 0.5) / (holding + 0.5)
    return max(math.log(odds), _LEAST_RARITY) if odds > 1 else _LEAST_RARITY
