"""The artifact that is deployed, run as Lambda runs it: its own wrapper, and nothing from this checkout."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from asgi_lambda.emulator import Emulator, Function, Options
from asgi_lambda.emulator.template import read_overrides, read_template
from tests.emulated import PATIENT
from tests.openai_server import OpenAIServer
from tests.patience import UNHURRIED_ENVIRONMENT
from tests.sam import EVENTS, TEMPLATE, built, deployed_python

pytestmark = pytest.mark.timeout(300)

QUESTION = {"query": "How does a client get an access token with OAuth?", "kb_ids": ["engineering"]}


@asynccontextmanager
async def deployed(name: str, data: Path, **variables: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the function as the template declares it, with the settings of a laptop and ``variables``."""
    declared = read_template(TEMPLATE, name)
    local, _ = read_overrides(EVENTS / "local.json", name, TEMPLATE)
    wrapper = declared.variables.get("AWS_LAMBDA_EXEC_WRAPPER")
    function = Function(
        root=built({"aarch64": "arm64"}.get(os.uname().machine, "x86_64")),
        handler=declared.handler,
        wrapper=wrapper,
        python=str(deployed_python()),
        environ=declared.variables | local | {"CITESTREAM_DATA": str(data)} | variables,
        timeout=declared.timeout,
        memory=declared.memory,
    )
    said: list[str] = []
    options = Options(http_api=wrapper is None, buffered=wrapper is None, concurrency=1, say=said.append, **PATIENT)
    async with Emulator(function, options) as emulator, httpx.AsyncClient(base_url=emulator.url, timeout=60) as client:
        yield client


async def test_it_streams_what_a_model_says(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        model = UNHURRIED_ENVIRONMENT | {
            "CITESTREAM_MODEL": "openai/m",
            "CITESTREAM_API_BASE": server.base_url,
            "OPENAI_API_KEY": "sk-only-for-tests",
        }
        async with deployed("StreamFunction", tmp_path, **model) as client:
            headers = {"accept": "text/event-stream"}
            async with client.stream("POST", "/api/v1/search", json=QUESTION, headers=headers) as response:
                body = (await response.aread()).decode()
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    data = [json.loads(line.removeprefix("data: ")) for line in body.splitlines() if line.startswith("data: ")]
    assert "".join(each.get("text", "") for each in data) == "The first source says so [1]. The second one agrees [2]."
    assert body.rindex("event: ") == body.index("event: done\n")
    assert [each["number"] for each in data if "number" in each] == [1, 2]


@pytest.mark.parametrize("function", ["StreamFunction", "BufferedFunction"])
async def test_it_answers_from_its_samples(function: str, tmp_path: Path) -> None:
    async with deployed(function, tmp_path) as client:
        response = await client.post("/api/v1/search", json=QUESTION, headers={"accept": "application/json"})
    assert response.status_code == 200, response.text
    assert "authorization code flow with PKCE" in response.json()["answer"]
    assert response.json()["citations"][0]["document_name"] == "oauth-guide.md"
