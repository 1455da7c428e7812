"""What an index of documents does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from citestream.model import Access, Chunk, Document, DocumentEntry, KnowledgeBase, Passage
from citestream.retrieval.embedder import Vectors

#: Whom a caller counts as, for documents that only some may read; None withholds nothing (the local caller).
Principals = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index holds of a document: what it was made from, and whether its chunks have vectors.

    ``digest`` is empty where the file has changed since and can't be read.
    """

    digest: str
    embedded: bool


class Index(Protocol):
    """Documents by knowledge base, found by words and by meaning.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def kb_ids(self) -> Sequence[str]:
        """The ids of all knowledge bases: what every request asks for, and quick."""
        ...

    async def knowledge_bases(self) -> Sequence[KnowledgeBase]:
        """All of them; documents that never could be read don't count."""
        ...

    async def documents(self, kb_id: str, after: str = "", limit: int = 1000) -> Sequence[DocumentEntry]:
        """By name (code points), those after the name ``after``, at most ``limit``; failed ones too."""
        ...

    async def document(self, document_id: str) -> Document | None: ...

    async def access(self, document_ids: Sequence[str]) -> Mapping[str, Access]:
        """Who may read these documents: of those that are there."""
        ...

    async def search(
        self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals = None
    ) -> Sequence[Passage]:
        """The best passages of these knowledge bases, best first, each document in one version.

        Documents that ``principals`` may not read are left out before the best are chosen. Raises WrongIndex where a
        knowledge base holds vectors of another embedder, and EmbeddingFailed.
        """
        ...

    async def indexed(self, document_id: str) -> Indexed | None: ...

    async def put(self, document: Document, digest: str, chunks: Sequence[Chunk], vectors: Vectors | None) -> None:
        """Add the document, or replace it at once for every reader; it has failed no more.

        ``vectors`` are the chunks'; None where it is to be found by words alone. Raises WrongIndex where the
        knowledge base holds vectors of another embedder.
        """
        ...

    async def fail(self, document_id: str, kb_id: str, name: str, reason: str, access: Access = None) -> None:
        """Record that the file can't be read, and why. What was there of it before stays answerable.

        ``access`` says who may see the record, where it is all that there is of the document.
        """
        ...

    async def remove(self, document_id: str) -> bool:
        """Remove the document and what is recorded of it; False where there is neither."""
        ...

    async def aclose(self) -> None: ...
