"""How good a probability is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from citestream.evaluation.reliability import Bin, auroc, bins, calibration_error, plot, squared_error


@pytest.mark.parametrize(
    ("higher", "lower", "expected"),
    [([0.9, 0.8], [0.1], 1.0), ([0.1], [0.9], 0.0), ([0.5], [0.5], 0.5), ([0.9, 0.3], [0.5, 0.1], 0.75)],
)
def test_auroc_counts_the_pairs_in_order(higher: list[float], lower: list[float], expected: float) -> None:
    assert auroc(higher, lower) == expected


def test_bins_have_equal_weight_and_do_not_part_equal_predictions() -> None:
    predicted, observed = np.array([0.1, 0.9, 0.1, 0.5]), np.array([0.0, 1.0, 1.0, 0.5])
    low, high = bins(predicted, observed, np.array([1.0, 2.0, 1.0, 4.0]), count=2)
    assert (low.predicted, low.observed, low.share) == pytest.approx((2.2 / 6, 0.5, 0.75))
    assert high == Bin(0.9, 1.0, 0.25)
    assert bins(np.full(4, 0.5), observed, np.ones(4)) == [Bin(0.5, 0.625, 1.0)]


def test_what_comes_true_as_often_as_is_predicted_has_no_calibration_error() -> None:
    predicted = np.repeat([0.25, 0.75], 4)
    observed = np.array([0, 0, 0, 1, 1, 1, 1, 0], dtype=float)
    assert calibration_error(predicted, observed, np.ones(8)) == 0.0
    assert calibration_error(1 - predicted, observed, np.ones(8)) == 0.5


def test_squared_errors_are_weighed() -> None:
    assert squared_error(np.array([1.0, 0.5]), np.array([0.0, 0.5]), np.array([1.0, 3.0])) == 0.25


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "reliability.png"
    plot({"ours": [Bin(0.2, 0.3, 0.5), Bin(0.8, 0.7, 0.5)]}, "How true", path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
