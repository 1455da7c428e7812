"""From what matches to what is likely: curves that are fitted on answers which experts have judged.

What is calibrated is the share of an answer's sentences that an expert of its field would call fully supported by what
they cite. Words can't say more than that an answer stands in its sources; whether these are right they don't say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """A logistic curve; it rises where ``slope`` is above 0."""

    constant: float
    slope: float

    def __call__(self, value: float) -> float:
        return 1 / (1 + math.exp(-self.constant - self.slope * value))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Three questions to an answer, each with its curve.

    ``complete``: does what a sentence cites support all of it, where it speaks of the same? By its support.
    ``on_source``: does it speak of the same at all? By its support.
    ``on_question``: does what is cited speak of what was asked? By the question's words in it.
    """

    complete: Curve
    on_source: Curve
    on_question: Curve

    def supported(self, support: float) -> float:
        """How likely a sentence with that support is fully supported, 0 to 1."""
        return self.on_source(support) * self.complete(support)


# By `python -m citestream.evaluation.fit`, on the 150 answers of ExpertQA's validation set that come with passages.
FITTED = Calibration(
    complete=Curve(0.43, 1.59),
    on_source=Curve(-1.99, 51.28),
    on_question=Curve(-0.97, 14.3),
)
