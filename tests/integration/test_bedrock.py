"""The answerer that asks a model on Bedrock, through LiteLLM's own code, against real event streams."""

from __future__ import annotations

import asyncio
import logging

import pytest

from citestream.answer.answerer import Ending
from citestream.answer.prompt import messages
from citestream.model import Usage
from tests.bedrock_server import (
    CUT,
    END,
    OPEN,
    Status,
    Step,
    answer,
    corrupt,
    delta,
    event,
    exception,
    finish,
    frame,
    reasoning,
    start,
    usage,
)
from tests.models import BEDROCK, PASSAGES, QUESTION, Models, until_failure, whole
from tests.models import litellm as litellm
from tests.models import models as models

MODEL = BEDROCK.model
SECRET = "what the provider says"


async def test_the_request_is_the_prompt_signed_for_the_region(models: Models) -> None:
    assert await whole(models.answerer(MODEL)) == (
        "The first source says so [1]. The second one agrees [2].",
        Ending("stop", Usage(100, 5)),
    )
    (reply,) = models.bedrock.replies
    assert reply.path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"
    system, question = (each["content"] for each in messages(QUESTION, PASSAGES))
    body = await reply.arrived()
    assert body["system"] == [{"text": system}]
    assert body["messages"] == [{"role": "user", "content": [{"text": question}]}]
    assert body["inferenceConfig"] == {"maxTokens": 1024, "temperature": 0.0}
    assert "/us-east-1/bedrock/aws4_request" in reply.headers["authorization"]


@pytest.mark.parametrize(
    ("steps", "ending"),
    [
        pytest.param((finish("max_tokens"), usage(8, 1), END), Ending("length", Usage(8, 1)), id="too long"),
        pytest.param((finish("stop_sequence"), usage(8, 1), END), Ending("stop", Usage(8, 1)), id="stop sequence"),
        pytest.param((finish(), END), Ending("stop"), id="no usage"),
        pytest.param((finish(), CUT), Ending("stop"), id="cut after its end"),
    ],
)
async def test_endings(models: Models, steps: tuple[Step, ...], ending: Ending) -> None:
    models.bedrock.reply(start(), reasoning("Let me see."), delta("So."), *steps)
    assert await whole(models.answerer(MODEL)) == ("So.", ending)


async def test_a_frame_may_arrive_in_any_pieces(models: Models) -> None:
    sent = b"".join(step for step in answer("For ", "30 days [1].") if isinstance(step, bytes))
    reply = models.bedrock.reply()
    reading = asyncio.create_task(whole(models.answerer(MODEL)))
    for at in range(0, len(sent), 7):
        reply.send(sent[at : at + 7])
    reply.send(END)
    assert await reading == ("For 30 days [1].", Ending("stop", Usage(100, 2)))


@pytest.mark.parametrize(
    ("status", "message", "retryable"),
    [
        (400, "rejected the request", False),
        (403, "does not let this server use the model", False),
        (404, "does not exist", False),
        (408, "took too long", True),
        (424, "failed", True),
        (429, "busy", True),
        (500, "failed", True),
        (503, "failed", True),
    ],
)
async def test_a_refused_request(models: Models, status: int, message: str, retryable: bool) -> None:
    models.bedrock.reply(Status(status, SECRET))
    text, error = await until_failure(models.answerer(MODEL))
    assert (text, error.code, error.retryable) == ("", "upstream_error", retryable)
    assert message in error.message
    assert len(models.bedrock.replies) == 1


async def test_too_long_a_question(models: Models) -> None:
    models.bedrock.reply(Status(400, "Input is too long for requested model."))
    _, error = await until_failure(models.answerer(MODEL))
    assert (error.message, error.retryable) == ("The question and its sources are too long for the model.", False)


@pytest.mark.parametrize("begun", [(start(),), (start(), delta("For 30 days"))], ids=["at once", "in mid-stream"])
@pytest.mark.parametrize(
    ("steps", "retryable"),
    [
        pytest.param((exception("modelStreamErrorException", SECRET),), True, id="model"),
        pytest.param((exception("throttlingException", SECRET),), True, id="throttled"),
        pytest.param((exception("internalServerException", SECRET),), True, id="internal"),
        pytest.param((exception("serviceUnavailableException", SECRET),), True, id="unavailable"),
        pytest.param((exception("validationException", SECRET),), False, id="invalid"),
        pytest.param((corrupt(delta("So.")),), True, id="checksum"),
        pytest.param((delta("So.")[:-7], END), True, id="half a frame"),
        pytest.param((frame({":message-type": "event", ":event-type": "metadata"}, b"{oops"),), True, id="no JSON"),
        pytest.param((event("contentBlockDelta", {"contentBlockIndex": 0, "delta": 1}),), True, id="no delta"),
        pytest.param((OPEN, CUT), True, id="cut"),
        pytest.param((OPEN, END), True, id="ended early"),
    ],
)
async def test_a_broken_stream_is_a_failure_after_what_it_said(
    models: Models,
    begun: tuple[Step, ...],
    steps: tuple[Step, ...],
    retryable: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = models.bedrock.reply(*begun, *steps)
    with caplog.at_level(logging.INFO):
        text, error = await until_failure(models.answerer(MODEL))
    assert text == ("For 30 days" if len(begun) == 2 else "")
    assert (error.code, error.retryable) == ("upstream_error", retryable)
    assert SECRET not in caplog.text + error.message
    assert any(message.startswith(f"{MODEL}: ") for message in caplog.messages)
    # Where the server has not ended the connection, the answerer has.
    assert await reply.closed_by_client() is (steps[-1] not in (CUT, END))


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered"])
async def test_an_answer_that_a_filter_ended_is_a_failure(models: Models, reason: str) -> None:
    models.bedrock.reply(start(), delta("For "), finish(reason), usage(8, 1), END)
    text, error = await until_failure(models.answerer(MODEL))
    assert (text, error.code, error.retryable) == ("For ", "upstream_error", False)


async def test_missing_credentials(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _, error = await until_failure(models.answerer(MODEL))
    assert (error.message, error.retryable) == (
        "The model is not set up on this server: a key or a package is missing.",
        False,
    )
    assert models.bedrock.replies == []
