"""What an index of documents does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citestream.model import Chunk, Document, KnowledgeBase, Passage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index holds of a document: the hash of the file it came from, and whether its chunks have vectors."""

    digest: str
    embedded: bool


class Index(Protocol):
    """Documents by knowledge base, found by words and by meaning.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def kb_ids(self) -> Sequence[str]:
        """The ids of all knowledge bases: what every request asks for, and quick."""
        ...

    async def knowledge_bases(self) -> Sequence[KnowledgeBase]: ...

    async def document(self, document_id: str) -> Document | None: ...

    async def search(self, query: str, kb_ids: Sequence[str], top_k: int) -> Sequence[Passage]:
        """The best passages of these knowledge bases, best first, each document in one version."""
        ...

    async def indexed(self, document_id: str) -> Indexed | None: ...

    async def put(
        self, document: Document, digest: str, chunks: Sequence[Chunk], vectors: npt.NDArray[np.float32] | None
    ) -> None:
        """Add the document, or replace it at once for every reader.

        ``vectors`` are the chunks', shape ``(len(chunks), dimensions)``; None where it is to be found by words alone.
        """
        ...

    async def remove(self, document_id: str) -> bool:
        """Remove the document; False where there is none."""
        ...

    async def aclose(self) -> None: ...
