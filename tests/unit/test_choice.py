"""Which sentences answer."""

from __future__ import annotations

import pytest

from citestream.answer.choice import chosen, held, ranked
from citestream.model import Passage
from tests.answers import GUIDE, POLICY, passage


def texts(question: str, *passages: Passage) -> list[str]:
    return [sentence.text for sentence in chosen(question, passages)]


def test_the_sentence_that_holds_most_of_the_question_comes_first() -> None:
    assert texts("How long do refresh tokens live?", passage(POLICY), passage(GUIDE))[0] == (
        "Refresh tokens live for 30 days."
    )


@pytest.mark.parametrize("question", ["Who won the chess championship?", "Is the?", "?"])
def test_nothing_is_chosen_where_nothing_answers(question: str) -> None:
    assert texts(question, passage(GUIDE), passage(POLICY)) == []
    assert held(ranked(question, [passage(GUIDE)])) == 0.0


def test_without_a_sentence_nothing_is_held() -> None:
    assert held(ranked("Anything?", [passage("# Anything")])) == 0.0
    assert held(ranked("Anything?", [])) == 0.0


def test_what_a_sentence_goes_on_from_counts() -> None:
    subject = "The Zeppelin museum opened in 1996."
    found = ranked("What does the Zeppelin museum show?", [passage(f"{subject} It shows how airships were built.")])
    assert held(found) == 1.0
    alone = ranked("What does the Zeppelin museum show?", [passage("It shows how airships were built.")])
    assert held(alone) < 0.5


def test_a_heading_says_what_the_sentences_below_it_are_about() -> None:
    first, *_ = texts(
        "What is the refund deadline?",
        passage("The deadline is 9 days after the order.", section="Shipping"),
        passage("The deadline is 14 days after delivery.", section="Refund"),
    )
    assert "14 days" in first


def test_rare_words_answer_a_long_question_that_has_other_words_too() -> None:
    question = "According to Governor Ada Lovelace's speech, which bridge did surveyors in Zurich find to be unsafe?"
    others = [passage(f"The harbour of district {number} opens at noon.", f"{number}.md") for number in range(7)]
    answer = "Three surveyors from Zurich call the old bridge a ruin."
    assert texts(question, *others, passage(answer)) == [answer]
    assert texts(question, *others, passage("Three surveyors call the old bridge a ruin.")) == []


def test_words_that_only_ask_are_not_looked_for() -> None:
    asked = "How much does it get, and how many kinds of tokens come?"
    assert held(ranked(asked, [passage("Many of them get much of what is kind to come.")])) == 0.0
    assert held(ranked(asked, [passage("Tokens are plain.")])) == 1.0
    assert texts("How many come?", passage("Many come by train.")) == ["Many come by train."]


@pytest.mark.parametrize("heading", ["Life of Ada Lovelace, countess", "# Life of Ada Lovelace, countess"])
def test_a_heading_is_not_quoted_but_what_follows_goes_on_from_it(heading: str) -> None:
    text = f"{heading}\n\nShe was a great mathematician."
    section = "Life of Ada Lovelace, countess"
    assert texts("Who was Ada Lovelace?", passage(text, section=section)) == ["She was a great mathematician."]


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("When was the bridge opened?", ["The bridge was opened by the queen.", "The bridge was opened in 1849."]),
        ("Wie lang ist die Brücke?", ["Die Brücke ist aus Stahl.", "Die Brücke ist 408 Meter lang."]),
        ("How many arches has the 1849 bridge?", ["The 1849 bridge has arches.", "The 1849 bridge has 6 arches."]),
    ],
)
def test_where_a_number_is_asked_for_a_sentence_that_has_a_new_one_is_better(
    question: str, passages: list[str]
) -> None:
    assert texts(question, *map(passage, passages))[0] == passages[1]


@pytest.mark.parametrize(
    ("one", "other", "sources"),
    [
        ("Laptops are encrypted by the desk.", "Laptops are encrypted by the desk.", [(1, 2)]),
        ("Laptops are encrypted by the desk!", "laptops  are encrypted, by the **desk**.", [(1, 2)]),
        ("Laptops are encrypted by the desk.", "Laptops are not encrypted by the desk.", [(1,), (2,)]),
        ("Laptops are encrypted within 3 days.", "Laptops are encrypted within 4 days.", [(1,), (2,)]),
        ("Laptops are encrypted.", "Laptops are encrypted by the desk.", [(1,), (2,)]),
        ("Laptops are encrypted. Laptops are encrypted.", "Phones are not.", [(1,)]),
    ],
    ids=["same", "same words", "denied", "other number", "more", "twice in one"],
)
def test_repeats_are_said_once_with_the_sources_of_all(one: str, other: str, sources: list[tuple[int, ...]]) -> None:
    found = chosen("Are laptops encrypted?", [passage(one), passage(other, "other.md")])
    assert [each.sources for each in found] == sources


def test_a_shorter_sentence_that_says_nothing_more_is_left_out() -> None:
    found = chosen(
        "Who encrypts laptops at the desk?",
        [passage("Laptops are encrypted at the desk by Ada Lovelace."), passage("Laptops are encrypted at the desk.")],
    )
    assert [each.sources for each in found] == [(1,)]


def test_six_sentences_are_enough() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    text = " ".join(f"The rule about tokens says {word} {number} {word[::-1]}." for number, word in enumerate(words))
    assert len(texts("What does the rule about tokens say?", passage(text))) == 6


def test_a_sentence_that_goes_on_comes_after_the_one_that_it_goes_on_from() -> None:
    text = "The rule on new tokens is strict. It was the rule on old tokens, too. It is the rule on refresh tokens."
    assert " ".join(texts("What is the rule on new or old refresh tokens?", passage(text))) == text


def test_the_best_comes_first_where_it_goes_on_from_none() -> None:
    text = "The rule about access tokens is old. The rule about refresh tokens is old, too."
    found = texts("Is the rule about refresh tokens old?", passage(text))
    assert found == ["The rule about refresh tokens is old, too.", "The rule about access tokens is old."]
