"""The embedder that needs no network: all-MiniLM-L6-v2 with 8-bit weights."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from citestream.retrieval import weights
from citestream.retrieval.embedder import Vectors
from citestream.retrieval.wordpiece import WordPiece
from citestream.retrieval.words import latin_share, words

_MOST_TOKENS = 256
# How much meaning weighs where the query is in Latin letters (the model reads English), and how much more where the
# model knows its words: one that it has no token for it spells, and hardly understands. The sum is the best of what was
# tried on other data than SciFact. That half of it is for known words was chosen on XQuAD: German gains 0.008 there,
# English nothing.
_WEIGHT, _KNOWN_WEIGHT = 0.2, 0.2


class MiniLM:
    """all-MiniLM-L6-v2. What is beyond the first 256 tokens of a text has no part in its vector."""

    id = weights.MINILM.id
    dimensions = 384

    def __init__(self, arrays: weights.Arrays) -> None:
        from citestream.retrieval import bert

        self._tokenizer = WordPiece(arrays["vocabulary"].tobytes().decode().split("\n"))
        self._encoder = bert.Encoder(arrays)
        # Threads over texts, unless BLAS has threads of its own: both together are slower than either.
        self._threads = (os.cpu_count() or 1) if bert.single_threaded_blas() else 1

    def weight(self, query: str) -> float:
        found = words(query)
        known = sum(map(self._tokenizer.is_token, found)) / max(1, len(found))
        return latin_share(query) * (_WEIGHT + _KNOWN_WEIGHT * known)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """The texts' unit vectors of 384 numbers; a text's is the same whatever it comes with."""
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        threads = min(self._threads, len(texts))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(self._vector, texts))
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        numbers: list[float] = self._encoder.vector(self._tokenizer.encode(text, _MOST_TOKENS)).tolist()
        return numbers


def load() -> MiniLM | None:
    """The embedder; None where numpy or the weights are not installed. Raises ``WeightsError``.

    Takes a few seconds the first time, when the weights are converted. numpy is imported here, not before.
    """
    if find_spec("numpy") is None:
        return None
    arrays = weights.load(weights.MINILM, weights.default_path(weights.MINILM))
    return None if arrays is None else MiniLM(arrays)
