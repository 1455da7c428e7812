"""Tokens, estimated, and texts that are cut to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citestream.answer.budget import cut, fit, tokens
from tests.answers import GUIDE, POLICY, passage

# What OpenAI's cl100k makes of each.
COUNTED = {
    "Access tokens live for 15 minutes. Refresh tokens live for 30 days, and both are revoked at logout.": 23,
    "Die Geschäftsführung überprüft vierteljährlich sämtliche Sicherheitsmaßnahmen der Rechenzentren.": 29,
    "Токены доступа действуют пятнадцать минут, после чего их нужно обновить.": 30,
    "アクセストークンの有効期間は十五分です。": 19,
    "访问令牌的有效期为十五分钟，刷新令牌为三十天。": 26,
    "รหัสผ่านต้องเปลี่ยนทุกเก้าสิบวัน": 27,
    "def keep(backups: list[int]) -> int:\n    return backups[-1] if backups else 0\n": 23,
    "| 2023-11-04 | 17.250,00 | 0.734 | 12 |\n": 24,
}


@pytest.mark.parametrize("text", COUNTED)
def test_the_estimate_is_rather_too_high_and_not_by_far(text: str) -> None:
    assert 1.0 <= tokens(text) / COUNTED[text] <= 2.5


def test_nothing_has_no_tokens() -> None:
    assert tokens("") == 0


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (1000, GUIDE),
        (tokens(GUIDE), GUIDE),
        (tokens(GUIDE) - 1, "Access tokens live for 15 minutes. Refresh tokens live for 30 days."),
        (tokens("Access tokens live for 15 minutes."), "Access tokens live for 15 minutes."),
        (tokens("Access tokens live for 15 minutes.") - 1, ""),
        (0, ""),
        (-5, ""),
    ],
)
def test_a_text_is_cut_at_sentences(most: int, left: str) -> None:
    assert cut(GUIDE, most) == left
    assert cut(GUIDE, most, within_sentence=True) == left or not left


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        (GUIDE, 7, "Access tokens live for"),
        (GUIDE, 6, "Access tokens live"),
        (GUIDE, 1, "Acc"),
        (GUIDE, 0, ""),
        ("\n word " * 9, 3, "\n word"),
        ("アクセストークンの有効期間", 9, "アクセストー"),
    ],
)
def test_or_within_the_first_at_words(text: str, most: int, left: str) -> None:
    assert cut(text, most, within_sentence=True) == left


@given(st.text(), st.integers(-1, 60), st.booleans())
def test_what_is_left_is_a_beginning_that_fits(text: str, most: int, within: bool) -> None:
    left = cut(text, most, within_sentence=within)
    assert text.startswith(left)
    assert tokens(left) <= max(0, most)


def test_the_last_passages_go_first_and_the_last_that_stays_is_cut() -> None:
    first, second, third = passage(GUIDE), passage(POLICY, "policy.md", start=40), passage(GUIDE, "copy.md")
    most = tokens(GUIDE) + 10 + tokens("Laptops are encrypted.") + 10
    kept = fit([first, second, third], [10, 10, 10], most)
    assert kept == (first, passage("Laptops are encrypted.", "policy.md", start=40))
    assert fit([first, second, third], [10, 10, 10], 1000) == (first, second, third)
    assert fit([first, second, third], [10, 10, 10], most - 1) == (first,)


def test_no_passage_stays_behind_one_that_is_left_out() -> None:
    long, short = passage("word " * 500), passage("Short.", "short.md")
    (kept,) = fit([long, short], [0, 0], 20)
    assert long.text.startswith(kept.text)
    assert fit([passage(GUIDE), long, short], [0, 0, 0], tokens(GUIDE)) == (passage(GUIDE),)


@given(st.lists(st.text(min_size=1), max_size=5), st.integers(0, 100))
def test_passages_fit_and_are_beginnings_of_their_own_in_the_same_order(texts: list[str], most: int) -> None:
    given_passages = [passage(text, f"{at}.md", start=at) for at, text in enumerate(texts)]
    kept = fit(given_passages, [1] * len(texts), most)
    assert sum(tokens(each.text) + 1 for each in kept) <= most
    for each, whole in zip(kept, given_passages, strict=False):
        assert each.text
        assert whole.text.startswith(each.text)
        assert (each.document_id, each.char_start) == (whole.document_id, whole.char_start)
        assert each.char_end == each.char_start + len(each.text)
