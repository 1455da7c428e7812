"""What a sentence denies."""

from __future__ import annotations

import pytest

from citestream.answer.negation import contradict, denials


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Tokens are renewed.", "Tokens are not renewed.", True),
        ("It isn't allowed to share keys.", "It is allowed to share keys.", True),
        ("Guests cannot book rooms.", "Guests can book rooms.", True),
        ("Guests don’t pay.", "Guests pay.", True),
        ("No refunds are given.", "Refunds are given.", True),
        ("Die Karte gilt nicht.", "Die Karte gilt.", True),
        ("Es gibt keinen Rabatt.", "Es gibt einen Rabatt.", True),
        ("Tokens are not renewed.", "Tokens are never renewed.", False),
        # The denial is of something else.
        ("Tokens live for 15 minutes.", "Tokens live for 15 minutes, and are not renewed.", False),
        ("Not only cats but dogs are welcome.", "Cats and dogs are welcome.", False),
        ("At most 5 days.", "No more than 5 days.", False),
        ("Cats are not dogs. Dogs bark.", "Dogs sleep.", False),
        ("Not.", "", False),
        ("", "", False),
    ],
)
def test_texts_contradict_where_a_term_is_denied_in_one_of_them(one: str, other: str, expected: bool) -> None:
    assert contradict(denials(one), denials(other)) is expected
    assert contradict(denials(other), denials(one)) is expected
