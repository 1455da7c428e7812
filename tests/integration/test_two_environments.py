"""An answer that one Lambda environment begins to send and another goes on with, over the stores of AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from asgi_lambda.emulator import Function
from citestream.retrieval.litellm_embedder import LiteLLMEmbedder
from tests.aws import AwsServer, Stores
from tests.bucket import Bucket, WordBag
from tests.lambda_platform import ROOT, Emulated, emulated, measured
from tests.openai_server import DONE, END, OpenAIServer, delta, finish
from tests.patience import UNHURRIED_ENVIRONMENT
from tests.sse import STREAM, frames

QUESTION = {"query": "How long does a token live?"}
MODEL, EMBEDDING_MODEL = "openai/words", "openai/text-embedding-3-small"


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


async def ingest(server: AwsServer, stores: Stores) -> None:
    bucket = Bucket(server, stores, embedder=WordBag(LiteLLMEmbedder(EMBEDDING_MODEL, WordBag.dimensions).id))
    bucket.put("kb/tokens.md", "A token lives for an hour. A key lives for a year.")
    await bucket.ingest.sync("kb/tokens.md")
    await bucket.aclose()


@pytest.fixture
def platform(aws_server: AwsServer, aws_stores: Stores, openai: OpenAIServer, tmp_path: Path) -> Iterator[Emulated]:
    asyncio.run(ingest(aws_server, aws_stores))
    models = {"MODEL": MODEL, "EMBEDDING_MODEL": EMBEDDING_MODEL, "EMBEDDING_DIMENSIONS": str(WordBag.dimensions)}
    addresses = {"API_BASE": openai.base_url, "EMBEDDING_API_BASE": openai.base_url}
    settings = {f"CITESTREAM_{name}": value for name, value in (models | addresses).items()}
    environ = (
        aws_server.environ
        | aws_stores.environ
        | settings
        | UNHURRIED_ENVIRONMENT
        | {"OPENAI_API_KEY": "sk-only-for-tests"}
    )
    function = Function(
        ROOT / "functions",
        "citestream.handlers.app",
        "/var/task/run-stream",
        environ=environ | measured(tmp_path),
        timeout=300,
    )
    with emulated(function, concurrency=2) as platform:
        yield platform


def test_another_environment_goes_on_where_the_connection_broke(platform: Emulated, openai: OpenAIServer) -> None:
    reply = openai.reply(delta("A token "), delta("lives "))
    url = platform.emulator.url
    with httpx.stream("POST", f"{url}/api/v1/search", json=QUESTION, headers=STREAM) as begun:
        location = f"{url}{begun.headers['location']}"
        arriving = frames(begun)
        collected = [next(arriving)]
    # The first environment is busy with the answer, whose reader has gone.
    cursor = {"Last-Event-ID": collected[-1].id or ""}
    with httpx.stream("GET", location, headers=STREAM | cursor) as resumed:
        arriving = frames(resumed)
        reply.send(delta("„for an hour“ [1]."), finish(), DONE, END)
        collected += arriving
    platform.settle()
    assert [each.environment for each in platform.emulator.invocations] == [1, 2]
    with httpx.stream("GET", location, headers=STREAM) as replayed:
        whole = list(frames(replayed))
    assert [each.lines for each in collected] == [each.lines for each in whole]
    assert [each.event for each in whole][-2:] == ["citation", "done"]
    assert "".join(each.data["text"] for each in whole if each.event == "token").startswith("A token lives „for")
