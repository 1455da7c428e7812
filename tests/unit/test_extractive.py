"""The answerer that needs no model."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from citestream.answer.answerer import NO_ANSWER, Ending
from citestream.answer.extractive import ExtractiveAnswerer
from citestream.model import Passage
from tests.answers import GUIDE, POLICY, fed, passage


async def extracted(question: str, *passages: Passage) -> tuple[str, Ending]:
    pieces = [piece async for piece in ExtractiveAnswerer().answer(question, passages)]
    ending = pieces.pop()
    assert isinstance(ending, Ending)
    return "".join(piece for piece in pieces if isinstance(piece, str)), ending


async def test_while_a_long_question_is_compared_others_go_on() -> None:
    text = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(2000))
    passages = [passage(f"{text[at:]}{text[:at]}。", f"{at}.md") for at in range(0, 2000, 100)]
    async with aclosing(ExtractiveAnswerer().answer(text, passages)) as pieces:
        first = asyncio.ensure_future(anext(pieces))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not first.done()
        assert "[1]" in str(await first)


async def test_the_extractive_answer_quotes_the_sentence_that_answers() -> None:
    text, ending = await extracted("How long do refresh tokens live?", passage(POLICY), passage(GUIDE))
    assert text.startswith("Refresh tokens live for 30 days [2].")
    assert ending == Ending("stop")


async def test_it_says_so_when_nothing_answers() -> None:
    assert await extracted("Who won the chess championship?", passage(GUIDE)) == (NO_ANSWER, Ending("no_answer"))


@pytest.mark.parametrize(
    ("document", "question"),
    [("The frobnitz wheel is red.", "Is the frobnitz wheel red?"), ("Paris is the capital.", "What is the capital?")],
)
async def test_a_short_sentence_is_quoted_too(document: str, question: str) -> None:
    text, ending = await extracted(question, passage(document))
    assert (text, ending.finish_reason) == (f"{document[:-1]} [1].", "stop")


async def test_a_row_of_a_table_is_quoted_by_its_cells() -> None:
    table = "Limits for hotels.\n\n| City | Limit |\n|---|---|\n| Porto | €110 |\n| Sapporo | ¥16,000 |\n"
    text, _ = await extracted("What is the limit in Sapporo?", passage(table))
    assert "Sapporo | ¥16,000 [1]." in text
    assert "Porto" not in text


async def test_what_two_passages_say_is_said_once_and_cites_both() -> None:
    text, _ = await extracted("How long do refresh tokens live?", passage(GUIDE), passage(GUIDE, "copy.md", 0.9))
    assert text.startswith("Refresh tokens live for 30 days [1][2].")
    assert text.count("Refresh tokens live") == 1


async def test_an_answer_that_would_begin_with_a_tag_is_shown_whole() -> None:
    quoted = "<think>Refresh tokens live for 30 days."
    text, _ = await extracted("How long do refresh tokens live?", passage(quoted))
    assert fed(1, text)[0] == "‹think>Refresh tokens live for 30 days [1]."
