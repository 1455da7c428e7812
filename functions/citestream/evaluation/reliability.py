"""How good a probability is: whether it ranks, whether it is true, and a plot of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Numbers = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions next to each other: their mean, the mean of what came true, the share of all that they are."""

    predicted: float
    observed: float
    share: float


def auroc(higher: Sequence[float] | Numbers, lower: Sequence[float] | Numbers) -> float:
    """How often one of the first is above one of the second; a tie counts half."""
    truth = np.r_[np.ones(len(higher)), np.zeros(len(lower))]
    return float(roc_auc_score(truth, np.r_[np.asarray(higher), np.asarray(lower)]))


def bins(predicted: Numbers, observed: Numbers, weights: Numbers, count: int = BINS) -> list[Bin]:
    """Bins of about equal weight, lowest prediction first; equal predictions are not parted."""
    order = np.argsort(predicted, kind="stable")
    values, ends = np.unique(predicted[order], return_index=True)
    before = np.r_[0.0, np.cumsum(weights[order])][ends] / weights.sum()
    which = np.minimum((before * count).astype(int), count - 1)[np.searchsorted(values, predicted)]
    found = []
    for each in np.unique(which):
        inside = which == each
        own = weights[inside]
        found.append(
            Bin(
                float(np.average(predicted[inside], weights=own)),
                float(np.average(observed[inside], weights=own)),
                float(own.sum() / weights.sum()),
            )
        )
    return found


def calibration_error(predicted: Numbers, observed: Numbers, weights: Numbers) -> float:
    """The expected calibration error over ten bins of equal weight."""
    return sum(each.share * abs(each.predicted - each.observed) for each in bins(predicted, observed, weights))


def squared_error(predicted: Numbers, observed: Numbers, weights: Numbers) -> float:
    """The mean squared error; the Brier score where what is observed is 0 or 1."""
    return float(np.average((predicted - observed) ** 2, weights=weights))


def plot(curves: Mapping[str, Sequence[Bin]], title: str, path: Path) -> None:
    """A reliability plot as a PNG: on the diagonal, what is predicted is what comes true."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    for name, found in curves.items():
        axes.plot([each.predicted for each in found], [each.observed for each in found], marker="o", label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted", ylabel="observed", title=title)
    axes.legend(loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
