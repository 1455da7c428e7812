"""The part of a passage that a citation shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.answer.excerpts import best_span
from citestream.answer.overlap import Weights, stems
from citestream.graphemes import divides
from tests.answers import GUIDE


def excerpt(text: str, claim: str) -> str:
    start, end = best_span(text, stems(claim), Weights([stems(text)]))
    return text[start:end]


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("The refresh token lives 30 days", "Refresh tokens live for 30 days."),
        ("An access token lives 15 minutes", "Access tokens live for 15 minutes."),
        (
            "15 minutes for access, 30 days for refresh",
            "Access tokens live for 15 minutes. Refresh tokens live for 30 days.",
        ),
        ("", "Access tokens live for 15 minutes."),
        ("nothing of it", "Access tokens live for 15 minutes."),
    ],
)
def test_the_excerpt_is_the_span_that_supports_the_claim(claim: str, expected: str) -> None:
    assert excerpt(GUIDE, claim) == expected


def test_of_a_sentence_that_is_too_long_the_part_that_supports_the_claim_is_shown() -> None:
    text = f"{'word ' * 500}and tokens live for 30 days {'word ' * 500}"
    found = excerpt(text, "tokens live 30 days")
    assert "tokens live for 30 days" in found
    assert len(found) <= 700
    assert set(found.split()) == {"word", "and", "tokens", "live", "for", "30", "days"}


@pytest.mark.parametrize(
    "character", ["e\u0301", "👩\u200d👩\u200d👧\u200d👦", "🇩🇪", "\u1112\u1161\u11ab", "क्षि", "x"], ids=ascii
)
def test_text_without_spaces_is_cut_between_characters(character: str) -> None:
    found = excerpt("。" + character * 1000, "nothing")
    assert found == "。"
    found = excerpt(character * 1000, "nothing")
    assert 300 < len(found) <= 700
    assert found == character * (len(found) // len(character))


def test_an_excerpt_is_never_empty_nor_endless() -> None:
    assert excerpt("\u0301" * 5, "a") == "\u0301" * 5
    assert len(excerpt(" " * 2000, "a")) == 700
    assert excerpt("", "a") == ""
    assert len(excerpt("a" + "\u200d" * 2000, "a")) == 350


def test_what_belongs_to_a_stop_goes_with_it() -> None:
    assert excerpt("甲。\u0301乙。", "甲") == "甲。\u0301"
    assert excerpt("甲。\u0301乙。", "乙") == "乙。"


PARTS = [
    "a",
    "b c",
    ". ",
    "\n\n",
    "。",
    "e\u0301",
    "\u0301",
    "\u200d",
    "👩",
    "👍🏽",
    "🇩🇪",
    "\u1112",
    "\u1161",
    "\u11ab",
]
PARTS += ["क", "\u094d", "ן", "م\u064b", "x" * 99, "y " * 99]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=40).map("".join), st.sampled_from(["a b", "c", "xxx"]))
def test_no_excerpt_begins_or_ends_within_a_character(text: str, claim: str) -> None:
    start, end = best_span(text, stems(claim), Weights([stems(text)]))
    assert 0 <= start < end <= len(text)
    assert end - start <= 700
    if any(not divides(text, place) and not char.isspace() for place, char in enumerate(text)):
        assert not divides(text, start)
        assert not divides(text, end)
