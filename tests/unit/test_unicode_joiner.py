"""A character that was torn apart between two pieces comes out whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citestream.answer.upstream import UnicodeJoiner


def joined(*pieces: str) -> list[str]:
    joiner = UnicodeJoiner()
    return [*(joiner.feed(piece) for piece in pieces), joiner.close()]


@pytest.mark.parametrize(
    ("pieces", "out"),
    [
        (["a", "b"], ["a", "b", ""]),
        (["x\ud83d", "\ude00y"], ["x", "😀y", ""]),
        (["\ud83d", "", "\ude00"], ["", "", "😀", ""]),
        (["\ud83d\ude00"], ["😀", ""]),
        (["\ud83dx"], ["\ufffdx", ""]),
        (["\ude00"], ["\ufffd", ""]),
        (["a\ud83d"], ["a", "\ufffd"]),
        (["\ud83d\ud83d", "\ude00"], ["\ufffd", "😀", ""]),
        (["\ufeffa"], ["\ufeffa", ""]),
    ],
)
def test_halves_are_held_back_until_the_other_comes(pieces: list[str], out: list[str]) -> None:
    assert joined(*pieces) == out


@given(st.text())
def test_no_way_to_tear_a_text_changes_it(text: str) -> None:
    units = memoryview(text.encode("utf-16-le")).cast("H").tolist()
    assert "".join(joined(*map(chr, units))) == text
