"""Whether confidence is true: on ExpertQA's answers, by curves fitted on other questions than they are measured on.

A sentence is expected to be fully supported as often as its answer's score says; what experts judged tells how often
it is. An answer weighs as much as it has sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from citestream.answer.calibration import FITTED
from citestream.answer.confidence import expected
from citestream.evaluation import expertqa
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.fit import Matched, distance, fit, matched
from citestream.evaluation.likeness import Likeness, texts
from citestream.evaluation.reliability import Numbers, auroc, bins, calibration_error, plot, squared_error

PLOT = "reliability.png"

_FOLDS = 5
# The share of fully supported sentences from which an answer is called good.
_GOOD = 0.75
_OURS, _BASE_RATE = "ours", "base rate"
# For each answer, something that may tell how much of it is supported.
_FEATURES: Mapping[str, Callable[[Matched], float]] = {
    "coverage alone": lambda each: each.judgement.components(each.judgement.citations).coverage,
    "words of the question in the passages": lambda each: each.judgement.retrieval,
}


class Trial:
    """Answers with what experts say: the share of their sentences that is fully supported, and how many there are."""

    def __init__(self, found: Sequence[Matched]) -> None:
        self.found = found
        self.observed = np.array([fmean(each.answer.complete) for each in found])
        self.weights = np.array([float(len(each.answer.complete)) for each in found])

    def ours(self) -> Numbers:
        """What the score says, by curves that were fitted on the other folds."""
        predicted = np.zeros(len(self.found))
        for train, test in self._folds():
            calibration = fit([self.found[place] for place in train])
            for place in test:
                judgement = self.found[place].judgement
                predicted[place] = expected(judgement.components(judgement.citations, calibration), calibration)
        return predicted

    def calibrated(self, values: Sequence[float]) -> Numbers:
        """What a feature alone says, by a logistic curve that was fitted on the other folds."""
        feature, predicted = np.asarray(values)[:, None], np.zeros(len(self.found))
        for train, test in self._folds():
            true = self.observed[train] * self.weights[train]
            truth, weights = np.repeat([1, 0], len(train)), np.r_[true, self.weights[train] - true]
            model = LogisticRegression().fit(np.r_[feature[train], feature[train]], truth, sample_weight=weights)
            predicted[test] = model.predict_proba(feature[test])[:, 1]
        return predicted

    def auroc(self, predicted: Numbers) -> float:
        """How often a fully supported sentence stands in an answer with a higher score than another sentence."""
        true = (self.observed * self.weights).round().astype(int)
        return auroc(np.repeat(predicted, true), np.repeat(predicted, self.weights.astype(int) - true))

    def auroc_of_answers(self, predicted: Numbers) -> float:
        """The same of answers that are good and others."""
        good = self.observed >= _GOOD
        return auroc(predicted[good], predicted[~good])

    def _folds(self) -> Iterator[tuple[Numbers, Numbers]]:
        questions = [each.answer.question for each in self.found]
        yield from GroupKFold(_FOLDS).split(self.found, groups=questions)


async def measure(run: Run) -> Sequence[Figure]:
    trial = Trial(matched(expertqa.answers(run.data)))
    said = {_OURS: trial.ours(), _BASE_RATE: trial.calibrated([0.0] * len(trial.found))}
    said |= {name: trial.calibrated([feature(each) for each in trial.found]) for name, feature in _FEATURES.items()}
    if not run.subset:
        said |= await _likenesses(trial, run)
    curves = {name: bins(each, trial.observed, trial.weights) for name, each in said.items() if name != _BASE_RATE}
    plot(curves, "ExpertQA: share of fully supported sentences", run.plots / PLOT)
    ranked = {name: trial.auroc(each) for name, each in said.items()}
    errors = {name: calibration_error(each, trial.observed, trial.weights) for name, each in said.items()}
    squares = {name: squared_error(each, trial.observed, trial.weights) for name, each in said.items()}
    good = {name: trial.auroc_of_answers(each) for name, each in said.items()}
    return [
        _figure("ExpertQA, AUROC of confidence: sentences fully supported or not", ranked | {_BASE_RATE: 0.5}, 0.59),
        _figure(
            "ExpertQA, AUROC of confidence: answers three quarters of which are, or not", good | {_BASE_RATE: 0.5}, 0.67
        ),
        _figure("ExpertQA, expected calibration error of confidence", errors, at_most=0.11),
        _figure("ExpertQA, mean squared error of confidence", squares),
        Figure("Fitted constants, furthest from the committed", distance(fit(trial.found), FITTED), at_most=0.02),
    ]


TRUST = Part("Confidence", (expertqa.FOLDER,), measure)


async def _likenesses(trial: Trial, run: Run) -> dict[str, Numbers]:
    likeness = await Likeness.of(run.embedder, [text for each in trial.found for text in texts(each.answer)])
    return {
        "likeness of sentences and passages": trial.calibrated(
            [likeness.supporting(each.answer) for each in trial.found]
        ),
        "likeness of question and passages": trial.calibrated(
            [likeness.retrieved(each.answer) for each in trial.found]
        ),
    }


def _figure(
    name: str, values: Mapping[str, float], at_least: float | None = None, at_most: float | None = None
) -> Figure:
    baselines = {other: value for other, value in values.items() if other != _OURS}
    return Figure(name, values[_OURS], baselines, at_least, at_most)
