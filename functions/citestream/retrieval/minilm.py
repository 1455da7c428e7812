"""The embedder that needs no network: all-MiniLM-L6-v2 with 8-bit weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

from citestream.retrieval import weights
from citestream.retrieval.wordpiece import WordPiece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_TOKENS = 256


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

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The texts' unit vectors, shape ``(len(texts), 384)``; a text's is the same whatever it comes with."""
        import numpy as np

        threads = min(self._threads, len(texts))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                vectors = list(pool.map(self._vector, texts))
        else:
            vectors = [self._vector(text) for text in texts]
        return np.array(vectors, np.float32).reshape(-1, self.dimensions)

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        return self._encoder.vector(self._tokenizer.encode(text, _MOST_TOKENS))


def load() -> MiniLM | None:
    """The embedder; None where numpy or the weights are not installed. Raises ``WeightsError``.

    Takes a few seconds the first time, when the weights are converted. numpy is imported here, not before.
    """
    if find_spec("numpy") is None:
        return None
    arrays = weights.load(weights.MINILM, weights.default_path(weights.MINILM))
    return None if arrays is None else MiniLM(arrays)
