"""What a client sees of a model that fails: the stream's ``failure``, and the status where JSON was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.models import KINDS, OPENAI, Kind, Models
from tests.models import litellm as litellm
from tests.models import running as running
from tests.scripted_server import CUT, END, OPEN, Status, Step
from tests.server import product
from tests.sse import STREAM, Frame, frames
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

QUESTION = {"query": "How long is an access token valid?"}
FIRST_TOKEN_SECONDS = 500.0


@dataclass(frozen=True)
class Asked:
    """The same question, asked for a stream and for JSON."""

    stream: list[Frame]
    json: httpx.Response

    @property
    def events(self) -> list[str]:
        return [frame.event for frame in self.stream]


@pytest.fixture(scope="module")
def urls(running: Models, library: Path) -> Iterator[dict[str, str]]:
    """The product by the models that it asks: each kind, and both, the one where the other fails."""
    settings: dict[str, Any] = {"data": library, "api_base": running.openai.base_url}
    settings |= {"first_token_seconds": FIRST_TOKEN_SECONDS, "answer_seconds": 2 * FIRST_TOKEN_SECONDS}
    names = {str(kind): kind.model for kind in KINDS} | {"both": ",".join(kind.model for kind in KINDS)}
    with (
        product(model=names["openai"], **settings) as openai,
        product(model=names["bedrock"], **settings | {"api_base": ""}) as bedrock,
        product(model=names["both"], **settings) as both,
    ):
        yield {"openai": openai, "bedrock": bedrock, "both": both}


async def ask(url: str) -> Asked:
    return Asked(*await asyncio.gather(asyncio.to_thread(_stream, url), asyncio.to_thread(_json, url)))


def _stream(url: str) -> list[Frame]:
    with httpx.stream("POST", f"{url}/api/v1/search", json=QUESTION, headers=STREAM) as response:
        return list(frames(response))


def _json(url: str) -> httpx.Response:
    return httpx.post(f"{url}/api/v1/search", json=QUESTION)


FAILED = "The model's provider failed. Try again in a moment."
FAILURES = {
    "429": (lambda kind: (Status(429, headers={"retry-after": "3600"}),), "The model is busy. Try again in a moment."),
    "500": (lambda kind: (Status(500),), FAILED),
    "malformed": (lambda kind: (kind.malformed,), FAILED),
    "failure event": (lambda kind: (kind.failure,), FAILED),
    "only reasoning": (lambda kind: (kind.reasoning("Let me see."), kind.malformed), FAILED),
    "cut in mid-stream": (lambda kind: (kind.delta("It is valid for "), CUT), FAILED),
}
Script = Callable[[Kind], tuple[Step, ...]]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_that_may_pass(
    running: Models, urls: dict[str, str], kind: Kind, script: Script, message: str
) -> None:
    for _ in range(2):
        running[kind].reply(*script(kind))
    asked = await ask(urls[str(kind)])
    assert asked.stream[-1].data == {"code": "upstream_error", "message": message, "retryable": True}
    assert asked.stream[-1].event == "failure"
    assert set(asked.events[:-1]) <= {"token"}
    assert asked.json.status_code == 502
    assert asked.json.json() | {"code": "upstream_error", "retryable": True, "detail": message} == asked.json.json()


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_an_empty_stream(running: Models, urls: dict[str, str], kind: Kind) -> None:
    for _ in range(2):
        running[kind].reply(OPEN, END)
    asked = await ask(urls[str(kind)])
    assert asked.events == ["failure"]
    assert (asked.stream[0].data["code"], asked.stream[0].data["retryable"]) == ("upstream_error", True)
    assert asked.json.status_code == 502


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_first_token_that_is_late(running: Models, urls: dict[str, str], kind: Kind, hurry: Hurry) -> None:
    late = [running[kind].reply(OPEN) for _ in range(2)]
    asking = asyncio.create_task(ask(urls[str(kind)]))
    for reply in late:
        await reply.arrived()
    hurry(FIRST_TOKEN_SECONDS)
    await asyncio.to_thread(httpx.get, f"{urls[str(kind)]}/healthz")  # the server looks at its clock
    asked = await asking
    assert asked.events == ["failure"]
    assert asked.stream[0].data == {
        "code": "timeout",
        "message": "The model did not begin to answer in time.",
        "retryable": True,
    }
    assert (asked.json.status_code, asked.json.json()["code"]) == (504, "timeout")
    assert [await reply.closed_by_client() for reply in late] == [True, True]


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_failure_that_will_not_pass(running: Models, urls: dict[str, str], kind: Kind) -> None:
    for _ in range(2):
        running[kind].reply(Status(403, "sk-secret"))
    asked = await ask(urls[str(kind)])
    message = "The model's provider does not let this server use the model."
    assert asked.stream[-1].data == {"code": "upstream_error", "message": message, "retryable": False}
    assert (asked.json.status_code, asked.json.json()["retryable"]) == (502, False)
    assert "sk-secret" not in asked.json.text


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_reasoning_is_not_shown(running: Models, urls: dict[str, str], kind: Kind) -> None:
    for _ in range(2):
        running[kind].reply(kind.reasoning("Let me see."), kind.delta("For an hour [1]."), *kind.rest)
    asked = await ask(urls[str(kind)])
    told = "".join(frame.data["text"] for frame in asked.stream if frame.event == "token")
    assert told == asked.json.json()["answer"] == "For an hour [1]."
    assert asked.events[-1] == "done"


async def test_another_model_answers_where_the_first_fails(running: Models, urls: dict[str, str]) -> None:
    for _ in range(2):
        running[OPENAI].reply(Status(503))
    asked = await ask(urls["both"])
    assert asked.events[-1] == "done"
    assert "failure" not in asked.events
    told = "".join(frame.data["text"] for frame in asked.stream if frame.event == "token")
    assert told == asked.json.json()["answer"] == "The first source says so [1]. The second one agrees [2]."


async def test_both_fail(running: Models, urls: dict[str, str]) -> None:
    for kind in KINDS:
        for _ in range(2):
            running[kind].reply(Status(500))
    asked = await ask(urls["both"])
    assert asked.stream[-1].data == {"code": "upstream_error", "message": FAILED, "retryable": True}
    assert asked.json.status_code == 502
