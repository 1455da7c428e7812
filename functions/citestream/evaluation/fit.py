"""Fits the calibration of confidence: ``python -m citestream.evaluation.fit DATA`` prints its constants.

What the experts of ExpertQA judged tells how likely a sentence is supported that cites a passage on its subject. That
it cites a passage on something else, or that the passages are on another question, they had hardly to judge. So the
same answers are given the passages, and the questions, of others: as if one in ten were so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from citestream.answer.calibration import Calibration, Curve
from citestream.answer.citations import cite
from citestream.answer.judgement import Judgement
from citestream.answer.support import Grounds
from citestream.evaluation.expertqa import Answer, answers

# The share of answers that is taken to be on something else.
_STRAYED = 0.1
# Weak enough to leave the fit as it is, strong enough to end where two classes lie apart.
_REGULARISATION = 100.0


@dataclass(frozen=True, slots=True)
class Matched:
    """An answer and its judgement; the supports of its sentences by the passages of another answer; and what its own
    passages hold of that one's question."""

    answer: Answer
    judgement: Judgement
    strayed: Sequence[float]
    asked_else: float


def matched(found: Sequence[Answer]) -> list[Matched]:
    """Each answer with another one that has passages, always the same: about half of the list behind it."""
    others = [each for each in found if each.passages]
    return [_matched(each, others[(place + len(others) // 2) % len(others)]) for place, each in enumerate(found)]


def fit(found: Sequence[Matched]) -> Calibration:
    """The curves for answers like these."""
    pairs = [
        (support, complete)
        for each in found
        for support, complete in zip(each.judgement.supports, each.answer.complete, strict=True)
        if support is not None
    ]
    supports = [support for support, _ in pairs]
    strayed = [support for each in found for support in each.strayed]
    return Calibration(
        complete=_curve(supports, [complete for _, complete in pairs], [1.0] * len(pairs)),
        on_source=_against(supports, strayed),
        on_question=_against([each.judgement.relevance for each in found], [each.asked_else for each in found]),
    )


def distance(one: Calibration, other: Calibration) -> float:
    """The most that two fits differ in what they make of a value, 0 to 1."""
    curves = [(one.complete, other.complete), (one.on_source, other.on_source), (one.on_question, other.on_question)]
    return max(abs(first(value / 100) - second(value / 100)) for first, second in curves for value in range(101))


def _matched(answer: Answer, other: Answer) -> Matched:
    # As many passages as the answer's own.
    passages = [other.passages[place % len(other.passages)] for place in range(len(answer.passages))]
    strayed = cite(answer.claims, answer.sources, Grounds(passages)).supports
    return Matched(
        answer,
        answer.judgement(),
        [support for support in strayed if support is not None],
        Grounds(answer.passages).retrieval(other.question, range(len(answer.passages))),
    )


def _against(own: Sequence[float], strayed: Sequence[float]) -> Curve:
    """How likely a value is of the first kind, where the second is so rare."""
    weight = _STRAYED / (1 - _STRAYED) * len(own) / len(strayed)
    truth = [True] * len(own) + [False] * len(strayed)
    return _curve([*own, *strayed], truth, [1.0] * len(own) + [weight] * len(strayed))


def _curve(values: Sequence[float], truth: Sequence[bool], weights: Sequence[float]) -> Curve:
    model = LogisticRegression(C=_REGULARISATION)
    model.fit(np.asarray(values)[:, None], np.asarray(truth), sample_weight=np.asarray(weights))
    return Curve(round(float(model.intercept_[0]), 2), round(float(model.coef_[0, 0]), 2))


def main(data: Path) -> None:
    print(fit(matched(answers(data))))  # noqa: T201  what it is for


if __name__ == "__main__":
    main(Path(sys.argv[1]))
