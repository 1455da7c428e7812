"""Repeated and simultaneous requests over HTTP, in one process and in several."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_server import DONE, END, OpenAIServer, delta, finish
from tests.processes import SLOW, Process, process
from tests.server import product
from tests.sse import STREAM, Frame, decoded, frames

QUESTION = {"query": "How long does an access token live?"}
JSON = {"Accept": "application/json"}
LEASE = 4.0  # seconds that a process may stand still on a busy machine


@pytest.fixture
def data(library: Path, tmp_path: Path) -> Path:
    """The sample documents, and a stream log of the test's own."""
    shutil.copy(library / "index.db", tmp_path)
    return tmp_path


@pytest.fixture
def served(data: Path) -> Iterator[str]:
    with product(data=data, retention_seconds=1000) as url:
        yield url


def post(url: str, key: str | None = None, *, body: object = QUESTION, **headers: str) -> httpx.Response:
    keyed = {} if key is None else {"Idempotency-Key": key}
    return httpx.post(f"{url}/api/v1/search", json=body, headers=headers | keyed)


def streams(data: Path) -> int:
    with closing(sqlite3.connect(data / "streams.db")) as file:
        count: int = file.execute("SELECT count(*) FROM streams").fetchone()[0]
    return count


def without_comments(response: httpx.Response) -> bytes:
    assert response.status_code == 200, response.text
    return b"".join(line for line in response.content.splitlines(keepends=True) if not line.startswith(b":"))


# --- keys


def test_a_repeated_request_gets_the_same_stream(served: str, data: Path) -> None:
    first = post(served, "a.B_c-1", **STREAM)
    again = post(served, "a.B_c-1", **STREAM)
    assert without_comments(first) == without_comments(again)
    assert again.headers["location"] == first.headers["location"]
    assert again.content.startswith(b": open\n")
    assert streams(data) == 1
    assert without_comments(post(served, "another", **STREAM)) != without_comments(first)


def test_with_a_cursor_it_gets_the_rest(served: str, data: Path) -> None:
    whole = decoded(post(served, "k", **STREAM).content)
    for at, frame in enumerate(whole[:-1], start=1):
        rest = post(served, "k", **STREAM, **{"Last-Event-ID": frame.id or ""})
        assert [each.lines for each in decoded(rest.content)] == [each.lines for each in whole[at:]]
    stream_id, last = (whole[-1].id or "").rsplit("-", 1)
    for cursor, status in [
        (f"{stream_id}-{last}", 204),
        (f"{stream_id}-{int(last) + 1}", 400),
        (f"{stream_id}-0", 400),
        ("another-1", 404),
    ]:
        assert post(served, "k", **STREAM, **{"Last-Event-ID": cursor}).status_code == status
    # A key that was never used does not make a cursor a question.
    assert post(served, "unused", **STREAM, **{"Last-Event-ID": "another-1"}).status_code == 404
    assert post(served, "unused", **STREAM, **{"Last-Event-ID": f"{stream_id}-{last}"}).status_code == 204
    assert streams(data) == 1


def test_json_and_stream_are_one_production(served: str, data: Path) -> None:
    whole = post(served, "k", **JSON).json()
    events = decoded(post(served, "k", **STREAM).content)
    assert "".join(event.data["text"] for event in events if event.event == "token") == whole["answer"]
    assert [event.data for event in events if event.event == "citation"] == whole["citations"]
    assert events[-1].data["stream_id"] == whole["stream_id"]
    for headers in (JSON, {}, JSON | {"Last-Event-ID": events[0].id or ""}, JSON | {"Last-Event-ID": "malformed"}):
        assert post(served, "k", **headers).json() == whole
    assert streams(data) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"query": "Another one?"},
        QUESTION | {"top_k": 3},
        QUESTION | {"kb_ids": ["engineering"]},
        QUESTION | {"include": ["results"]},
        QUESTION | {"history": [{"role": "user", "content": "What is OAuth?"}]},
    ],
)
def test_a_used_key_with_another_body_is_422(served: str, data: Path, other: dict[str, Any]) -> None:
    post(served, "k")
    for headers in (STREAM, JSON, STREAM | {"Last-Event-ID": "another-1"}):
        response = post(served, "k", body=other, **headers)
        assert response.status_code == 422
        assert [error["field"] for error in response.json()["errors"]] == ["Idempotency-Key"]
    assert streams(data) == 1


@pytest.mark.parametrize("spelling", [{"query": f"  {QUESTION['query']} "}, QUESTION | {"kb_ids": None, "top_k": None}])
def test_the_same_request_may_be_spelt_in_another_way(served: str, data: Path, spelling: dict[str, Any]) -> None:
    assert post(served, "k").json() == post(served, "k", body=spelling).json()
    assert streams(data) == 1


