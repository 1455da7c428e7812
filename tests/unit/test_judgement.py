"""What is found out about an answer when it has been written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from citestream.answer.confidence import Components, confidence
from citestream.answer.judgement import Judgement, judged
from citestream.model import Passage
from tests.answers import GUIDE, POLICY, fed, passage

PASSAGES = [passage(GUIDE), passage(POLICY, "policy.md")]
QUESTION = "How long do refresh tokens live?"


def judge(answer: str, question: str = QUESTION, passages: list[Passage] = PASSAGES) -> Judgement:
    text, markers = fed(len(passages), answer)
    return judged(question, text, markers, passages)


def parts(answer: str, question: str = QUESTION) -> Components:
    judgement = judge(answer, question)
    return judgement.components(judgement.citations)


def score(answer: str, question: str = QUESTION) -> int:
    return confidence(parts(answer, question), "stop")


def test_components_say_what_was_counted() -> None:
    found = parts("Refresh tokens live for 30 days [1]. Nobody ever said this thing. Yes. [9]")
    assert (found.coverage, found.support, found.markers, found.invalid_markers) == (0.5, 1.0, 1, 1)
    assert found.retrieval == found.relevance > 0.5
    assert 0 < found.supported < 0.5


@pytest.mark.parametrize(
    ("answer", "coverage"),
    [
        ("Refresh tokens live for 30 days [1].", 1.0),
        ("# How long tokens live\n\nRefresh tokens live for 30 days [1].", 1.0),
        ("This is what the guide says:\n\n- Refresh tokens live for 30 days [1].", 1.0),
        ("Yes [1]. Perhaps.", 1.0),
        ("Refresh tokens live long. They live for 30 days [1].", 0.5),
        ("🙂 [1]", 0.0),
        ("Refresh tokens live for 30 days.", 0.0),
        ("", 0.0),
    ],
)
def test_coverage_is_of_the_sentences_that_need_a_citation(answer: str, coverage: float) -> None:
    assert parts(answer).coverage == coverage


def test_each_fault_takes_from_the_score() -> None:
    good = score("Refresh tokens live for 30 days [1].")
    assert good > 80
    for worse in (
        "Refresh tokens live for 31 days [1].",
        "Refresh tokens live for 30 days [2].",
        "Refresh tokens live for 30 days [1]. They are also quite tasty cakes.",
        "Refresh tokens live for 30 days [1][7].",
    ):
        assert score(worse) < good - 3, worse
    assert score("Refresh tokens live for 30 days [1].", question="Who painted the ceiling?") < good / 2


@pytest.mark.parametrize("answer", ["", "Refresh tokens live for 30 days.", "I don't know.", "[7]"])
def test_an_answer_without_citations_is_not_trusted(answer: str) -> None:
    assert score(answer) == 0


def test_what_is_found_and_not_cited_is_not_relevant() -> None:
    found = parts("A lost laptop is reported within 1 hour [2].")
    assert found.retrieval > found.relevance == 0.0


def test_an_answer_from_nothing_is_not_trusted() -> None:
    judgement = judge("Nothing was found about refresh tokens.", passages=[])
    assert confidence(judgement.components([]), "no_answer") == 0


def test_a_citation_that_fell_short_in_its_document_takes_its_sentences_along() -> None:
    judgement = judge("Refresh tokens live for 30 days [1]. A lost laptop is reported within 1 hour [2].")
    first, second = judgement.citations
    whole = judgement.components([first, second])
    half = judgement.components([first, replace(second, support=second.support / 2)])
    gone = judgement.components([first, replace(second, support=0.0)])
    assert whole.support == 1.0
    assert half.support == pytest.approx(0.75)
    assert gone.support == 0.5
    assert whole.supported > half.supported > gone.supported


def test_a_citation_that_supported_nothing_can_lose_nothing() -> None:
    judgement = judge("Bananas ripen slowly there [1].")
    assert judgement.components(judgement.citations).support == 0.0


def test_citations_share_a_sentence() -> None:
    judgement = judge("Refresh tokens live for 30 days [1][2].")
    assert [citation.support for citation in judgement.citations] == [1.0, pytest.approx(0.0, abs=0.1)]
    # Together they support all of it.
    assert judgement.components(judgement.citations).support == 1.0
