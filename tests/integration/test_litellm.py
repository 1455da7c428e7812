"""The answerer that asks a model, against a real HTTP server that a test plays token by token."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from citestream import provider
from citestream.answer.answerer import Ending
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.answer.prompt import messages
from citestream.model import Usage
from citestream.retrieval.litellm_embedder import LiteLLMEmbedder
from tests.bedrock_server import BedrockServer
from tests.models import PASSAGES, QUESTION, ask, nothing_runs_on, until_failure, whole
from tests.models import litellm as litellm
from tests.openai_server import (
    CUT,
    DONE,
    END,
    OPEN,
    PATIENCE,
    OpenAIServer,
    Status,
    Step,
    answer,
    chunk,
    delta,
    event,
    finish,
    usage,
)

pytestmark = pytest.mark.usefixtures("litellm")
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIServer() as server:
        yield server


@pytest.fixture
async def answerer(server: OpenAIServer) -> AsyncGenerator[LiteLLMAnswerer]:
    answerer = LiteLLMAnswerer(("openai/test-model",), api_base=server.base_url)
    yield answerer
    await provider.close()
    await nothing_runs_on()


async def test_pieces_come_in_order_and_then_the_ending(server: OpenAIServer, answerer: LiteLLMAnswerer) -> None:
    server.reply(*answer("For ", "30 days ", "[1]."))
    assert [piece async for piece in ask(answerer)] == ["For ", "30 days ", "[1].", Ending("stop", Usage(100, 3))]


async def test_the_request_is_the_prompt_with_the_settings(server: OpenAIServer) -> None:
    answerer = LiteLLMAnswerer(("openai/some-model",), api_base=server.base_url, max_tokens=77, temperature=0.5)
    await whole(answerer)
    reply = server.replies[0]
    assert await reply.arrived() == {
        "model": "some-model",
        "messages": messages(QUESTION, PASSAGES),
        "max_tokens": 77,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert reply.headers["authorization"] == f"Bearer {KEY}"
    await provider.close()


async def test_a_model_is_asked_without_what_it_does_not_know(server: OpenAIServer, answerer: LiteLLMAnswerer) -> None:
    await whole(LiteLLMAnswerer(("openai/o3-mini",), api_base=server.base_url))
    body = await server.replies[0].arrived()
    assert "temperature" not in body
    assert body["max_completion_tokens"] == 1024


async def test_answers_can_be_written_at_the_same_time(server: OpenAIServer, answerer: LiteLLMAnswerer) -> None:
    answers = await asyncio.gather(*(whole(answerer) for _ in range(5)))
    assert len(set(answers)) == 1
    assert len(server.replies) == 5


@pytest.mark.parametrize(
    ("steps", "text", "ending"),
    [
        pytest.param(
            (delta("For 30"), finish("length"), usage(8, 2), DONE, END),
            "For 30",
            Ending("length", Usage(8, 2)),
            id="too long",
        ),
        pytest.param((delta("So."), finish(), DONE, END), "So.", Ending("stop"), id="no usage"),
        pytest.param((delta("So."), finish(), usage(8, 1), END), "So.", Ending("stop", Usage(8, 1)), id="no [DONE]"),
        pytest.param((delta("So."), finish(), CUT), "So.", Ending("stop"), id="cut after its end"),
        pytest.param(
            (chunk({"index": 0, "delta": {"content": "So."}, "finish_reason": "stop"}), DONE, END),
            "So.",
            Ending("stop"),
            id="text in the last chunk",
        ),
        pytest.param(
            (chunk(), delta(None), delta(""), delta("So."), delta(None), finish(), DONE, END),
            "So.",
            Ending("stop"),
            id="chunks without text",
        ),
        pytest.param(
            (delta(None, reasoning_content="Let me see."), delta("So."), finish(), DONE, END),
            "So.",
            Ending("stop"),
            id="reasoning",
        ),
        pytest.param(
            (delta("a\ud83d"), delta("\ude00b\ud83d"), finish(), DONE, END),
            "a😀b\ufffd",
            Ending("stop"),
            id="surrogates",
        ),
        pytest.param((b": ping\n\n", *answer("So.")), "So.", Ending("stop", Usage(100, 1)), id="comment"),
    ],
)
async def test_endings(
    server: OpenAIServer, answerer: LiteLLMAnswerer, steps: tuple[Step, ...], text: str, ending: Ending
) -> None:
    reply = server.reply(*steps)
    assert await whole(answerer) == (text, ending)
    assert not await reply.closed_by_client()


@pytest.mark.parametrize(
    ("step", "retryable"),
    [
        pytest.param(Status(400, f"bad key {KEY}"), False, id="400"),
        pytest.param(Status(400, "maximum context length is 4096 tokens"), False, id="context"),
        pytest.param(Status(401, f"Incorrect API key provided: {KEY}"), False, id="401"),
        pytest.param(Status(403), False, id="403"),
        pytest.param(Status(404), False, id="404"),
        pytest.param(Status(429), True, id="429"),
        pytest.param(Status(500, f"Traceback {KEY}"), True, id="500"),
        pytest.param(Status(503), True, id="503"),
        pytest.param(CUT, True, id="cut"),
    ],
)
async def test_a_refused_request_is_a_failure_and_is_not_repeated(
    server: OpenAIServer,
    answerer: LiteLLMAnswerer,
    step: Step,
    retryable: bool,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.reply(step)
    with caplog.at_level(logging.INFO):
        text, error = await until_failure(answerer)
    assert (text, error.code, error.retryable) == ("", "upstream_error", retryable)
    assert len(server.replies) == 1
    assert KEY not in caplog.text + "".join(traceback.format_exception(error))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("begun", [(), (delta("For 30 "), delta("days"))], ids=["at once", "in mid-stream"])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((OPEN, CUT), id="cut"),
        pytest.param((b"data: {oops\n\n",), id="malformed"),
        pytest.param((event(["no", "object"]),), id="not a chunk"),
        pytest.param((event({"error": {"message": f"overloaded {KEY}", "code": 500}}),), id="error event"),
        pytest.param((DONE, END), id="[DONE] without a finish reason"),
        pytest.param((OPEN, END), id="end without a finish reason"),
    ],
)
async def test_a_broken_stream_is_a_failure_after_what_it_said(
    server: OpenAIServer, answerer: LiteLLMAnswerer, begun: tuple[Step, ...], steps: tuple[Step, ...]
) -> None:
    reply = server.reply(*begun, *steps)
    text, error = await until_failure(answerer)
    assert (text, error.code, error.retryable) == ("For 30 days" if begun else "", "upstream_error", True)
    assert KEY not in error.message
    # Where the server has not ended the connection, the answerer has.
    assert await reply.closed_by_client() is (steps[-1] not in (CUT, END))


@pytest.mark.parametrize("texts", [(), ("",), (" \n",)])
async def test_an_answer_without_words_is_a_failure(
    server: OpenAIServer, answerer: LiteLLMAnswerer, texts: tuple[str, ...]
) -> None:
    server.reply(*answer(*texts))
    text, error = await until_failure(answerer)
    assert (text.strip(), error.code, error.retryable) == ("", "upstream_error", True)


async def test_an_answer_that_a_filter_ended_is_a_failure(server: OpenAIServer, answerer: LiteLLMAnswerer) -> None:
    server.reply(delta("For "), finish("content_filter"), usage(8, 1), DONE, END)
    text, error = await until_failure(answerer)
    assert (text, error.code, error.retryable) == ("For ", "upstream_error", False)


async def test_a_model_that_nobody_knows(answerer: LiteLLMAnswerer) -> None:
    _, error = await until_failure(LiteLLMAnswerer(("nobody/knows-this",)))
    assert (error.code, error.retryable) == ("upstream_error", False)


async def test_a_missing_key_is_told_without_a_request(
    server: OpenAIServer, answerer: LiteLLMAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    _, error = await until_failure(LiteLLMAnswerer(("openai/test-model",)))
    assert (error.message, error.retryable) == (
        "The model is not set up on this server: a key or a package is missing.",
        False,
    )
    assert server.replies == []


async def test_a_server_of_ones_own_needs_no_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    own = LiteLLMAnswerer(("openai/test-model",), api_base=server.base_url)
    server.reply(*answer("Yes [1]."))
    assert [piece async for piece in ask(own)] == ["Yes [1].", Ending("stop", Usage(100, 1))]
    await provider.close()


async def test_preload_leaves_nothing_to_import_to_the_first_answer(
    answerer: LiteLLMAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(provider.preload("openai/test-model").join, PATIENCE)
    assert "openai.resources" in sys.modules
    assert caplog.messages == []


async def test_answerers_and_embedders_are_preloaded_by_their_models(
    answerer: LiteLLMAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    LiteLLMAnswerer(("openai/test-model", "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0")).preload()
    LiteLLMEmbedder("bedrock/amazon.titan-embed-text-v2:0", 256).preload()
    LiteLLMEmbedder("nobody/embeds", 256).preload()
    for thread in [thread for thread in threading.enumerate() if thread.name == "litellm-warm-up"]:
        await asyncio.to_thread(thread.join, PATIENCE)
    assert caplog.messages == ["nobody/embeds can't be asked: BadRequestError"]


async def test_preload_tells_who_starts_the_server_that_the_model_is_unknown(
    answerer: LiteLLMAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(provider.preload("nobody/knows-this").join, PATIENCE)
    assert caplog.messages == ["nobody/knows-this can't be asked: BadRequestError"]


WATCHED = """
import asyncio, json, os, sys, threading
seen = []
WATCHED = {"socket.connect": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.sendto": 1}
sys.addaudithook(lambda event, args: event in WATCHED and seen.append(args[WATCHED[event]]))

from citestream import provider
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.model import Passage
from citestream.retrieval.litellm_embedder import LiteLLMEmbedder

def begin(model):
    part = LiteLLMAnswerer((model,), api_base=sys.argv[1] if model.startswith("openai/") else None)
    part.preload()
    return part

async def main():
    answerers = [begin("openai/m"), begin("bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0")]
    embedder = LiteLLMEmbedder("bedrock/amazon.titan-embed-text-v2:0", 256)
    embedder.preload()
    imported_at_start = "litellm" in sys.modules and hasattr(sys.modules["litellm"], "acompletion")
    for thread in threading.enumerate():
        if thread.name == "litellm-warm-up":
            await asyncio.to_thread(thread.join)
    warm = set(sys.modules)
    passages = [Passage("c", "d", "n", "k", "t", 0, 1, None, None, 1.0)]
    pieces = [[piece async for piece in answerer.answer("q", passages)][:-1] for answerer in answerers]
    vectors = await embedder.embed(["one", "two"])
    await provider.close()
    awaited = ("openai.resources", "boto3", "botocore", "httpcore")
    late = [name for name in set(sys.modules) - warm if name.startswith(awaited)]
    facts = {"pieces": pieces, "vectors": len(vectors), "seen": seen, "env": os.environ.get("STRAY"), "late": late}
    return facts | {"imported_at_start": imported_at_start}

print(json.dumps(asyncio.run(main())))
"""


async def test_import_answers_and_vectors_reach_out_to_the_providers_alone(
    server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("STRAY=1\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}
    server.reply(*answer("So."))
    with BedrockServer(["So."]) as bedrock:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", WATCHED, server.base_url),
            cwd=tmp_path,
            env=environment | bedrock.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        stdout, stderr = await process.communicate()
    assert stderr.decode() == ""
    facts = json.loads(stdout)
    assert facts["pieces"] == [["So."], ["So."]]
    assert facts["vectors"] == 2
    assert {tuple(address) for address in facts["seen"]} == {("127.0.0.1", server.port), ("127.0.0.1", bedrock.port)}
    assert facts["env"] is None, "a .env file that lay around was read"
    assert facts["late"] == [], "left to the first question by preload"
    assert not facts["imported_at_start"], "preload waited for the import"


MISSING = """
import asyncio, sys
sys.modules["litellm"] = None
from citestream import provider
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.model import Passage

answerer = LiteLLMAnswerer(("openai/m",))
try:
    answerer.preload()
except ModuleNotFoundError as error:
    print(error)

async def ask():
    async for piece in answerer.answer("q", [Passage("c", "d", "n", "k", "t", 0, 1, None, None, 1.0)]):
        print(piece)

for _ in range(2):
    try:
        asyncio.run(ask())
    except Exception as error:
        print(repr(error), error.code, error.retryable)
asyncio.run(provider.close())
"""


async def test_without_litellm_the_start_says_how_to_get_it() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", MISSING, stdout=subprocess.PIPE)
    stdout, _ = await process.communicate()
    told, first, second = stdout.decode().splitlines()
    assert told == "a model is set but litellm is not installed: pip install 'citestream[llm]'"
    assert first == second
    assert first.endswith("upstream_error False")
    assert "not set up" in first
