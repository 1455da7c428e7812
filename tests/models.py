"""Models for tests: a server of each kind of provider, by one name for each thing that it can say."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from citestream import provider
from citestream.answer.answerer import AnswerError, Ending, Shown
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.model import Passage
from tests import bedrock_server, openai_server
from tests.bedrock_server import BedrockServer
from tests.openai_server import OpenAIServer
from tests.scripted_server import CUT, END, OPEN, Step

QUESTION = "How long are backups kept?"
PASSAGES = [Passage("c1", "d1", "backup.md", "kb", "Backups are kept for 30 days.", 0, 29, 1, "Retention", 0.9)]


@dataclass(frozen=True)
class Kind:
    """What a kind of provider sends for the same thing; ``rest`` ends an answer that has begun."""

    name: str
    model: str
    embedding_model: str
    embeds_at: str
    delta: Callable[[str], bytes]
    reasoning: Callable[[str], bytes]
    answer: Callable[..., tuple[Step, ...]]
    filtered: tuple[Step, ...]
    rest: tuple[Step, ...]
    malformed: bytes
    failure: bytes

    def __str__(self) -> str:
        return self.name

    @property
    def broken(self) -> dict[str, tuple[Step, ...]]:
        """Ways in which a stream ends that is no answer."""
        return {
            "cut": (OPEN, CUT),
            "malformed": (self.malformed,),
            "failure event": (self.failure,),
            "ended early": (OPEN, END),
        }


OPENAI = Kind(
    name="openai",
    model="openai/test-model",
    embedding_model="openai/text-embedding-3-small",
    embeds_at="embeddings",
    delta=openai_server.delta,
    reasoning=openai_server.reasoning,
    answer=openai_server.answer,
    filtered=(openai_server.finish("content_filter"), openai_server.DONE, END),
    rest=(openai_server.finish(), openai_server.usage(9, 2), openai_server.DONE, END),
    malformed=b"data: {oops\n\n",
    failure=openai_server.event({"error": {"message": "overloaded", "code": 500}}),
)
BEDROCK = Kind(
    name="bedrock",
    model="bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    embedding_model="bedrock/amazon.titan-embed-text-v2:0",
    embeds_at="invoke",
    delta=bedrock_server.delta,
    reasoning=bedrock_server.reasoning,
    answer=bedrock_server.answer,
    filtered=(bedrock_server.finish("guardrail_intervened"), bedrock_server.usage(9, 2), END),
    rest=(bedrock_server.finish(), bedrock_server.usage(9, 2), END),
    malformed=bedrock_server.corrupt(bedrock_server.delta("So.")),
    failure=bedrock_server.exception("modelStreamErrorException", "overloaded"),
)
KINDS = (OPENAI, BEDROCK)


@dataclass(frozen=True)
class Models:
    """A server of each kind, found by the answerers and embedders that are made here."""

    openai: OpenAIServer
    bedrock: BedrockServer

    def __getitem__(self, kind: Kind) -> OpenAIServer | BedrockServer:
        return self.openai if kind is OPENAI else self.bedrock

    def answerer(self, *models: str, seconds: float = 30.0) -> LiteLLMAnswerer:
        """As it is with an API base for the first model's provider, where that is OpenAI's kind."""
        api_base = self.openai.base_url if models[0].startswith("openai/") else None
        return LiteLLMAnswerer(models, api_base=api_base, first_token_seconds=seconds)


@pytest.fixture(scope="session")
def litellm() -> None:
    """Imported once, so that no time limit counts it, and kept out of each test's search for what was left behind."""
    asyncio.run(_import_litellm())
    gc.freeze()


async def _import_litellm() -> None:
    await provider.library()


@contextmanager
def serving() -> Iterator[Models]:
    with OpenAIServer() as openai, BedrockServer() as bedrock, pytest.MonkeyPatch.context() as patch:
        for name, value in (bedrock.environment | {"OPENAI_API_BASE": openai.base_url}).items():
            patch.setenv(name, value)
        yield Models(openai, bedrock)


@pytest.fixture(scope="module")
def running(litellm: None) -> Iterator[Models]:
    """Servers for all tests of a module."""
    with serving() as models:
        yield models


@pytest.fixture
async def models(litellm: None) -> AsyncGenerator[Models]:
    """Servers for a test, at whose end nothing of LiteLLM's is left."""
    with serving() as models:
        yield models
        await provider.close()
        await nothing_runs_on()


async def nothing_runs_on() -> None:
    """Fails on a task that outlives its answer; LiteLLM's own last words take a few turns of the loop."""
    for _ in range(50):
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    # With the first answer that is no stream, LiteLLM starts a worker that waits for further ones until the loop ends.
    assert {getattr(task.get_coro(), "__qualname__", "") for task in left} <= {"LoggingWorker._worker_loop"}
    gc.collect()  # what was left open or unawaited warns now, and a warning is an error


def ask(answerer: LiteLLMAnswerer) -> AsyncGenerator[str | Shown | Ending]:
    return answerer.answer(QUESTION, PASSAGES)


async def whole(answerer: LiteLLMAnswerer) -> tuple[str, Ending]:
    *pieces, ending = [piece async for piece in ask(answerer)]
    assert isinstance(ending, Ending)
    return "".join(map(str, pieces)), ending


async def until_failure(answerer: LiteLLMAnswerer) -> tuple[str, AnswerError]:
    text = ""
    try:
        async for piece in ask(answerer):
            text += str(piece)
    except AnswerError as error:
        return text, error
    raise AssertionError(f"{text!r} did not fail")
