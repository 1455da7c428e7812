"""How far an answer can be trusted, from what can be counted: a source match, not entailment.

A first, uncalibrated version: higher is better, the components say why, and the number is no probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from citestream.answer.citations import Claim
from citestream.answer.overlap import Weights, stems
from citestream.model import Citation, FinishReason, Passage

# A sentence of fewer terms (a heading, "Yes.", "In short:") needs no citation.
_FEWEST_TERMS = 3
#: What a refusal gets at most, and an answer without a single citation.
REFUSAL_CEILING = 5
UNCITED_CEILING = 10


@dataclass(frozen=True, slots=True)
class Components:
    """What the score is made of, each 0 to 1 but the count of invalid markers."""

    coverage: float
    support: float
    retrieval: float
    invalid_markers: int

    def as_dict(self) -> dict[str, float | int]:
        return {
            "coverage": round(self.coverage, 4),
            "support": round(self.support, 4),
            "retrieval": round(self.retrieval, 4),
            "invalid_markers": self.invalid_markers,
        }


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
    if reason == "no_answer":
        return min(value, REFUSAL_CEILING)
    return value if citations else min(value, UNCITED_CEILING)
