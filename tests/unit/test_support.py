"""How well passages support a sentence that cites them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citestream.answer.support import Grounds, Supports, read
from tests.answers import GUIDE, POLICY, passage


def supports(claim: str, *cited: str, excerpts: tuple[str, ...] | None = None) -> Supports | None:
    """By these passages, of which all that is there is shown where no excerpts are named."""
    shown = excerpts or cited
    grounds = Grounds([passage(text) for text in cited])
    return grounds.supports(claim, {place: read(text) for place, text in enumerate(shown)})


def together(claim: str, *cited: str) -> float:
    found = supports(claim, *cited)
    assert found
    return found.together


def test_verbatim_is_full_and_strange_is_no_support() -> None:
    assert together("Refresh tokens live for 30 days.", GUIDE) == 1.0
    assert together("Bananas ripen slowly.", GUIDE) == 0.0


def test_the_same_words_in_another_order_support_less() -> None:
    text = "The mayor opened the new bridge, and much later the bishop blessed the old chapel."
    assert (
        together("The bishop blessed the old chapel.", text) > together("The mayor blessed the old bridge.", text) > 0
    )


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("Refresh tokens live for 31 days.", GUIDE),
        ("Refresh tokens live for a day and 30 hours and 3 minutes.", GUIDE),
        ("The office closes on 6 March 2020.", "The office closes on March 5, 2020."),
        ("The office closes on March 5, 2021.", "The office closes on 5 March 2020."),
        ("A lost laptop is not reported within 1 hour.", POLICY),
        ("Laptops are encrypted.", "Laptops are not encrypted."),
        ("Die Karte gilt.", "Die Karte gilt nicht."),
    ],
)
def test_what_contradicts_its_passage_is_half_supported_at_most(claim: str, text: str) -> None:
    assert 0 < together(claim, text) <= 0.5


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("It takes three days.", "It takes 3 days."),
        ("It costs 1,200 euros.", "It costs 1200 euros."),
        ("It rose by 5 percent.", "It rose by 5%."),
        ("It ended on 5 March 2020.", "It ended on 2020-03-05."),
        ("Laptops are not encrypted.", "Laptops are never encrypted."),
    ],
)
def test_what_is_written_otherwise_is_supported_in_full(claim: str, text: str) -> None:
    assert together(claim, text) == 1.0


def test_a_heading_holds_the_numbers_of_what_stands_below_it() -> None:
    def kept(section: str | None) -> float:
        text = "The rate is five percent."
        found = Grounds([passage(text, section=section)]).supports("The rate of 2024 is 5%.", {0: read(text)})
        assert found
        return found.together

    assert kept("Rates of 2024") == 2 * kept("Rates") == 2 * kept(None)


def test_passages_support_together_what_each_supports_in_part() -> None:
    found = supports("Access tokens live for 15 minutes and a lost laptop is reported within 1 hour.", GUIDE, POLICY)
    assert found
    assert found.together > max(found.alone.values())
    # Here the number of the other passage takes nothing away.
    lonely = supports("Access tokens live for 15 minutes and a lost laptop is reported within 1 hour.", GUIDE)
    assert lonely
    assert found.alone[0] > 1.5 * lonely.alone[0] > 0


def test_what_the_excerpt_does_not_show_counts_half() -> None:
    claim = "Refresh tokens live for 30 days."
    found = supports(claim, GUIDE, excerpts=("Both are revoked at logout.",))
    assert found
    assert found.alone == {0: 0.5}
    assert found.together == 1.0


@pytest.mark.parametrize("claim", ["", "…", "🙂", "is the a"])
def test_a_sentence_without_words_has_no_support(claim: str) -> None:
    assert supports(claim, GUIDE) is None


def test_a_sentence_that_cites_nothing_has_no_support() -> None:
    assert Grounds([passage(GUIDE)]).supports("Tokens live.", {}) is None


@pytest.mark.parametrize(
    "text", ["東京都は日本の首都です。", "القاهرة عاصمة مصر.", "𝒜 𝓈𝓂𝒶𝓁𝓁 𝓈𝑒𝓃𝓉𝑒𝓃𝒸𝑒", "Ja.", "42", "भारत एक देश है।"]
)
def test_any_script_supports_itself(text: str) -> None:
    assert together(text, text) == 1.0


@given(st.lists(st.sampled_from(["tokens", "live", "15", "not", "days", "March 5", "東京", "."]), max_size=12))
def test_support_is_between_0_and_1_and_grows_with_the_passage(words: list[str]) -> None:
    claim = " ".join(words)
    grounds = Grounds([passage(GUIDE), passage(POLICY)])
    one = grounds.supports(claim, {0: read(GUIDE)})
    both = grounds.supports(claim, {0: read(GUIDE), 1: read(POLICY)})
    assert (one is None) == (both is None)
    if one and both:
        assert 0 <= one.together <= 1
        assert 0 <= both.alone[1] <= both.together + 1e-9
        assert set(both.alone) == {0, 1}


def test_retrieval_is_what_passages_and_their_headings_hold_of_the_question() -> None:
    grounds = Grounds([passage(GUIDE, section="Sessions"), passage(POLICY)])
    assert grounds.retrieval("How do tokens live in sessions?", [0, 1]) == 1.0
    assert grounds.retrieval("How do tokens live in sessions?", [1]) == 0.0
    assert 0 < grounds.retrieval("Do tokens taste sweet?", [0]) < 1
    assert grounds.retrieval("Who is it?", [0]) == 0.0
    assert Grounds([]).retrieval("Anything?", []) == 0.0