@pytest.mark.parametrize("key", ["", "a b", "ä".encode().decode("latin-1"), "x" * 129, "a/b", "a, b"])
def test_a_malformed_key_is_400_before_fields_are_looked_at(served: str, key: str) -> None:
    response = httpx.post(
        f"{served}/api/v1/search", json={"query": ""}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")


def test_two_keys_are_none(served: str) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert httpx.post(f"{served}/api/v1/search", json=QUESTION, headers=headers).status_code == 400
    assert post(served, "x" * 128).status_code == 200


def test_get_takes_no_key(served: str, data: Path) -> None:
    for key in ("k", "k", "not a key"):
        headers = {"Idempotency-Key": key}
        assert httpx.get(f"{served}/api/v1/search", params=QUESTION, headers=headers).status_code == 200
    assert streams(data) == 3


def test_a_key_may_be_used_again_when_its_stream_is_gone(data: Path) -> None:
    with product(data=data, retention_seconds=0) as url:
        first = post(url, "k").json()
        second = post(url, "k", body={"query": "Something else?"}).json()
    assert first["stream_id"] != second["stream_id"]


def test_a_stream_that_is_broken_off_is_no_answer(served: str, data: Path) -> None:
    post(served, "k")
    with closing(sqlite3.connect(data / "streams.db")) as file, file:
        file.execute("DELETE FROM events")
    response = post(served, "k", **JSON)
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert response.headers["retry-after"] == "1"


# --- slots


@contextmanager
def held(url: str, times: int) -> Iterator[list[tuple[httpx.Response, Iterator[Frame]]]]:
    """Answers that have begun, and go on when the test lets them."""
    with ExitStack() as stack:
        begun = []
        for _ in range(times):
            response = stack.enter_context(httpx.stream("POST", f"{url}/api/v1/search", json=QUESTION, headers=STREAM))
            arriving = frames(response)
            next(arriving)
            begun.append((response, arriving))
        yield begun


def test_the_fourth_answer_is_429_until_one_has_ended(data: Path) -> None:
    with OpenAIServer() as openai, product(data=data, model="openai/m", api_base=openai.base_url) as url:
        replies = [openai.reply(delta("It goes ")) for _ in range(3)]
        with held(url, 3) as begun:
            for headers in (STREAM, JSON):
                refused = post(url, **headers)
                assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
                assert 1 <= int(refused.headers["retry-after"]) <= 10
            assert post(url, body={"query": "x", "kb_ids": ["nowhere"]}).status_code == 404  # comes first
            location = begun[0][0].headers["location"]
            with httpx.stream("GET", url + location, headers=STREAM) as resumed:
                assert next(frames(resumed)).event == "token"  # takes none
            replies[0].send(delta("on [1]."), finish(), DONE, END)
            assert [frame.event for frame in begun[0][1]][-1] == "done"
            openai.reply(delta("Next [1]."), finish(), DONE, END)
            assert post(url, **JSON).json()["answer"].startswith("Next")
            # A JSON answer has given its slot back when it arrives.
            openai.reply(delta("Next [1]."), finish(), DONE, END)
            assert post(url, **JSON).status_code == 200
            assert httpx.delete(url + begun[1][0].headers["location"]).status_code == 204
            assert [frame.data["code"] for frame in begun[1][1]] == ["cancelled"]
            for _ in range(2):
                openai.reply(delta("Half "), END)
            assert {post(url, **JSON).status_code for _ in range(2)} == {502}
            for reply in replies[2:]:
                reply.send(delta("on [1]."), finish(), DONE, END)
            assert [frame.event for frame in begun[2][1]][-1] == "done"
    with closing(sqlite3.connect(data / "streams.db")) as file:
        assert file.execute("SELECT count(*) FROM slots").fetchone() == (0,)


def test_the_limit_is_a_setting(data: Path) -> None:
    with (
        OpenAIServer() as openai,
        product(data=data, model="openai/m", api_base=openai.base_url, max_answers=1) as url,
    ):
        reply = openai.reply(delta("It goes "))
        with held(url, 1):
            assert post(url).status_code == 429
            reply.send(delta("on [1]."), finish(), DONE, END)


# --- several processes


@contextmanager
def processes(data: Path, number: int, **settings: Any) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        yield [stack.enter_context(process(data, **settings)) for _ in range(number)]


async def asked(urls: list[str], times: int, headers: dict[str, str]) -> list[httpx.Response]:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:
        asking = [
            client.post(f"{urls[n % len(urls)]}/api/v1/search", json=QUESTION, headers=headers) for n in range(times)
        ]
        return await asyncio.gather(*asking)


async def test_fifty_requests_to_four_processes_are_one_production(data: Path) -> None:
    with processes(data, 4) as four:
        urls = [each.url for each in four]
        responses = await asked(urls, 50, STREAM | {"Idempotency-Key": "k"})
        whole = (await asked(urls, 4, JSON | {"Idempotency-Key": "k"}))[3].json()
    assert len({without_comments(response) for response in responses}) == 1
    assert len({response.headers["location"] for response in responses}) == 1
    events = decoded(responses[0].content)
    assert [event.id for event in events] == [f"{whole['stream_id']}-{n}" for n in range(1, len(events) + 1)]
    assert "".join(event.data["text"] for event in events if event.event == "token") == whole["answer"]
    assert streams(data) == 1


def test_a_killed_process_keeps_nobody_out(data: Path) -> None:
    with processes(data, 2, lease_seconds=LEASE, max_answers=1) as (killed, other):
        key = {"Idempotency-Key": "k"}
        slow = {"query": SLOW}
        with httpx.stream("POST", f"{killed.url}/api/v1/search", json=slow, headers=STREAM | key) as lost:
            begun = next(frames(lost))
            refused = post(other.url)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= LEASE
            killed.popen.kill()
        # The same request finds the same stream, to the end that it has.
        events = decoded(post(other.url, "k", body=slow, **STREAM).content)
        assert (events[0].id, events[0].data) == (begun.id, begun.data)
        assert (events[-1].event, events[-1].data["code"]) == ("failure", "producer_lost")
        assert post(other.url).status_code == 200
