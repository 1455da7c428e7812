"""The turns before a question: what is left of them, and what a follow-up carries from them."""

from __future__ import annotations

import pytest

from citestream.answer.budget import tokens
from citestream.answer.history import Turn, carried, fitting, recent


def user(content: str) -> Turn:
    return Turn("user", content)


def assistant(content: str) -> Turn:
    return Turn("assistant", content)


PROBATION = (user("How long is the probation period?"), assistant("Six months [1]."))


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("Kept for 30 days [1].", "Kept for 30 days."),
        ("Kept for 30 days [1][2]. Daily [3].", "Kept for 30 days. Daily."),
        ("Kept [1, 3] daily【2】.", "Kept daily."),
        ("In `keep[1]` and\n```\nkeep[2]\n```\nas said [1].", "In `keep[1]` and\n```\nkeep[2]\n```\nas said."),
        ("As [the policy](https://example.org/a) says [1].", "As [the policy](https://example.org/a) says."),
        ("In [2023] it was `open", "In [2023] it was `open"),
        (" Spaces. \n", "Spaces."),
    ],
)
def test_answers_lose_their_markers_and_nothing_else(answer: str, left: str) -> None:
    assert recent([assistant(answer)], "Why?") == (assistant(left),)


def test_what_users_said_stays() -> None:
    assert recent([user("What does [2] mean? ")], "Why?") == (user("What does [2] mean?"),)


def test_an_answer_of_markers_alone_is_none() -> None:
    assert recent([user("How long?"), assistant("[1][2]")], "Why?") == (user("How long?"),)


def test_the_last_ten_turns_count() -> None:
    turns = [user(f"Question {at}?") for at in range(13)]
    assert recent(turns, "Why?") == tuple(turns[3:])


@pytest.mark.parametrize(
    ("turns", "left"),
    [
        ([user("How long?"), assistant("Long."), user("Why?")], [user("How long?"), assistant("Long.")]),
        ([user("Why?")], []),
        ([user("Why?"), assistant("Because.")], [user("Why?"), assistant("Because.")]),
    ],
)
def test_the_question_itself_is_no_turn_before_it(turns: list[Turn], left: list[Turn]) -> None:
    assert recent(turns, "Why?") == tuple(left)


def test_the_newest_turns_are_kept_and_the_oldest_of_them_is_cut_at_a_sentence() -> None:
    turns = [user("Long ago."), assistant("The first sentence. The second sentence."), user("The last one?")]
    most = tokens("The last one?") + tokens("The first sentence.") + 1
    assert fitting(turns, most) == (assistant("The first sentence."), user("The last one?"))
    assert fitting(turns, 1000) == tuple(turns)
    assert fitting(turns, 0) == ()


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("And how long for contractors?", "probation period"),
        ("What about it?", "how long probation period"),
        ("What about contractors?", "how long probation period"),
        ("Why?", "how long probation period"),
        ("Tell me more.", "how long probation period"),
        ("Contractors?", "how long probation period"),
        ("Does it apply to contractors, too?", "how long probation period"),
        ("Is that the same for contractors?", "how long probation period"),
        ("Can they extend the probation?", "how long period"),
        ("And which notice period?", "how long"),
        ("Und für Externe?", "how long probation period"),
        ("Gilt sie auch für Externe?", "how long probation period"),
        ("Et pour les stagiaires ?", "how long probation period"),
        ("Qu'en est-il des stagiaires ?", "how long probation period"),
        ("¿Y para los becarios?", "how long probation period"),
    ],
)
def test_a_follow_up_carries_the_terms_of_what_it_follows(question: str, terms: str) -> None:
    assert carried(question, PROBATION) == f"{question} {terms}"


@pytest.mark.parametrize(
    "question",
    [
        "How do I reset my VPN password?",
        "And how long are backups of the production database kept?",
        "Is it possible to return a laptop after thirty days?",
        "What is the parental leave policy?",
        "Wie lange ist das Zertifikat der Datenbank gültig?",
        "Quelle est la durée du congé parental ?",
        "¿Cuánto dura la contraseña temporal?",
    ],
)
def test_a_question_that_stands_on_its_own_is_left_as_it_is(question: str) -> None:
    assert carried(question, PROBATION) == question


def test_terms_are_carried_through_follow_ups_to_a_question_that_stands_alone_and_no_further() -> None:
    history = [
        user("Where are laptops kept?"),
        assistant("In the cellar."),
        *PROBATION,
        user("And for contractors?"),
        assistant("Three months."),
    ]
    assert carried("And for interns?", history) == "And for interns? contractors how long probation period"


@pytest.mark.parametrize(
    "history",
    [(), (assistant("Six months."),), (user("???"), user("And?"))],
    ids=["none", "answers alone", "without a word"],
)
def test_without_an_earlier_question_nothing_is_carried(history: tuple[Turn, ...]) -> None:
    assert carried("And for interns?", history) == "And for interns?"


@pytest.mark.parametrize(
    ("before", "question", "terms"),
    [
        ("How long is the notice?", "???", "how long notice"),
        ("How long does an access token live?", "What about refresh tokens?", "how long live"),
        ("How high is the daily allowance in Germany?", "And in Japan?", "how high daily allowance germany"),
        ("When are production backups deleted?", "And test backups?", "when deleted"),
    ],
)
def test_what_is_asked_about_instead_is_not_carried(before: str, question: str, terms: str) -> None:
    assert carried(question, [user(before)]) == f"{question} {terms}"


def test_so_much_is_carried_and_no_more() -> None:
    words = [f"term{at}" for at in range(50)]
    assert carried("Why?", [user(" ".join(words))]) == " ".join(["Why?", *words[:12]])
    assert carried("Why?", [user(f"{'so ' * 700}late")]) == "Why?"
