"""What is checked of the vectors that a hosted model gives."""

from __future__ import annotations

import math

import pytest

from citestream.retrieval.embedder import EmbeddingFailed
from citestream.retrieval.litellm_embedder import unit_vectors

MODEL = "openai/embedder"


def test_vectors_come_at_length_one() -> None:
    assert unit_vectors([[3.0, 4.0], [0, -2]], 2, 2, MODEL) == [[0.6, 0.8], [0.0, -1.0]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0, 0.0]], "gave 1 vectors for 2 texts"),
        ([[1.0, 0.0]] * 3, "gave 3 vectors for 2 texts"),
        ([[1.0, 0.0], [1.0, 0.0, 0.0]], "gives vectors of 3 dimensions, not of 2"),
        ([[1.0, 0.0], []], "gives vectors of 0 dimensions, not of 2"),
        ([[1.0, 0.0], [0.0, 0.0]], "without a direction"),
        ([[1.0, 0.0], [math.nan, 1.0]], "without a direction"),
        ([[1.0, 0.0], [math.inf, 1.0]], "without a direction"),
        ([[1.0, 0.0], [None, 1.0]], "without a direction"),
        ([[1.0, 0.0], "ab"], "without a direction"),
    ],
)
def test_what_is_no_vector_is_refused_by_the_models_name(vectors: list[list[float]], message: str) -> None:
    with pytest.raises(EmbeddingFailed, match=message) as failed:
        unit_vectors(vectors, 2, 2, MODEL)
    assert failed.value.message.startswith("The embedding model openai/embedder ")
    assert not failed.value.retryable
