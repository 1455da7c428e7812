"""What each marker stands for."""

from __future__ import annotations

import pytest

from citestream.answer.citations import Claim, cite, claims
from tests.answers import GUIDE, POLICY, fed, passage


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("One [1]. Two [2].", [Claim("One .", (1,)), Claim("Two .", (2,))]),
        ("One. [1] Two. [2]", [Claim("One.", (1,)), Claim("Two.", (2,))]),
        ("Both [1][2]. None.", [Claim("Both .", (1, 2)), Claim("None.", ())]),
        ("[1] At the start.", [Claim("At the start.", (1,))]),
        ("No marker.", [Claim("No marker.", ())]),
        ("", []),
    ],
)
def test_a_marker_belongs_to_the_sentence_it_follows(answer: str, expected: list[Claim]) -> None:
    text, markers = fed(2, answer)
    assert claims(text, markers.marks) == expected


def test_citations_are_numbered_as_the_markers_and_lie_in_their_passages() -> None:
    passages = [passage(GUIDE, start=100), passage(POLICY, "policy.md", start=50)]
    text, markers = fed(2, "Report a lost laptop within 1 hour [2]. Refresh tokens live 30 days [1]. It is open [2].")
    first, second = cite(claims(text, markers.marks), markers.sources, passages)
    assert (first.number, first.document_name) == (1, "policy.md")
    assert first.excerpt in POLICY
    assert POLICY[first.char_start - 50 : first.char_end - 50] == first.excerpt
    assert second.excerpt == "Refresh tokens live for 30 days."
    assert (second.char_start, second.support) == (100 + GUIDE.index("Refresh"), 1.0)
