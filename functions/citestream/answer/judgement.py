"""What is found out about an answer when it has been written: its citations, and what its confidence is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from citestream.answer.calibration import FITTED, Calibration
from citestream.answer.citations import Claim, cite, claims
from citestream.answer.confidence import Components
from citestream.answer.markers import Markers
from citestream.answer.quantities import quantified
from citestream.answer.support import Grounds, mean
from citestream.model import Citation, Passage

# A sentence of fewer terms ("Yes.") needs no citation.
_FEWEST_TERMS = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """The citations as their passages have them; the answer's sentences, each with how well its passages together
    support it, None where it cites none; and how much of the question the passages hold, and those that are cited."""

    citations: Sequence[Citation]
    claims: Sequence[Claim]
    supports: Sequence[float | None]
    retrieval: float
    relevance: float
    markers: int
    invalid: int

    def components(self, verified: Sequence[Citation], calibration: Calibration = FITTED) -> Components:
        """What the confidence is made of, where ``verified`` are the citations as their documents have them now.

        What a citation has lost of its support, its sentences lose, too.
        """
        kept = [
            after.support / before.support if before.support else 1.0
            for before, after in zip(self.citations, verified, strict=True)
        ]
        supports = [
            support * mean([kept[number - 1] for number in claim.numbers])
            for claim, support in zip(self.claims, self.supports, strict=True)
            if support is not None
        ]
        bare = sum(
            1
            for claim, support in zip(self.claims, self.supports, strict=True)
            if support is None and _needs_citation(claim.text)
        )
        return Components(
            coverage=len(supports) / (len(supports) + bare) if supports else 0.0,
            support=mean(supports),
            supported=sum(map(calibration.supported, supports)) / (len(supports) + bare) if supports else 0.0,
            retrieval=self.retrieval,
            relevance=self.relevance,
            markers=self.markers,
            invalid_markers=self.invalid,
        )


def judged(question: str, answer: str, markers: Markers, passages: Sequence[Passage]) -> Judgement:
    """The judgement of an answer as it went out. Pure, and too slow for an event loop where the answer is long."""
    found = claims(answer, markers.marks)
    return weighed(question, found, markers.sources, passages, len(markers.marks), markers.invalid)


def weighed(
    question: str,
    found: Sequence[Claim],
    sources: Sequence[int],
    passages: Sequence[Passage],
    markers: int,
    invalid: int = 0,
) -> Judgement:
    """The judgement of an answer's sentences; ``markers`` is how many it has, ``invalid`` how many were left out."""
    grounds = Grounds(passages)
    result = cite(found, sources, grounds)
    return Judgement(
        result.citations,
        found,
        result.supports,
        retrieval=grounds.retrieval(question, range(len(passages))),
        relevance=grounds.retrieval(question, (source - 1 for source in sources)),
        markers=markers,
        invalid=invalid,
    )


def _needs_citation(sentence: str) -> bool:
    """Headings, and what only leads to what follows, need none."""
    if sentence.startswith("#") or sentence.endswith((":", "：")):
        return False
    return len(quantified(sentence).terms) >= _FEWEST_TERMS
