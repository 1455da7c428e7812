"""One ranking out of two: a convex sum of scores, each scaled within its query (Bruch et al., arXiv 2210.11934)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

#: What candidates are known by in an index.
Key = TypeVar("Key", int, str)


def fuse(words: Mapping[Key, float], meaning: Mapping[Key, float], weight: float) -> list[tuple[Key, float]]:
    """Keys with scores from 0 to 1, best first; ``weight`` is that of meaning, 0 to 1.

    Word scores (BM25, larger is better) are scaled from 0 to their best, since 0 is what no match has. Cosines have
    no such zero: they are scaled from the least to the best of the candidates. A key that one side lacks has 0
    there; one that has 0 in all is left out.
    """
    by_words = _scaled(words, 0.0)
    by_meaning = _scaled(meaning, min(meaning.values(), default=0.0))
    if not meaning:
        weight = 0.0
    total = {
        key: weight * by_meaning.get(key, 0.0) + (1 - weight) * by_words.get(key, 0.0)
        for key in by_words.keys() | by_meaning.keys()
    }
    return sorted(((key, score) for key, score in total.items() if score > 0), key=lambda item: (-item[1], item[0]))


def _scaled(scores: Mapping[Key, float], zero: float) -> dict[Key, float]:
    span = max(scores.values(), default=0.0) - zero
    return {key: (score - zero) / span if span > 0 else 1.0 for key, score in scores.items()}
