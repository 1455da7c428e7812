from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import pytest

from citestream.retrieval.bert import attend, gelu, single_threaded_blas


def test_gelu_is_exact_to_a_millionth() -> None:
    x = np.linspace(-15, 15, 60_001, dtype=np.float32)
    exact = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    assert np.abs(gelu(x.copy()) - exact).max() < 1e-6


@pytest.mark.parametrize("value", [-1e18, -200.0, 0.0, 200.0, 1e18])
def test_gelu_has_no_overflow(value: float) -> None:
    assert gelu(np.array([value], np.float32))[0] == np.float32(max(value, 0))


def test_attention_weighs_the_values_by_the_softmax_of_the_scores() -> None:
    heads, length, width = 12, 5, 4
    query, key, value = np.random.default_rng(0).standard_normal((3, length, heads, width))
    expected = np.empty((length, heads, width))
    for head in range(heads):
        for row in range(length):
            scores = np.exp(key[:, head] @ query[row, head])
            expected[row, head] = scores / scores.sum() @ value[:, head]
    projected = np.stack([query, key, value], axis=1).reshape(length, -1).astype(np.float32)
    np.testing.assert_allclose(attend(projected), expected.reshape(length, -1), rtol=1e-4, atol=1e-5)


def test_attention_bears_scores_beyond_the_range_of_the_exponential() -> None:
    projected = np.full((2, 3 * 24), 1000, np.float32)
    np.testing.assert_array_equal(attend(projected), np.full((2, 24), 1000))


class _Library:
    """Stands for a shared library: ``setters`` are the names of its functions that set the number of threads."""

    def __init__(self, *setters: str) -> None:
        self.calls: list[tuple[str, int]] = []
        for name in setters:
            setattr(self, name, self._recorder(name))

    def _recorder(self, name: str) -> Callable[[int], None]:
        return lambda threads: self.calls.append((name, threads))


@pytest.mark.parametrize(
    ("setters", "calls"),
    [
        (["scipy_openblas_set_num_threads64_"], [("scipy_openblas_set_num_threads64_", 1)]),
        (["openblas_set_num_threads64_"], [("openblas_set_num_threads64_", 1)]),
        (["openblas_set_num_threads"], [("openblas_set_num_threads", 1)]),
        ([], []),
    ],
)
def test_openblas_is_asked_for_one_thread_by_whatever_name_it_has(
    setters: list[str], calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _Library(*setters)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: library)
    assert single_threaded_blas() is bool(setters)
    assert library.calls == calls
