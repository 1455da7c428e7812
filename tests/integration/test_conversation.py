"""Questions that follow others: what a search is given of them, what a model is, and what it costs."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from citestream.answer.answerer import Condensed, Ending, Shown
from citestream.answer.history import Turn
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.answer.prompt import condensing, messages
from citestream.model import Usage
from tests.answers import passage
from tests.models import BEDROCK, OPENAI, QUESTION, Models
from tests.models import litellm as litellm
from tests.models import models as models
from tests.openai_server import CUT, DONE, END, OPEN, OpenAIServer, Status, Step, answer, delta, finish, usage
from tests.server import product
from tests.sse import STREAM, decoded
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

HISTORY = (Turn("user", "How long are access logs kept?"), Turn("assistant", "For 90 days."))
CARRIED = "And backups? how long access logs kept"


# --- the model condenses


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine has more time than a reader: only what shall take too long does."""
    monkeypatch.setattr("citestream.answer.litellm._CONDENSING_SECONDS", 60.0)


async def test_a_model_condenses_with_the_settings_of_a_short_answer(models: Models) -> None:
    models.openai.reply(*answer("How long are ", "backups kept?"))
    answerer = LiteLLMAnswerer((OPENAI.model,), api_base=models.openai.base_url, max_tokens=4000, temperature=0.7)
    found = await answerer.condense("And backups?", HISTORY)
    assert found == Condensed("How long are backups kept?", Usage(100, 2))
    body = await models.openai.replies[0].arrived()
    assert body["messages"] == condensing("And backups?", HISTORY, 8000).messages
    assert (body["max_tokens"], body["temperature"]) == (200, 0.0)


async def test_of_several_models_the_first_condenses(models: Models) -> None:
    models.bedrock.reply(*BEDROCK.answer("How long are backups kept?"))
    found = await models.answerer(BEDROCK.model, OPENAI.model).condense("And backups?", HISTORY)
    assert found.text == "How long are backups kept?"
    assert models.openai.replies == []


@pytest.mark.parametrize(
    "said",
    [
        '"How long are backups kept?"\n',
        "Question: How long are backups kept?",
        "The question is:\n\n**“How long are backups kept?”**\n\n",
        "How long are backups kept?\n```\n",
    ],
)
async def test_what_models_put_around_a_question_is_taken_off(models: Models, said: str) -> None:
    models.openai.reply(*answer(said))
    assert (await models.answerer(OPENAI.model).condense("And backups?", HISTORY)).text == "How long are backups kept?"


@pytest.mark.parametrize(
    ("steps", "price"),
    [
        pytest.param((Status(500),), Usage(), id="refused"),
        pytest.param((Status(401),), Usage(), id="not set up"),
        pytest.param((delta("How long"), CUT), Usage(), id="cut off"),
        pytest.param(answer(" \n"), Usage(), id="empty"),
        pytest.param(answer('""\n'), Usage(100, 1), id="quotes alone"),
        pytest.param(answer("?\0…"), Usage(100, 1), id="no words"),
        pytest.param((delta("How"), finish("length"), usage(9, 200), DONE, END), Usage(9, 200), id="too many tokens"),
        pytest.param(answer("How long? " * 101), Usage(), id="too long"),
        pytest.param((delta("How long? " * 99), delta("How long? " * 9)), Usage(), id="longer and longer"),
    ],
)
async def test_where_a_model_fails_to_terms_are_carried(
    models: Models, steps: tuple[Step, ...], price: Usage, caplog: pytest.LogCaptureFixture
) -> None:
    models.openai.reply(*steps)
    with caplog.at_level(logging.WARNING):
        found = await models.answerer(OPENAI.model).condense("And backups?", HISTORY)
    assert found == Condensed(CARRIED, price)
    assert caplog.messages[-1] == "openai/test-model: did not condense a question; terms are carried instead"


@pytest.mark.parametrize("begun", [(), (OPEN,), (delta("How long"),)], ids=["no response", "silent", "stuck"])
async def test_a_model_that_takes_too_long_is_not_waited_for(
    models: Models, begun: tuple[Step, ...], hurry: Hurry
) -> None:
    reply = models.openai.reply(*begun)
    condensing = asyncio.create_task(models.answerer(OPENAI.model, seconds=600).condense("And backups?", HISTORY))
    await reply.played()
    hurry(60)
    assert await condensing == Condensed(CARRIED)
    assert await reply.closed_by_client()


async def test_it_has_half_of_the_time_to_a_first_token(models: Models, hurry: Hurry) -> None:
    reply = models.openai.reply(OPEN)
    condensing = asyncio.create_task(models.answerer(OPENAI.model, seconds=40).condense("And backups?", HISTORY))
    await reply.played()
    hurry(20)
    assert await condensing == Condensed(CARRIED)


async def test_who_leaves_while_a_question_is_condensed_leaves_nothing_open(models: Models) -> None:
    reply = models.openai.reply(delta("How"))
    condensing = asyncio.create_task(models.answerer(OPENAI.model).condense("And backups?", HISTORY))
    await reply.arrived()
    condensing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await condensing
    assert await reply.closed_by_client()


