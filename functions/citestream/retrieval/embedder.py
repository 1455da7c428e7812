"""What turns text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: Unit vectors, one for each text.
Vectors = Sequence[Sequence[float]]


class EmbeddingFailed(Exception):
    """Texts could not be embedded. ``message`` is shown to the user: it holds no internals."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable


class Embedder(Protocol):
    """Maps texts to unit vectors whose dot product is their similarity.

    ``id`` names model, revision and precision: vectors of different ids are never compared.
    """

    @property
    def id(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def weight(self, query: str) -> float:
        """How much similarity counts beside words for this query: from 0, where it says nothing, to 1."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """The texts' vectors, ``dimensions`` numbers each. Raises EmbeddingFailed."""
        ...
