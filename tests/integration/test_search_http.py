"""What is decided before the first byte: statuses, their order, and what they say."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from citestream.app import create_app
from citestream.http.problems import EXCEPTION_HANDLERS
from citestream.settings import load_settings
from tests.openai_server import CUT, DONE, END, OPEN, OpenAIServer, Status, Step, delta, finish
from tests.server import product, raw, serving
from tests.sse import STREAM
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

JSON_TYPE = {"Content-Type": "application/json"}


def post(url: str, **request: Any) -> httpx.Response:
    return httpx.post(f"{url}/api/v1/search", **request)


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The body of a refusal, whose form is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    assert response.headers["cache-control"] == "no-store"
    assert "Traceback" not in response.text
    return body


def test_not_json_is_400(url: str) -> None:
    problem(post(url, content=b"{", headers=JSON_TYPE), 400)


def test_neither_form_acceptable_is_406(url: str) -> None:
    problem(post(url, json={"query": "x"}, headers={"Accept": "text/html"}), 406)


def test_a_large_body_is_413_whether_announced_or_not(url: str) -> None:
    large = b'{"query": "%s"}' % (b"x" * 70_000)
    problem(post(url, content=large, headers=JSON_TYPE), 413)
    problem(post(url, content=iter([large[:40_000], large[40_000:]]), headers=JSON_TYPE), 413)


def test_another_content_type_is_415(url: str) -> None:
    problem(post(url, content=b'{"query":"x"}', headers={"Content-Type": "text/plain"}), 415)


def test_bad_fields_are_422_and_named(url: str) -> None:
    body = problem(post(url, json={"query": "", "top_k": 21, "colour": "red"}), 422)
    assert {error["field"] for error in body["errors"]} == {"query", "top_k", "colour"}


def test_an_unknown_knowledge_base_is_404(url: str) -> None:
    problem(post(url, json={"query": "x", "kb_ids": ["engineering", "nowhere"]}), 404)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Accept": "image/png", "Content-Type": "text/plain"}, b"x" * 70_000, 406),
        ({"Content-Type": "text/plain"}, b"x" * 70_000, 413),
        ({"Content-Type": "text/plain"}, b"{", 415),
        (JSON_TYPE, b"{", 400),
        (STREAM | JSON_TYPE | {"Last-Event-ID": "malformed"}, b"x" * 70_000, 413),
        (STREAM | JSON_TYPE | {"Last-Event-ID": "malformed"}, b'{"query": ""}', 400),
        (JSON_TYPE, b'{"query": "", "kb_ids": ["nowhere"]}', 422),
        (JSON_TYPE, b'{"query": "x", "kb_ids": ["nowhere"]}', 404),
    ],
)
def test_where_several_apply_the_first_of_the_order_counts(
    url: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    problem(post(url, content=content, headers=headers), status)


def test_by_get_too_a_malformed_cursor_comes_before_bad_fields(url: str) -> None:
    parameters = {"query": "", "top_k": "99", "last_event_id": "malformed"}
    problem(httpx.get(f"{url}/api/v1/search", params=parameters, headers=STREAM), 400)
    problem(httpx.get(f"{url}/api/v1/search", params=parameters), 422)


def test_errors_come_as_a_status_where_a_stream_was_asked_for_too(url: str) -> None:
    problem(post(url, json={"query": ""}, headers=STREAM), 422)


def test_head_starts_nothing(url: str, library: Path) -> None:
    def streams() -> int:
        with closing(sqlite3.connect(library / "streams.db")) as file, file:
            count: int = file.execute("SELECT count(*) FROM streams").fetchone()[0]
        return count

    httpx.post(f"{url}/api/v1/search", json={"query": "token"})
    before = streams()
    streaming = httpx.head(f"{url}/api/v1/search?query=x", headers=STREAM)
    plain = httpx.head(f"{url}/api/v1/search?query=x")
    assert (streaming.status_code, plain.status_code) == (200, 200)
    assert streaming.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert plain.headers["content-type"] == "application/json"
    assert {streaming.headers["vary"], plain.headers["vary"]} == {"Accept"}
    assert streams() == before


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_head_tells_no_length_that_it_does_not_know(url: str, accept: str) -> None:
    request = f"HEAD /api/v1/search?query=x HTTP/1.1\nHost: localhost\nAccept: {accept}\n"
    head, end, rest = raw(url, f"{request}\n{request}Connection: close\n\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length" not in head.lower()
    # No body follows: the connection's next answer does.
    assert end
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert rest.endswith(b"\r\n\r\n")
    assert rest.count(b"\r\n\r\n") == 1


def test_other_methods_are_405_and_the_right_ones_are_named(url: str) -> None:
    response = httpx.put(f"{url}/api/v1/search", json={})
    problem(response, 405)
    assert {each.strip() for each in response.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    "path",
    ["/api/v1/nothing", "/api/v1/search/", "/static", "/api/v2/search", "/static/../settings.py", "/static/nothing.js"],
)
def test_unknown_paths_are_404(url: str, path: str) -> None:
    problem(httpx.get(f"{url}{path}"), 404)


def test_a_client_that_leaves_during_its_upload_is_no_fault_of_ours(url: str, caplog: pytest.LogCaptureFixture) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        head = "POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f'{head}Content-Length: 50\r\nExpect: 100-continue\r\n\r\n{{"query": '.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # the body is being read
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(100):
            pass
    assert post(url, json={"query": "token"}).status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_what_nobody_foresaw_is_500_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError("the secret of /etc/passwd")

    app = Starlette(routes=[Route("/", broken)], exception_handlers=EXCEPTION_HANDLERS)
    with serving(app) as url:
        response = httpx.get(url)
    assert problem(response, 500)["detail"]
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    assert "the secret of /etc/passwd" in caplog.text  # whoever runs the server is told


def test_a_stage_stands_in_the_location(library: Path) -> None:
    with serving(create_app(load_settings({}, data=library)), root_path="/prod") as url:
        response = post(url, json={"query": "token"}, headers=STREAM)
        assert response.headers["location"].startswith("/prod/api/v1/streams/")
        assert httpx.get(f"{url}{response.headers['location'].removeprefix('/prod')}").content == response.content


def test_a_store_that_does_not_answer_is_503(library: Path, tmp_path: Path) -> None:
    shutil.copy(library / "index.db", tmp_path / "index.db")
    with product(data=tmp_path) as url:
        assert post(url, json={"query": "token"}).status_code == 200
        with closing(sqlite3.connect(tmp_path / "index.db")) as file, file:
            file.execute("PRAGMA foreign_keys = OFF")
            file.execute("DROP TABLE shelves")
        for headers in ({}, STREAM):
            response = post(url, json={"query": "token"}, headers=headers)
            assert "no such table" not in problem(response, 503)["detail"]
            assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("steps", "status", "code"),
    [
        ((Status(401),), 502, "upstream_error"),
        ((Status(429),), 502, "upstream_error"),
        ((delta("Half an "), CUT), 502, "upstream_error"),
        ((OPEN,), 504, "timeout"),
    ],
)
async def test_a_failure_is_a_problem_where_json_was_asked_for(
    library: Path, steps: tuple[Step, ...], status: int, code: str, hurry: Hurry
) -> None:
    limits = {"first_token_seconds": 500, "answer_seconds": 1000}
    with OpenAIServer() as openai, product(data=library, model="openai/m", api_base=openai.base_url, **limits) as url:
        reply = openai.reply(*steps)
        asking = asyncio.create_task(asyncio.to_thread(post, url, json={"query": "access token"}))
        await reply.arrived()
        if code == "timeout":
            hurry(500)
            await asyncio.to_thread(httpx.get, f"{url}/healthz")  # the server looks at its clock
        body = problem(await asking, status)
        assert body["code"] == code
        assert isinstance(body["retryable"], bool)


def test_the_answers_finish_reason_is_the_models(library: Path) -> None:
    with OpenAIServer() as openai, product(data=library, model="openai/m", api_base=openai.base_url) as url:
        openai.reply(delta("Cut [1]"), finish("length"), DONE, END)
        assert post(url, json={"query": "access token"}).json()["finish_reason"] == "length"
