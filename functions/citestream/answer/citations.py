"""What each marker stands for: the span of its passage that best supports the sentences that cite it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from citestream.answer.excerpts import best_span
from citestream.answer.markers import Mark
from citestream.answer.overlap import Weights, stems
from citestream.answer.support import Grounds, mean, read
from citestream.model import Citation, Document, Passage
from citestream.sentences import Span, sentences

# How far from where it was the likeness of an excerpt is looked for, in code points.
_NEARBY = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the answer without its markers, and the numbers of the markers that stand in or right behind it."""

    text: str
    numbers: tuple[int, ...]


def claims(answer: str, marks: Sequence[Mark]) -> list[Claim]:
    """The answer's sentences, in order, each with what it cites."""
    plain, places = _without_marks(answer, marks)
    spans = sentences(plain)
    cited: list[list[int]] = [[] for _ in spans]
    starts = [start for start, _ in spans]
    for place, mark in zip(places, marks, strict=True):
        # A marker belongs to the sentence it follows, on whichever side of the full stop it stands.
        if spans:
            cited[max(bisect_left(starts, place) - 1, 0)].append(mark.number)
    return [Claim(plain[start:end], tuple(numbers)) for (start, end), numbers in zip(spans, cited, strict=True)]


@dataclass(frozen=True, slots=True)
class Cited:
    """The citations of an answer, one for each number, ascending; and how well each sentence's own support it."""

    citations: list[Citation]
    #: For each claim: 0 to 1, by its passages together; None where it cites none or has no words.
    supports: list[float | None]


def cite(found: Sequence[Claim], sources: Sequence[int], grounds: Grounds) -> Cited:
    """What the sentences cite; ``sources`` has the passage, counted from 1, of each number."""
    passages = grounds.passages
    places = [source - 1 for source in sources]
    spans = _spans(found, places, passages)
    excerpts = {place: read(passages[place].text[start:end]) for place, (start, end) in zip(places, spans, strict=True)}
    shares: dict[int, list[float]] = {place: [] for place in places}
    supports: list[float | None] = []
    for claim in found:
        own = {places[number - 1]: excerpts[places[number - 1]] for number in claim.numbers}
        support = grounds.supports(claim.text, own)
        supports.append(support.together if support else None)
        for place, share in support.alone.items() if support else ():
            shares[place].append(share)
    citations = [
        _citation(number, passages[place], span, mean(shares[place]))
        for number, (place, span) in enumerate(zip(places, spans, strict=True), start=1)
    ]
    return Cited(citations, supports)


def _spans(found: Sequence[Claim], places: Sequence[int], passages: Sequence[Passage]) -> list[Span]:
    """For each number, the span of its passage for all that cites it."""
    wanted: list[list[str]] = [[] for _ in places]
    for claim in found:
        for number in dict.fromkeys(claim.numbers):
            wanted[number - 1].extend(stems(claim.text))
    weights = Weights(stems(passage.text) for passage in passages)
    return [best_span(passages[place].text, terms, weights) for place, terms in zip(places, wanted, strict=True)]


def _citation(number: int, passage: Passage, span: Span, support: float) -> Citation:
    start, end = span
    return Citation(
        number=number,
        document_id=passage.document_id,
        document_name=passage.document_name,
        kb_id=passage.kb_id,
        excerpt=passage.text[start:end],
        char_start=passage.char_start + start,
        char_end=passage.char_start + end,
        page=passage.page,
        section=passage.section,
        score=passage.score,
        support=round(support, 4),
    )


def in_place(citation: Citation, document: Document | None) -> Citation:
    """The citation, verbatim in its document as it is now, which may have been replaced since the passage was found.

    Where the excerpt stands no more, the nearest thing to it does instead, and supports that much less. In a document
    that has been removed nothing supports anything.
    """
    if document is None:
        return replace(citation, support=0.0)
    text, start = document.text, citation.char_start
    if text[start : citation.char_end] == citation.excerpt:
        return citation
    found = text.find(citation.excerpt)
    if found >= 0:
        return replace(citation, char_start=found, char_end=found + len(citation.excerpt))
    first = max(0, min(start, len(text)) - _NEARBY)
    wanted = stems(citation.excerpt)
    begin, end = best_span(text[first : first + 2 * _NEARBY], wanted, Weights([wanted]))
    excerpt = text[first + begin : first + end]
    support = round(citation.support * Weights([wanted]).recall(wanted, stems(excerpt)), 4)
    return replace(citation, excerpt=excerpt, char_start=first + begin, char_end=first + end, support=support)


def _without_marks(answer: str, marks: Sequence[Mark]) -> tuple[str, list[int]]:
    """The answer with its markers cut out, and where in it each stood."""
    parts, places, at, length = [], [], 0, 0
    for mark in marks:
        parts.append(answer[at : mark.offset])
        length += mark.offset - at
        places.append(length)
        at = mark.offset + len(f"[{mark.number}]")
    parts.append(answer[at:])
    return "".join(parts), places
