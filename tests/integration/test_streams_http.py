"""Streams: replay, resume, cancel, expiry."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.openai_server import DONE, END, OpenAIServer, delta, finish
from tests.server import product
from tests.sse import STREAM, Frame, ask, frames
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry


@pytest.fixture(scope="module")
def stream(url: str) -> list[Frame]:
    """A stream that has ended."""
    return ask(url, "How does a client get an access token with OAuth?", include=["results"])


@pytest.fixture(scope="module")
def location(url: str, stream: list[Frame]) -> str:
    return f"{url}/api/v1/streams/{stream[-1].data['stream_id']}"


def read(location: str, **request: object) -> list[Frame]:
    with httpx.stream("GET", location, **request) as response:  # type: ignore[arg-type]
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return list(frames(response))


def lines(stream: list[Frame]) -> list[tuple[str, ...]]:
    return [frame.lines for frame in stream]


@pytest.mark.parametrize("accept", [{}, {"Accept": "*/*"}, STREAM])
def test_a_replay_is_the_same_bytes(location: str, stream: list[Frame], accept: dict[str, str]) -> None:
    assert lines(read(location, headers=accept)) == lines(stream)


def test_the_cursor_may_stand_in_the_query_but_the_header_wins(location: str, stream: list[Frame]) -> None:
    parameters = {"last_event_id": stream[0].id}
    assert lines(read(location, params=parameters)) == lines(stream[1:])
    header = {"Last-Event-ID": stream[1].id}
    assert lines(read(location, params=parameters, headers=header)) == lines(stream[2:])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_repeated_search_with_a_cursor_resumes(url: str, stream: list[Frame], method: str) -> None:
    headers = STREAM | {"Last-Event-ID": stream[0].id or ""}
    request = {"json": {"query": "x"}} if method == "POST" else {"params": {"query": "x"}}
    with httpx.stream(method, f"{url}/api/v1/search", headers=headers, **request) as response:  # type: ignore[arg-type]
        assert lines(list(frames(response))) == lines(stream[1:])


@pytest.mark.parametrize("name", ["last_event_id", "lastEventId"])
def test_a_search_by_get_takes_the_cursor_from_its_query_too(url: str, stream: list[Frame], name: str) -> None:
    parameters = {"query": "x", name: stream[0].id}
    assert lines(read(f"{url}/api/v1/search", params=parameters, headers=STREAM)) == lines(stream[1:])


def test_nothing_is_left_after_the_terminal_event(url: str, location: str, stream: list[Frame]) -> None:
    headers = STREAM | {"Last-Event-ID": stream[-1].id or ""}
    assert httpx.get(location, headers=headers).status_code == 204
    for response in (
        httpx.post(f"{url}/api/v1/search", json={"query": "x"}, headers=headers),
        httpx.get(f"{url}/api/v1/search", params={"query": "x"}, headers=headers),
    ):
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("cursor", "status"),
    [("garbage", 400), ("{id}-0", 400), ("{id}-9999", 400), ("{id}-x", 400), ("another-1", 404), ("{id}x-1", 404)],
)
def test_cursors_that_lead_nowhere(url: str, location: str, stream: list[Frame], cursor: str, status: int) -> None:
    headers = STREAM | {"Last-Event-ID": cursor.format(id=stream[-1].data["stream_id"])}
    assert httpx.get(location, headers=headers).status_code == status
    assert httpx.post(f"{url}/api/v1/search", json={"query": "x"}, headers=headers).status_code == status


def test_a_cursor_is_beyond_the_last_event_from_the_next_number_on(location: str, stream: list[Frame]) -> None:
    stream_id = stream[-1].data["stream_id"]
    statuses = [
        httpx.get(location, headers={"Last-Event-ID": f"{stream_id}-{len(stream) + more}"}).status_code
        for more in (0, 1)
    ]
    assert statuses == [204, 400]


def test_where_json_is_negotiated_the_cursor_is_ignored(url: str, stream: list[Frame]) -> None:
    for cursor in (stream[0].id or "", stream[-1].id or "", "malformed"):
        headers = {"Accept": "application/json", "Last-Event-ID": cursor}
        response = httpx.post(f"{url}/api/v1/search", json={"query": "access token"}, headers=headers)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert response.json()["answer"]


def test_a_replay_is_a_stream_or_nothing(location: str) -> None:
    assert httpx.get(location, headers={"Accept": "application/json"}).status_code == 406


def test_an_unknown_stream_is_404(url: str) -> None:
    for method in ("GET", "DELETE"):
        assert httpx.request(method, f"{url}/api/v1/streams/unknown").status_code == 404


def test_head_reads_nothing(location: str) -> None:
    response = httpx.head(location)
    assert response.status_code == 200
    assert "content-length" not in response.headers
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_other_methods_are_405(location: str) -> None:
    response = httpx.post(location)
    assert response.status_code == 405
    assert {each.strip() for each in response.headers["allow"].split(",")} == {"DELETE", "GET", "HEAD"}


def test_an_ended_stream_stays_as_it_is_when_cancelled(location: str, stream: list[Frame]) -> None:
    assert httpx.delete(location).status_code == 204
    assert lines(read(location)) == lines(stream)


def test_after_its_retention_a_stream_is_gone(library: Path) -> None:
    with product(data=library, retention_seconds=0) as url:
        stream = ask(url, "access token")
        location = f"{url}/api/v1/streams/{stream[-1].data['stream_id']}"
        for headers in (STREAM, STREAM | {"Last-Event-ID": stream[-1].id or ""}):
            assert httpx.get(location, headers=headers).status_code == 410
            assert httpx.get(location, headers=headers).headers["content-type"] == "application/problem+json"


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


async def test_delete_stops_the_answer_and_the_model(openai: OpenAIServer, library: Path) -> None:
    with product(data=library, model="openai/m", api_base=openai.base_url) as url:
        reply = openai.reply(delta("It goes "))
        async with httpx.AsyncClient(base_url=url) as client:
            body = {"query": "access token"}
            async with client.stream("POST", "/api/v1/search", json=body, headers=STREAM) as response:
                received = b""
                async for chunk in response.aiter_raw():
                    if b"It goes" in (received := received + chunk) and b"failure" not in received:
                        deleted = await client.delete(response.headers["location"])
                        assert (deleted.status_code, deleted.content) == (204, b"")
            assert await reply.closed_by_client()
    assert b'event: failure\ndata: {"code":"cancelled"' in received
    assert received.count(b"event: failure") == 1


async def test_an_answer_that_takes_too_long_ends_and_the_model_with_it(
    openai: OpenAIServer, library: Path, hurry: Hurry
) -> None:
    with product(data=library, model="openai/m", api_base=openai.base_url, answer_seconds=1000) as url:
        reply = openai.reply(delta("It goes "))
        async with httpx.AsyncClient(base_url=url, timeout=None) as client:  # noqa: S113  it is to wait for the end
            asking = asyncio.create_task(client.post("/api/v1/search", json={"query": "access token"}, headers=STREAM))
            await reply.arrived()
            hurry(1000)
            await client.get("/healthz")  # the server looks at its clock
            response = await asking
        assert await reply.closed_by_client()
    assert b'event: failure\ndata: {"code":"timeout"' in response.content


async def test_a_broken_connection_is_no_cancel(openai: OpenAIServer, library: Path) -> None:
    with product(data=library, model="openai/m", api_base=openai.base_url) as url:
        reply = openai.reply(delta("It goes "))
        async with httpx.AsyncClient(base_url=url) as client:
            body = {"query": "access token"}
            async with client.stream("POST", "/api/v1/search", json=body, headers=STREAM) as response:
                location = response.headers["location"]
                async for chunk in response.aiter_raw():
                    if b"It goes" in chunk:
                        break
            reply.send(delta("on [1]."), finish(), DONE, END)
            replay = (await client.get(location)).text
    assert '{"text":"It goes"}' in replay
    assert '{"text":" on [1]."}' in replay
    assert "event: done" in replay


def test_when_the_log_fails_in_mid_stream_the_frames_lack_ids(
    openai: OpenAIServer, library: Path, tmp_path: Path
) -> None:
    shutil.copy(library / "index.db", tmp_path)
    with product(data=tmp_path, model="openai/m", api_base=openai.base_url) as url:
        reply = openai.reply(delta("It goes "))
        body = {"query": "access token"}
        with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
            arriving = frames(response)
            assert next(arriving).id is not None
            with closing(sqlite3.connect(tmp_path / "streams.db")) as file, file:
                file.execute("DROP TABLE events")
            reply.send(delta("on [1]."), finish(), DONE, END)
            rest = list(arriving)
    assert [(frame.event, frame.id) for frame in rest] == [("token", None), ("citation", None), ("done", None)]


def test_a_replay_whose_log_fails_ends_early_and_is_logged_in_one_line(
    library: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream's producer is another process, so that its events are read from the log."""
    shutil.copy(library / "index.db", tmp_path)
    with product(data=tmp_path, heartbeat_seconds=0.01) as url:
        ask(url, "access token")
        with closing(sqlite3.connect(tmp_path / "streams.db")) as file, file:
            file.execute("UPDATE streams SET ended_at = NULL, lease_until = lease_until + 3600")
            stream_id = file.execute("SELECT stream_id FROM streams").fetchone()[0]
            file.execute("DELETE FROM events WHERE n > 1")
        caplog.clear()
        with httpx.stream("GET", f"{url}/api/v1/streams/{stream_id}", headers=STREAM) as response:
            arriving = response.iter_raw()
            received = next(arriving)
            while b": hb" not in received:
                received += next(arriving)
            with closing(sqlite3.connect(tmp_path / "streams.db")) as file:
                file.execute("DROP TABLE events")
            received += b"".join(arriving)
    assert (received.count(b"event: "), b"event: done" in received) == (1, False)
    assert [(record.getMessage().partition(":")[0], record.exc_info) for record in caplog.records] == [
        (f"stream {stream_id} is broken off", None)
    ]
