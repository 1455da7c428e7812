"""How far an answer can be trusted, from what can be counted: a match with its sources, not entailment.

The score is, in hundredths, the share of the answer's sentences that an expert of its field would be expected to call
fully supported by what they cite; less where what it cites holds little of the question, or where markers were made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from citestream.answer.calibration import FITTED, Calibration
from citestream.model import FinishReason

#: What a refusal gets at most.
REFUSAL_CEILING = 5


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
    supported: float
    retrieval: float
    relevance: float
    markers: int
    invalid_markers: int

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
