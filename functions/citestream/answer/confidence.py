"""How far an answer can be trusted, from what can be counted: a match with its sources, not entailment.

The score is, in hundredths, the share of the answer's sentences that an expert of its field would be expected to call
fully supported by what they cite; less where what it cites holds little of the question, or where markers were made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from citestream.answer.calibration import FITTED, Calibration
from citestream.answer.citations import Claim
from citestream.answer.overlap import Weights, stems
from citestream.model import Citation, FinishReason, Passage

#: What a refusal gets at most.
REFUSAL_CEILING = 5

_FEWEST_TERMS = 3


@dataclass(frozen=True, slots=True)
class Components:
    """What the score is made of, each 0 to 1 but the counts of markers.

    ``coverage`` is the share of the sentences that cite, of those that should; ``support`` the mean support of those
    that cite; ``supported`` the share of all that is expected to be fully supported; ``retrieval`` the share of the
    question's words that the passages hold, ``relevance`` the share that those hold which are cited. ``markers`` are
    those shown, ``invalid_markers`` those left out.
    """

    coverage: float
    support: float
    retrieval: float
    invalid_markers: int
    supported: float = 0.0
    relevance: float = 0.0
    markers: int = 0

    def as_dict(self) -> dict[str, float | int]:
        return {
            "coverage": round(self.coverage, 4),
            "support": round(self.support, 4),
            "supported": round(self.supported, 4),
            "retrieval": round(self.retrieval, 4),
            "relevance": round(self.relevance, 4),
            "markers": self.markers,
            "invalid_markers": self.invalid_markers,
        }


def expected(parts: Components, calibration: Calibration = FITTED) -> float:
    """The score before it is rounded, 0 to 1: never lower for more coverage or support, never higher for more invalid
    markers; 0 where nothing is cited."""
    valid = parts.markers / (parts.markers + parts.invalid_markers) if parts.markers else 0.0
    return parts.supported * calibration.on_question(parts.relevance) * valid


def confidence(parts: Components, reason: FinishReason) -> int:
    """0 to 100."""
    value = round(100 * expected(parts))
    return min(value, REFUSAL_CEILING) if reason == "no_answer" else value


def components(
    question: str,
    claims: Sequence[Claim],
    citations: Sequence[Citation],
    passages: Sequence[Passage],
    invalid: int,
) -> Components:
    """``coverage``: sentences that cite; ``support``: mean over citations; ``retrieval``: the question's terms that
    the passages hold."""
    needing = [claim for claim in claims if len(stems(claim.text)) >= _FEWEST_TERMS]
    covered = sum(1 for claim in needing if claim.numbers)
    texts = [stems(f"{passage.section or ''} {passage.text}") for passage in passages]
    held = Weights(texts).recall(stems(question), (term for text in texts for term in text))
    return Components(
        coverage=covered / len(needing) if needing else float(bool(citations)),
        support=sum(citation.support for citation in citations) / len(citations) if citations else 0.0,
        retrieval=held,
        invalid_markers=invalid,
    )


def score(parts: Components, citations: Sequence[Citation], reason: FinishReason, passages: Sequence[Passage]) -> int:
    """0 to 100; 0 where nothing was found."""
    if not passages:
        return 0
    valid = len(citations) / (len(citations) + parts.invalid_markers) if citations else 0.0
    value = round(100 * parts.coverage * parts.support * valid * (0.5 + 0.5 * parts.retrieval))
    return min(value, REFUSAL_CEILING) if reason == "no_answer" else value
