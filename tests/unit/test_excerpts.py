"""The part of a passage that a citation shows."""

from __future__ import annotations

import pytest

from citestream.answer.excerpts import best_span
from citestream.answer.overlap import Weights, stems
from tests.answers import GUIDE


@pytest.mark.parametrize(
    ("claim", "excerpt"),
    [
        ("The refresh token lives 30 days", "Refresh tokens live for 30 days."),
        ("An access token lives 15 minutes", "Access tokens live for 15 minutes."),
        (
            "15 minutes for access, 30 days for refresh",
            "Access tokens live for 15 minutes. Refresh tokens live for 30 days.",
        ),
    ],
)
def test_the_excerpt_is_the_span_that_supports_the_claim(claim: str, excerpt: str) -> None:
    start, end = best_span(GUIDE, stems(claim), Weights([stems(GUIDE)]))
    assert GUIDE[start:end] == excerpt


def test_an_excerpt_is_never_empty_nor_endless() -> None:
    assert best_span("word " * 1000, ["nothing"], Weights([])) == (0, 700)
    assert best_span(GUIDE, [], Weights([])) == (0, len("Access tokens live for 15 minutes."))
