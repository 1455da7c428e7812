"""What counts as the answer that there is none."""

from __future__ import annotations

import pytest

from citestream.answer.answerer import NO_ANSWER
from citestream.answer.refusal import is_refusal


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(NO_ANSWER, id="the agreed sentence"),
        pytest.param(f'\n"{NO_ANSWER}"\n', id="quoted"),
        pytest.param(f"**{NO_ANSWER[:-1]}**.", id="strong"),
        pytest.param(NO_ANSWER.lower().rstrip("."), id="lower case"),
        pytest.param(f"{NO_ANSWER} [1][2]", id="and markers"),
        pytest.param(f"{NO_ANSWER[:-1]} [1].", id="cited"),
        pytest.param(f"I'm sorry. {NO_ANSWER} They are about backups.", id="among others, nothing cited"),
        pytest.param("Unfortunately, the provided sources do not contain any information about it.", id="sources"),
        pytest.param("I’m sorry, but the documents don’t say when.", id="apology"),
        pytest.param("The passages given cannot answer that.", id="cannot"),
        pytest.param("I could not find an answer in the documents.", id="not found"),
        pytest.param("Based on the sources provided, I cannot answer this.", id="based on"),
        pytest.param("I don't know.", id="not known"),
        pytest.param("I am not able to find that.", id="not able"),
        pytest.param("There is no relevant information on this.", id="no information"),
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        f"{NO_ANSWER} But the policy does [1].",
        f"Backups are kept for 30 days [1]. {NO_ANSWER}",
        "The documents do answer this question.",
        "The documents do answer this question [1].",
        "The sources do not say when, but that it is daily [1].",
        "Backups are kept for 30 days. The sources do not say where they are.",
        "It is daily. The sources do not say where it is kept.",
        "I find it on page 3.",
        "Documents are not encrypted.",
        "There is no limit.",
        f"The sources do not mention a limit. {'They are long. ' * 30}",
    ],
)
def test_answers(text: str) -> None:
    assert not is_refusal(text)
