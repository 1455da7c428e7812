"""Where a text may be cut."""

from __future__ import annotations

import pytest

from citestream.graphemes import cut_before, divides


@pytest.mark.parametrize(
    "marked",
    [
        "a|b| |c",
        "e\u0301|x",
        "कि|ता|ब",
        "क्ष|त्रि|य",
        "👩\u200d👩\u200d👧|!",
        "👍🏽|👍",
        "❤\ufe0f|a",
        "🇩🇪|🇫🇷|x",
        "🏴\U000e0067\U000e0062\U000e007f|a",
        "\u1112\u1161\u11ab|\u1100\u1173\u11af",
        "\u1100\u1100\uac00\u11a8|\uac00|a",
        "\ua960\ud7b0\ud7cb|한|글",
        "น\u0e33|น",
        "ｶ\uff9e|ｷ",
        "\n|\u0301|a",
    ],
)
def test_a_cut_divides_no_character(marked: str) -> None:
    text = marked.replace("|", "")
    places, at = [], 0
    for part in marked.split("|"):
        at += len(part)
        places.append(at)
    assert [place for place in range(1, len(text) + 1) if not divides(text, place)] == places


def test_a_mark_at_the_beginning_belongs_to_what_stood_before() -> None:
    assert divides("\u0301a", 0)
    assert not divides("a\u0301", 0)
    assert not divides("", 0)


@pytest.mark.parametrize(
    ("text", "start", "end", "cut"),
    [
        ("abc", 0, 2, 2),
        ("ae\u0301", 0, 2, 1),
        ("e\u0301\u0301", 0, 2, 2),
        ("🇩🇪🇫🇷", 0, 3, 2),
    ],
    ids=["between", "before a mark", "no place", "between flags"],
)
def test_the_last_place_for_a_cut(text: str, start: int, end: int, cut: int) -> None:
    assert cut_before(text, start, end) == cut
