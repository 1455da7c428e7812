"""The choice among the passages found: nothing twice, and several documents where they are compared."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.model import Passage
from citestream.retrieval.selection import select

POLICY = (
    "Every employee may work from home on two days of each week. Which days these are is agreed upon with the team,"
    " and entered into the calendar by Friday noon. Whoever is new to the company comes to the office on all days of"
    " the first month. Equipment is lent by the technical department against a receipt."
)
OTHER = (
    "Travel is booked through the portal. Trains come before flights wherever the journey takes less than half a day,"
    " and a manager signs for whatever costs more than the usual rate of the destination."
)


def passage(text: str, score: float = 0.5, document: str = "a") -> Passage:
    return Passage(f"{document}-{score}", document, f"{document}.md", "kb", text, 0, len(text), None, None, score)


def texts(*found: str) -> list[str]:
    passages = [passage(text, 1 - i / 100, f"document {i}") for i, text in enumerate(found)]
    return [each.text for each in select("What is allowed?", passages, 8)]


@pytest.mark.parametrize(
    "repeated",
    [
        POLICY,
        POLICY.upper(),
        POLICY.replace(" ", "  \n"),
        POLICY.replace("agreed", "agred"),
        POLICY.replace(". ", " - ").replace(",", ""),
        POLICY[60:240],
        f"Draft. {POLICY}",
    ],
    ids=["same", "case", "white space", "a typing mistake", "punctuation", "a part", "a word before it"],
)
def test_what_a_better_passage_says_is_left_out(repeated: str) -> None:
    assert texts(POLICY, OTHER, repeated) == [POLICY, OTHER]


@pytest.mark.parametrize(
    "new",
    [
        f"{POLICY} {OTHER}",
        POLICY.replace("two days", "2 days"),
        "Every employee may work from home.",
        "家で働いてもよい日は週に二日です。",
    ],
    ids=["more", "a number", "a sentence of another end", "another language"],
)
def test_what_says_more_stays(new: str) -> None:
    found = POLICY.replace("from home", "at home")
    assert texts(found, new) == [found, new]


def test_versions_that_differ_in_a_number_both_stay() -> None:
    old, new, copy = (POLICY.replace("two", number) for number in ("2", "3", "3"))
    assert texts(old, new, copy) == [old, new]
    assert texts(POLICY, old) == [POLICY, old]
    assert texts(old, POLICY) == [old]


def test_scripts_without_spaces_are_compared_too() -> None:
    text = "黑豹队的防守只丢了三百零八分，在联赛中排名第六，并以二十四次拦截领先全联盟。"
    assert texts(text, text.replace("，", "、"), "今天天气很好，我们去公园散步。") == [
        text,
        "今天天气很好，我们去公园散步。",
    ]


def test_short_texts_and_those_without_words() -> None:
    assert texts("Yes.", "No.", "yes", "Yes, indeed.") == ["Yes.", "No.", "Yes, indeed."]
    assert texts("---") == ["---"]
    assert texts("Yes.", "---") == ["Yes."]
    assert texts() == []


def test_what_was_left_out_makes_room() -> None:
    passages = [passage(text, document=str(i)) for i, text in enumerate([POLICY, POLICY, POLICY, OTHER])]
    assert [each.document_id for each in select("What is allowed?", passages, 2)] == ["0", "3"]


SCORES = {"oauth": (0.9, 0.88, 0.86, 0.84), "saml": (0.8, 0.5), "lunch": (0.1,)}
FOUND = sorted(
    (passage(f"{name} {'abcd'[i]}", score, name) for name, scores in SCORES.items() for i, score in enumerate(scores)),
    key=lambda each: -each.score,
)


@pytest.mark.parametrize(
    "question",
    [
        "What is the difference between OAuth and SAML?",
        "differences  between OAuth and SAML",
        "How does OAuth differ from SAML?",
        "How do OAuth and SAML differ?",
        "Is OAuth different from SAML?",
        "Compare OAuth with SAML",
        "How is OAuth compared to SAML?",
        "a comparison of OAuth and SAML",
        "OAuth versus SAML",
        "OAuth vs. SAML",
        "Do both expire?",
        "Was ist der Unterschied zwischen OAuth und SAML?",
        "Worin unterscheiden sich OAuth und SAML?",
        "OAuth im Vergleich zu SAML",
        "Vergleiche OAuth mit SAML",
        "OAuth verglichen mit SAML",
        "Quelle est la différence entre OAuth et SAML ?",
        "Comparer OAuth et SAML",
        "OAuth par rapport à SAML",
        "¿Cuál es la diferencia entre OAuth y SAML?",
        "OAuth comparado con SAML",
    ],
)
def test_several_documents_where_the_question_compares(question: str) -> None:
    chosen = select(question, FOUND, 3)
    assert [(each.document_id, each.score) for each in chosen] == [("oauth", 0.9), ("saml", 0.8), ("oauth", 0.88)]


@pytest.mark.parametrize(
    "question",
    [
        "How does OAuth work?",
        "How does SAML work, and what is the distance between the points?",
        "What is indifferent to a comparator?",
        "How many different tokens are there?",
        "Welche beiden Wege gibt es?",
        "What bothers SAML?",
        "",
    ],
)
def test_else_the_best_in_order(question: str) -> None:
    assert select(question, FOUND, 3) == FOUND[:3]
    assert select(question, FOUND, 20) == FOUND


def test_a_document_that_says_little_does_not_come_in_for_a_comparison() -> None:
    chosen = select("OAuth versus SAML", FOUND, 6)
    assert {each.document_id for each in chosen} == {"oauth", "saml"}


def test_of_equals_the_first_comes_first() -> None:
    equals = [passage(f"text {letter}", 0.5, letter) for letter in "abc"]
    assert select("a versus b", equals, 3) == equals


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(st.text("ab1 黑\n", max_size=30), st.floats(0, 1), st.sampled_from("xyz")),
        max_size=12,
    ),
    st.integers(1, 20),
    st.booleans(),
)
def test_a_choice_is_of_what_was_found_and_needs_no_second_one(
    found: list[tuple[str, float, str]], top_k: int, comparing: bool
) -> None:
    question = "x versus y" if comparing else "x"
    passages = sorted((passage(*each) for each in found), key=lambda each: -each.score)
    chosen = select(question, passages, top_k)
    assert len(chosen) <= top_k
    assert all(each in passages for each in chosen)
    assert bool(chosen) == bool(passages)
    assert sorted(select(question, chosen, top_k), key=str) == sorted(chosen, key=str)
    if not comparing:
        assert chosen == sorted(chosen, key=lambda each: -each.score)
