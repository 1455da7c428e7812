"""The nouns: documents, chunks, passages, citations, and the events of a stream.

Offsets are half-open and count Unicode code points of the document's normalised text; pages are 1-based.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

#: A knowledge base's id is an S3 prefix, a query parameter's element and a word of a claim: no comma, no space, no
#: slash, no star.
KB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

#: The principals who may read a document; None is everybody who may read its knowledge base, () is nobody.
Access = tuple[str, ...] | None

FinishReason = Literal["stop", "length", "no_answer"]
FailureCode = Literal["timeout", "cancelled", "upstream_error", "producer_lost", "internal_error"]


@dataclass(frozen=True, slots=True)
class Document:
    """A file as ingested: its name below what was ingested, and its normalised text, whole."""

    document_id: str
    name: str
    kb_id: str
    text: str
    access: Access = None


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A line of the list of documents. ``reason`` says why the file as it is now can't be read, where it can't.

    ``chunk_count`` is what can be found of it: of its last version that could be read. ``updated_at`` is in Unix
    seconds.
    """

    document_id: str
    document_name: str
    kb_id: str
    state: Literal["ready", "failed"]
    reason: str | None
    chunk_count: int
    updated_at: float
    access: Access = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document's text, the unit of the index: its text is ``document.text[start:end]``."""

    start: int
    end: int
    page: int | None = None
    section: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk given to the answer, with how well it matched (``score``, 0 to 1)."""

    chunk_id: str
    document_id: str
    document_name: str
    kb_id: str
    text: str
    char_start: int
    char_end: int
    page: int | None
    section: str | None
    score: float


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A named set of documents, the unit of permission."""

    id: str
    document_count: int
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Results:
    """The passages of an answer, or a part of them where a frame can't hold all."""

    results: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """The documents that an answer is written from: for the stream's record, never sent."""

    document_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """What the marker ``[number]`` stands for: a verbatim span of a document.

    ``score`` is its passage's; ``support``, 0 to 1, says how well its excerpt, and with half the weight the rest of its
    passage, supports the sentences that cite it.
    """

    number: int
    document_id: str
    document_name: str
    kb_id: str
    excerpt: str
    char_start: int
    char_end: int
    page: int | None
    section: str | None
    score: float
    support: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's provider counts them; zero where no model was asked."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds from the start of the production."""

    retrieval: int = 0
    first_token: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The terminal event of an answer that was given; ``confidence_score`` is 0 to 100."""

    confidence_score: int
    finish_reason: FinishReason
    stream_id: str
    components: dict[str, float | int]
    usage: Usage = field(default_factory=Usage)
    timing_ms: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Failure:
    """The terminal event of an answer that could not be given. ``message`` is for the user: no internals."""

    code: FailureCode
    message: str
    retryable: bool


Event = Results | Sources | Token | Citation | Done | Failure


def may_see(access: Access, principals: frozenset[str] | None) -> bool:
    """Whether a document of that access is for a caller with these principals; None has no document withheld."""
    return access is None or principals is None or not principals.isdisjoint(access)


def document_id(kb_id: str, name: str) -> str:
    """The id of the document of that name: the same whenever and wherever it is ingested.

    File systems differ in how they write an accent (NFC, NFD); the id does not.
    """
    name = unicodedata.normalize("NFC", name)
    return hashlib.sha256(f"{kb_id}\0{name}".encode(errors="surrogatepass")).hexdigest()[:24]
