"""The product as Lambda runs it: streamed, resumed in another environment, ended before the deadline, or buffered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_lambda.emulator import Function
from tests.lambda_platform import ROOT, Emulated, emulated, measured
from tests.openai_server import DONE, END, OpenAIServer, delta, finish, usage
from tests.patience import UNHURRIED_ENVIRONMENT
from tests.sse import decoded

QUESTION = {"query": "How long does an access token live?"}
STREAM = {"Accept": "text/event-stream"}
EARLY = {"ASGI_LAMBDA_GRACE_SECONDS": "3"}  # before the deadline: a busy machine needs some time to end an answer


def deployed(data: Path, *, timeout: float = 300, **environ: str) -> Function:
    """The streaming function from the sources, over an index of our own."""
    local = json.loads((ROOT / "events/local.json").read_text())["Parameters"]
    variables = {**local, "CITESTREAM_DATA": str(data), **environ, **measured(data)}
    return Function(
        ROOT / "functions", "citestream.handlers.app", "/var/task/run-stream", environ=variables, timeout=timeout
    )


def copied(library: Path, to: Path) -> Path:
    """The index alone: to close the file of streams, while this process serves it, would take its locks away."""
    to.mkdir()
    shutil.copy(library / "index.db", to)
    return to


@pytest.fixture
def data(library: Path, tmp_path: Path) -> Path:
    return copied(library, tmp_path / "data")


@pytest.fixture(scope="module")
def extractive(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    data = copied(library, tmp_path_factory.mktemp("lambda") / "data")
    with emulated(deployed(data)) as platform:
        yield platform


@pytest.fixture(scope="module")
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def writing(library: Path, tmp_path_factory: pytest.TempPathFactory, openai: OpenAIServer) -> Iterator[Emulated]:
    """Two environments, whose answers a model writes: to import what asks it takes each of them seconds."""
    data = copied(library, tmp_path_factory.mktemp("writing") / "data")
    with emulated(deployed(data, **with_model(openai)), concurrency=2) as platform:
        yield platform


def with_model(openai: OpenAIServer) -> dict[str, Any]:
    return UNHURRIED_ENVIRONMENT | {
        "CITESTREAM_MODEL": "openai/m",
        "CITESTREAM_API_BASE": openai.base_url,
        "OPENAI_API_KEY": "sk-only-for-tests",
    }


def first_token(lines: Iterator[str]) -> str:
    """Reads to the first token, and no further."""
    return next(line for line in lines if line.startswith('data: {"text":'))


def ask(platform: Emulated, **headers: str) -> httpx.Response:
    return httpx.post(f"{platform.emulator.url}/api/v1/search", json=QUESTION, headers=headers)


def test_the_stream_and_the_json_answer_are_the_same_answer(extractive: Emulated) -> None:
    streamed = ask(extractive, **STREAM)
    extractive.settle()
    whole = ask(extractive).json()
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed.content.startswith(b": open\nevent: token\ndata: ")
    events = decoded(streamed.content)
    assert "".join(event.data["text"] for event in events if event.event == "token") == whole["answer"]
    assert [event.data for event in events if event.event == "citation"] == whole["citations"]
    assert whole["citations"]
    assert events[-1].event == "done"
    assert streamed.headers["location"] == f"/api/v1/streams/{events[-1].data['stream_id']}"


def test_the_page_and_its_module_are_served(extractive: Emulated) -> None:
    assert b"<title>Citestream" in extractive.request("/").body
    assert extractive.request("/static/citestream.js").headers["content-type"].startswith("text/javascript")


def test_a_refusal_is_a_status(extractive: Emulated) -> None:
    outcome = extractive.request("/api/v1/search", "POST", b"{", {"content-type": "application/json"})
    assert (outcome.status, outcome.headers["content-type"]) == (400, "application/problem+json")
    assert extractive.request("/api/v1/streams/none", headers=STREAM).status == 404


def test_tokens_arrive_as_the_model_writes_them(writing: Emulated, openai: OpenAIServer) -> None:
    reply = openai.reply(delta("One "))
    url = f"{writing.emulator.url}/api/v1/search"
    with httpx.stream("POST", url, json=QUESTION, headers=STREAM) as response:
        lines = response.iter_lines()
        assert next(lines) == ": open"
        assert "One" in first_token(lines)  # and no more is there yet
        reply.send(delta("two [1]."), finish(), usage(1, 2), DONE, END)
        assert any(line == "event: done" for line in lines)
    writing.settle()


def test_another_environment_goes_on_with_a_stream(writing: Emulated, openai: OpenAIServer) -> None:
    reply = openai.reply(delta("One "))
    url = writing.emulator.url
    with httpx.stream("POST", f"{url}/api/v1/search", json=QUESTION, headers=STREAM) as first:
        first_lines = first.iter_lines()
        assert "One" in first_token(first_lines)
        location = first.headers["location"]
        with httpx.stream("GET", f"{url}{location}", headers=STREAM) as second:
            second_lines = second.iter_lines()
            assert "One" in first_token(second_lines)
            reply.send(delta("two [1]."), finish(), usage(1, 2), DONE, END)
            rest = [[line for line in lines if line[:1] != ":"] for lines in (first_lines, second_lines)]
    writing.settle()
    assert rest[0] == rest[1]
    assert "event: done" in rest[0]
    assert {each.environment for each in writing.emulator.invocations[-2:]} == {1, 2}
    again = httpx.get(f"{url}{location}", headers={**STREAM, "Last-Event-ID": f"{location.rpartition('/')[2]}-1"})
    behind = rest[0][3:]  # after "retry", "id" and the empty line
    assert [line for line in again.text.splitlines() if line[:1] != ":"] == behind
    writing.settle()


def test_an_answer_ends_before_the_function_does(data: Path, openai: OpenAIServer) -> None:
    openai.reply(delta("One "))  # and nothing more
    with emulated(deployed(data, timeout=6, **EARLY, **with_model(openai))) as platform:
        events = decoded(ask(platform, **STREAM).content)
        assert (events[-1].event, events[-1].data["code"]) == ("failure", "timeout")
        invocation = platform.last()
        assert invocation.trailers == {}
        assert invocation.duration > 2.9
        openai.reply(delta("One "))
        problem = ask(platform)
        assert (problem.status_code, problem.json()["code"]) == (504, "timeout")


def test_a_reader_of_another_answer_leaves_before_its_function_ends(writing: Emulated, openai: OpenAIServer) -> None:
    openai.reply(delta("One "))
    url, data = writing.emulator.url, Path(writing.emulator.function.environ["CITESTREAM_DATA"])
    with emulated(deployed(data, timeout=6, **EARLY)) as reader:
        with httpx.stream("POST", f"{url}/api/v1/search", json=QUESTION, headers=STREAM) as first:
            assert "One" in first_token(first.iter_lines())
            read = httpx.get(f"{reader.emulator.url}{first.headers['location']}", headers=STREAM)
        assert [event.event for event in decoded(read.content)] == ["token"]
        assert reader.last().trailers == {}
    assert httpx.delete(f"{url}{first.headers['location']}").status_code == 204
    writing.settle()


BUFFERED = """
import json, sys
from pathlib import Path
from citestream import handlers

