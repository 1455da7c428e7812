"""How alike two texts are to an embedder: what others take for support and for confidence, and a baseline here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

import numpy as np

from citestream.evaluation.expertqa import Answer
from citestream.evaluation.reliability import Numbers
from citestream.retrieval.embedder import Embedder


class Likeness:
    """Cosines of embedded texts; ``of`` embeds them."""

    def __init__(self, vectors: Mapping[str, Numbers]) -> None:
        self._vectors = vectors

    @classmethod
    async def of(cls, embedder: Embedder, texts: Iterable[str]) -> Likeness:
        distinct = list(dict.fromkeys(texts))
        vectors = np.asarray(await embedder.embed(distinct), dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return cls(dict(zip(distinct, vectors / np.maximum(lengths, 1e-12), strict=True)))

    def between(self, one: str, other: str) -> float:
        return float(self._vectors[one] @ self._vectors[other])

    def supporting(self, answer: Answer) -> float:
        """The mean over the sentences: of each with the most alike that it cites, 0 where it cites nothing."""
        return fmean(
            max((self.between(claim.text, answer.passages[number - 1].text) for number in claim.numbers), default=0.0)
            for claim in answer.claims
        )

    def retrieved(self, answer: Answer) -> float:
        """The mean over the passages, of each with the question."""
        return fmean([self.between(answer.question, passage.text) for passage in answer.passages] or [0.0])


def texts(answer: Answer) -> list[str]:
    """All that is compared of an answer."""
    return [answer.question, *(claim.text for claim in answer.claims), *(each.text for each in answer.passages)]