# --- the model answers


async def test_a_model_is_told_the_turns_before_the_question(models: Models) -> None:
    passages = [passage("Backups are kept for 30 days.")]
    async for _ in models.answerer(OPENAI.model).answer("And backups?", passages, HISTORY):
        pass
    body = await models.openai.replies[0].arrived()
    assert body["messages"] == messages("And backups?", passages, HISTORY)


LONG = [passage("This sentence says so much. " * 70, f"{at}.md") for at in range(20)]


async def test_each_model_is_given_what_it_takes(models: Models) -> None:
    """8,192 tokens where nobody knows: GPT-4o's 128,000 and Nova 2 Lite's million are in LiteLLM's table."""
    counts = {}
    for model in ("openai/gpt-4o", "openai/nobody-knows-this", "bedrock/eu.amazon.nova-2-lite-v1:0"):
        *pieces, ending = [piece async for piece in models.answerer(model).answer(QUESTION, LONG)]
        assert isinstance(ending, Ending)
        shown = pieces[0].passages if isinstance(pieces[0], Shown) else tuple(LONG)
        assert not any(isinstance(piece, Shown) for piece in pieces[1:])
        counts[model] = len(shown)
        *whole, last = shown
        assert whole == LONG[: len(whole)]
        assert LONG[len(whole)].text.startswith(last.text)
        assert last.text.rstrip().endswith(".")
    unknown = counts.pop("openai/nobody-knows-this")
    assert set(counts.values()) == {len(LONG)}
    assert 8 <= unknown < len(LONG)


# --- the product


def asked(url: str, query: str, *history: tuple[str, str], **headers: str) -> dict[str, Any]:
    turns = [{"role": role, "content": content} for role, content in history]
    body = {"query": query} | ({"history": turns} if turns else {})
    response = httpx.post(f"{url}/api/v1/search", json=body, headers=headers, timeout=20)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


HOLIDAY = "How many days of holiday does an employee have?"


@pytest.mark.parametrize(
    ("before", "query", "expected"),
    [
        (HOLIDAY, "Can they be carried over?", "Up to 5 days can be carried over"),
        ("How high is the daily allowance in Germany?", "And in Japan?", "¥5,400"),
    ],
)
def test_without_a_model_a_follow_up_is_answered(url: str, before: str, query: str, expected: str) -> None:
    first = asked(url, before)
    again = asked(url, query, ("user", before), ("assistant", first["answer"]))
    assert expected in again["answer"]
    numbers = [citation["number"] for citation in again["citations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert again["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_a_question_that_stands_alone_is_answered_as_without_a_history(url: str) -> None:
    turns = (("user", "Where are backups stored?"), ("assistant", "In Frankfurt [1]."))
    alone, after = asked(url, HOLIDAY), asked(url, HOLIDAY, *turns)
    for name in ("answer", "citations", "confidence_score", "results", "components"):
        assert after[name] == alone[name]


@pytest.fixture
def server(litellm: None) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def modelled(server: OpenAIServer, library: Path, tmp_path: Path) -> Iterator[str]:
    shutil.copy(library / "index.db", tmp_path)
    with product(data=tmp_path, model="openai/test-model", api_base=server.base_url) as url:
        yield url


def test_with_a_model_two_requests_make_an_answer_and_both_are_counted(modelled: str, server: OpenAIServer) -> None:
    server.reply(*answer("How high is the daily allowance in Japan?"))
    server.reply(*answer("It is ¥5,400 [1]."))
    turns = (("user", "How high is the daily allowance in Germany?"), ("assistant", "It is €28 [1][2]."))
    found = asked(modelled, "And in Japan?", *turns, **{"Idempotency-Key": "k"})
    assert found["usage"] == {"input_tokens": 200, "output_tokens": 2}
    assert "¥5,400" in found["citations"][0]["excerpt"]
    prompt = server.replies[1].request.result(0)["messages"]
    assert prompt[1:3] == [
        {"role": "user", "content": "How high is the daily allowance in Germany?"},
        {"role": "assistant", "content": "It is €28."},
    ]
    assert prompt[3]["content"].endswith("\n\nQuestion: And in Japan?")
    assert asked(modelled, "And in Japan?", *turns, **{"Idempotency-Key": "k"}) == found
    body = {"query": "And in Japan?", "history": [{"role": role, "content": content} for role, content in turns]}
    again = httpx.post(f"{modelled}/api/v1/search", json=body, headers=STREAM | {"Idempotency-Key": "k"})
    cursor = {"Last-Event-ID": decoded(again.content)[0].id or ""}
    assert httpx.post(f"{modelled}/api/v1/search", json=body, headers=STREAM | cursor).status_code == 200
    assert len(server.replies) == 2, "a repeated request has the question condensed again"


def test_without_a_history_a_model_is_asked_once(modelled: str, server: OpenAIServer) -> None:
    asked(modelled, "How high is the daily allowance in Japan?")
    assert len(server.replies) == 1
