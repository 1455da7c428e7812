"""An embedder that knows letters only, for tests that need any."""

from __future__ import annotations

import math
from collections.abc import Sequence

from citestream.retrieval.embedder import Vectors


class Letters:
    """Embeds a text as how often it has each letter; these count as much as ``weight`` says beside its words."""

    id, dimensions = "letters", 26

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight

    def weight(self, query: str) -> float:
        return self._weight

    async def embed(self, texts: Sequence[str]) -> Vectors:
        counts = [[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts]
        return [[number / math.hypot(*row, 1e-9) for number in row] for row in counts]
