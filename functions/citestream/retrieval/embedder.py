"""What turns text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(Protocol):
    """Maps texts to unit vectors whose dot product is their similarity.

    ``id`` names model, revision and precision: vectors of different ids are never compared.
    """

    @property
    def id(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The texts' vectors, shape ``(len(texts), dimensions)``, each of length 1. Blocks; thread-safe."""
        ...
