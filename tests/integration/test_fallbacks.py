"""Several models: when the next is asked, when it must not be, and what is told where none answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from citestream.answer.answerer import Ending
from citestream.model import Usage
from tests.models import BEDROCK, KINDS, OPENAI, Kind, Models, ask, until_failure, whole
from tests.models import litellm as litellm
from tests.models import models as models
from tests.scripted_server import OPEN, Status
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

ORDERS = [
    pytest.param(first, second, id=f"{first}, {second}") for first in KINDS for second in KINDS if first is not second
]
each_order = pytest.mark.parametrize(("first", "second"), ORDERS)
BUSY = "The model is busy. Try again in a moment."


@each_order
@pytest.mark.parametrize("status", [401, 403, 404, 400, 429, 500, 503])
async def test_the_second_answers_where_the_first_refuses(
    models: Models, first: Kind, second: Kind, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    if (first, status) == (BEDROCK, 401):
        status = 424  # Bedrock has no 401
    models[first].reply(Status(status))
    models[second].reply(*second.answer("So ", "it is [1]."))
    found = await whole(models.answerer(first.model, second.model))
    assert found == ("So it is [1].", Ending("stop", Usage(100, 2)))
    (message,) = caplog.messages
    assert message.startswith(f"{first.model}: ")
    assert f"status {503 if status == 500 and first is BEDROCK else status})" in message


@each_order
@pytest.mark.parametrize("how", ["cut", "malformed", "failure event", "ended early"])
@pytest.mark.parametrize("unseen", [False, True])
async def test_the_second_answers_where_nothing_of_the_first_was_seen(
    models: Models, first: Kind, second: Kind, how: str, unseen: bool
) -> None:
    begun = (first.reasoning("Let me see."), first.delta(" \n")) if unseen else ()
    models[first].reply(*begun, *first.broken[how])
    models[second].reply(*second.answer("So."))
    assert (await whole(models.answerer(first.model, second.model)))[0] == "So."


@each_order
async def test_the_second_answers_where_the_first_says_nothing(models: Models, first: Kind, second: Kind) -> None:
    models[first].reply(*first.answer("\n"))
    models[second].reply(*second.answer("So."))
    assert (await whole(models.answerer(first.model, second.model)))[0] == "So."


@pytest.mark.parametrize("missing", ["nobody/knows-this", "anthropic/without-a-key"])
async def test_the_second_answers_where_the_first_is_not_set_up(
    models: Models, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert (await whole(models.answerer(missing, BEDROCK.model)))[1] == Ending("stop", Usage(100, 5))


@each_order
@pytest.mark.parametrize("how", ["cut", "malformed", "failure event", "ended early"])
async def test_nobody_else_is_asked_once_something_was_seen(
    models: Models, first: Kind, second: Kind, how: str
) -> None:
    models[first].reply(first.delta("For "), *first.broken[how])
    text, error = await until_failure(models.answerer(first.model, second.model))
    assert (text, error.code, error.retryable) == ("For ", "upstream_error", True)
    assert models[second].replies == []


@each_order
async def test_nobody_else_is_asked_what_the_content_rules_forbid(models: Models, first: Kind, second: Kind) -> None:
    models[first].reply(*first.filtered)
    _, error = await until_failure(models.answerer(first.model, second.model))
    assert (error.message, error.retryable) == ("The model's content rules ended the answer.", False)
    assert models[second].replies == []


@each_order
async def test_a_slow_first_leaves_the_second_half_of_the_time(
    models: Models, first: Kind, second: Kind, hurry: Hurry
) -> None:
    slow, quick = models[first].reply(OPEN), models[second].reply()
    answering = asyncio.create_task(whole(models.answerer(first.model, second.model, seconds=600)))
    await slow.played()
    hurry(250)
    await slow.played()
    assert models[second].replies == []
    hurry(50)
    await quick.played()
    hurry(250)
    quick.send(*second.answer("So."))
    assert (await answering)[0] == "So."
    assert await slow.closed_by_client()


async def test_the_time_is_one_for_all(models: Models, hurry: Hurry) -> None:
    replies = [server.reply(OPEN) for server in (models.openai, models.bedrock, models.openai)]
    answerer = models.answerer(OPENAI.model, BEDROCK.model, "openai/third", seconds=600)
    failing = asyncio.create_task(until_failure(answerer))
    for reply in replies:
        await reply.played()
        assert not failing.done()
        hurry(200)
    _, error = await failing
    assert (error.code, error.retryable) == ("timeout", True)
    assert [len(models[kind].replies) for kind in KINDS] == [2, 1]


@pytest.mark.parametrize(
    ("statuses", "message", "retryable"),
    [
        ((429, 403), BUSY, True),
        ((403, 429), BUSY, True),
        ((404, 403), "The configured model does not exist.", False),
        ((500, 429), "The model's provider failed. Try again in a moment.", True),
    ],
)
async def test_where_both_fail_what_is_worth_a_retry_is_told(
    models: Models, statuses: tuple[int, int], message: str, retryable: bool
) -> None:
    for kind, status in zip(KINDS, statuses, strict=True):
        models[kind].reply(Status(status))
    _, error = await until_failure(models.answerer(OPENAI.model, BEDROCK.model))
    assert (error.code, error.message, error.retryable) == ("upstream_error", message, retryable)
    assert [len(models[kind].replies) for kind in KINDS] == [1, 1]


def busy(seconds: float) -> Status:
    return Status(429, headers={"retry-after": str(seconds)})


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_busy_model_is_asked_once_more_when_it_said(models: Models, kind: Kind) -> None:
    models[kind].reply(busy(0.3))
    models[kind].reply(*kind.answer("So."))
    began = time.monotonic()
    assert (await whole(models.answerer(kind.model)))[0] == "So."
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_busy_model_is_not_asked_a_third_time(models: Models, kind: Kind) -> None:
    models[kind].reply(busy(0.1))
    models[kind].reply(busy(0.1))
    _, error = await until_failure(models.answerer(kind.model))
    assert (error.message, len(models[kind].replies)) == (BUSY, 2)


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_who_is_busy_for_longer_than_there_is_time_is_not_waited_for(models: Models, kind: Kind) -> None:
    models[kind].reply(busy(31))
    _, error = await until_failure(models.answerer(kind.model, seconds=30))
    assert (error.message, error.retryable, len(models[kind].replies)) == (BUSY, True, 1)


async def test_whoever_is_free_first_is_asked_once_more_after_all_are_busy(models: Models) -> None:
    models.openai.reply(busy(20))
    models.bedrock.reply(busy(0.1))
    models.bedrock.reply(*BEDROCK.answer("So."))
    assert (await whole(models.answerer(OPENAI.model, BEDROCK.model)))[0] == "So."
    assert [len(models[kind].replies) for kind in KINDS] == [1, 2]


async def test_cancelling_while_a_busy_model_is_waited_for(models: Models) -> None:
    reply = models.openai.reply(busy(20))
    reading = asyncio.create_task(whole(models.answerer(OPENAI.model)))
    assert not await reply.closed_by_client()
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_the_api_base_is_for_models_of_the_firsts_provider(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9")  # nobody is there
    models.openai.reply(Status(503))
    models.bedrock.reply(Status(503))
    models.openai.reply(*OPENAI.answer("So."))
    assert (await whole(models.answerer("openai/one", BEDROCK.model, "openai/two")))[0] == "So."
    assert [(await reply.arrived())["model"] for reply in models.openai.replies] == ["one", "two"]


async def test_the_first_piece_is_whole_where_it_begins_blank(models: Models) -> None:
    models.openai.reply(*OPENAI.answer("\n", " ", "So ", "it is."))
    pieces = [piece async for piece in ask(models.answerer(OPENAI.model))]
    assert pieces == ["\n So ", "it is.", Ending("stop", Usage(100, 4))]