class Context:
    def get_remaining_time_in_millis(self):
        return 29_000

for name in sys.argv[1:]:
    try:
        print(json.dumps(handlers.buffered(json.loads(Path(name).read_text()), Context())))
    except ValueError as error:
        print(json.dumps({"error": str(error)}))
"""


def buffered(data: Path, *names: str) -> list[Any]:
    """What the buffered function answers to these events, one after the other in one process."""
    local = json.loads((ROOT / "events/local.json").read_text())["Parameters"]
    environ = {**local, "CITESTREAM_DATA": str(data), "PYTHONPATH": str(ROOT / "functions"), **measured(data)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BUFFERED, *(str(ROOT / f"events/{name}.json") for name in names)],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_buffered_fallback_answers_every_http_event(data: Path) -> None:
    names = ("http-api", "function-url-json", "base64-body", "rest-api-v1", "function-url-stream", "sqs-s3-event")
    *answers, refused = buffered(data, *names)
    assert [answer["statusCode"] for answer in answers] == [200] * 5
    assert all(answer["isBase64Encoded"] is False for answer in answers)
    for answer in answers[:3]:
        assert json.loads(answer["body"])["citations"]
    for answer in answers[3:]:  # who asks for a stream gets its frames, all at once
        assert answer["headers"]["content-type"].startswith("text/event-stream")
        assert decoded(answer["body"].encode())[-1].event == "done"
    assert answers[3]["headers"]["location"].startswith("/live/api/v1/streams/")
    assert "Records" in refused["error"]


def test_the_samples_are_loaded_once_where_that_is_asked_for(tmp_path: Path) -> None:
    first, second = buffered(tmp_path / "new", "function-url-json", "function-url-json")
    assert json.loads(first["body"])["answer"] == json.loads(second["body"])["answer"]
    assert json.loads(first["body"])["citations"]
    assert buffered(tmp_path / "new", "function-url-json")[0]["statusCode"] == 200
