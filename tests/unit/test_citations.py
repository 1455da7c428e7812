"""What each marker stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from citestream.answer.citations import Claim, cite, claims, in_place
from citestream.answer.support import Grounds
from citestream.model import Citation, Document
from tests.answers import GUIDE, POLICY, citation, fed, passage


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
    first, second = cite(claims(text, markers.marks), markers.sources, Grounds(passages)).citations
    assert (first.number, first.document_name) == (1, "policy.md")
    assert first.excerpt in POLICY
    assert POLICY[first.char_start - 50 : first.char_end - 50] == first.excerpt
    assert second.excerpt == "Refresh tokens live for 30 days."
    assert (second.char_start, second.support) == (100 + GUIDE.index("Refresh"), 1.0)


def test_a_citation_is_supported_as_much_as_the_sentences_that_cite_it() -> None:
    found = [Claim("Refresh tokens live for 30 days.", (1,)), Claim("Bananas ripen slowly.", (1, 1)), Claim("🙂", (1,))]
    (only,) = cite(found, [1], Grounds([passage(GUIDE)])).citations
    # The one without words says nothing about it.
    assert only.support == 0.5


def test_a_citation_of_nothing_said_supports_nothing() -> None:
    text, markers = fed(1, "[1]")
    (only,) = cite(claims(text, markers.marks), markers.sources, Grounds([passage(GUIDE)])).citations
    assert only.support == 0.0


DOCUMENT = Document("d", "guide.md", "kb", f"Before. {GUIDE} After.")


def cited(text: str, start: int, support: float = 0.8) -> Citation:
    return replace(citation(support), excerpt=text, char_start=start, char_end=start + len(text))


def test_an_excerpt_that_stands_where_it_was_stays() -> None:
    found = cited("Refresh tokens live for 30 days.", DOCUMENT.text.index("Refresh"))
    assert in_place(found, DOCUMENT) == found


def test_an_excerpt_that_has_moved_is_found() -> None:
    found = in_place(cited("Refresh tokens live for 30 days.", 0), DOCUMENT)
    assert (found.excerpt, found.support) == ("Refresh tokens live for 30 days.", 0.8)
    assert DOCUMENT.text[found.char_start : found.char_end] == found.excerpt


def test_in_place_of_an_excerpt_that_is_gone_stands_the_nearest_thing_and_supports_less() -> None:
    found = in_place(cited("Refresh tokens live for 60 days.", 500), DOCUMENT)
    assert found.excerpt == "Refresh tokens live for 30 days."
    assert DOCUMENT.text[found.char_start : found.char_end] == found.excerpt
    assert 0 < found.support < 0.8


def test_in_a_document_that_was_removed_nothing_supports() -> None:
    assert in_place(cited("Refresh", 0), None).support == 0.0
