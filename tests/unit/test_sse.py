"""The wire form of a stream: frames byte by byte, cursors, and the response's clean-up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from citestream.sse.cursor import Cursor, MalformedCursor, parse_cursor
from citestream.sse.frames import FRAME_LIMIT, HEARTBEAT, OPEN, frame, to_json
from citestream.sse.response import EventStreamResponse


def test_a_frame_is_event_data_retry_id_and_a_blank_line() -> None:
    assert frame("token", '{"text":"OAuth"}', "7f3c-1", 1500) == (
        b'event: token\ndata: {"text":"OAuth"}\nretry: 1500\nid: 7f3c-1\n\n'
    )


def test_retry_and_id_are_left_out_where_there_are_none() -> None:
    assert frame("done", "{}") == b"event: done\ndata: {}\n\n"


def test_comments_are_single_lines_without_a_blank_line() -> None:
    assert (OPEN, HEARTBEAT) == (b": open\n", b": hb\n")


@pytest.mark.parametrize(
    ("event", "data"),
    [("error", "{}"), ("message", "{}"), ("token\ndata: x", "{}"), ("token", "{}\n"), ("token", "a\rb")],
)
def test_what_would_break_a_frame_is_refused(event: str, data: str) -> None:
    with pytest.raises(ValueError, match=r"event|line"):
        frame(event, data)


def test_a_frame_over_the_limit_is_refused() -> None:
    room = FRAME_LIMIT - len(frame("token", "", "s-1"))
    assert len(frame("token", "x" * room, "s-1")) == FRAME_LIMIT
    with pytest.raises(ValueError, match="over the limit"):
        frame("token", "x" * (room + 1), "s-1")


@given(st.text())
def test_json_is_one_line_of_unescaped_utf8_whatever_the_text(text: str) -> None:
    encoded = to_json({"text": text})
    assert "\n" not in encoded
    assert "\r" not in encoded
    assert frame("token", encoded).count(b"\n") == 3


def test_json_is_compact_and_unescaped_and_knows_no_nan() -> None:
    assert to_json({"a": ["ü", "日本", "\u2028"], "b": 1}) == '{"a":["ü","日本","\u2028"],"b":1}'
    with pytest.raises(ValueError, match="float"):
        to_json(float("nan"))


@pytest.mark.parametrize("text", ["7f3c-1", "a_b-c-12", "A-999999999"])
def test_a_cursor_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_cursor(text)) == text


def test_a_cursor_is_split_at_its_last_hyphen() -> None:
    assert parse_cursor("a-b-7") == Cursor("a-b", 7)


@pytest.mark.parametrize("text", ["", "7f3c", "7f3c-", "-1", "7f3c-0", "7f3c-01", "7f3c--x", "a b-1", "ä-1", "s-1\n"])
def test_anything_else_is_a_malformed_cursor(text: str) -> None:
    with pytest.raises(MalformedCursor):
        parse_cursor(text)


class Chunks:
    """A source that says when its ``finally`` has run."""

    def __init__(self, *chunks: bytes, endless: bool = False, error: Exception | None = None) -> None:
        self.chunks = chunks
        self.endless = endless
        self.error = error
        self.closed = False

    async def __call__(self) -> AsyncGenerator[bytes]:
        try:
            for chunk in self.chunks:
                yield chunk
            if self.error:
                raise self.error
            if self.endless:
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # clean-up that needs the event loop still runs
            self.closed = True


async def never() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def call(chunks: Chunks, send: Any, receive: Any = never, until: float | None = None) -> None:
    await EventStreamResponse(chunks(), {"Location": "/x"}, until)({"type": "http"}, receive, send)


async def test_the_response_opens_with_a_comment_and_ends_with_an_empty_body() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    chunks = Chunks(b"a", b"b")
    await call(chunks, send)
    assert dict(sent[0]["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store, no-transform",
        b"x-accel-buffering": b"no",
        b"x-content-type-options": b"nosniff",
        b"vary": b"Accept",
        b"location": b"/x",
    }
    assert [message["body"] for message in sent[1:]] == [b": open\n", b"a", b"b", b""]
    assert [message["more_body"] for message in sent[1:]] == [True, True, True, False]
    assert chunks.closed


async def test_the_source_is_closed_when_the_client_has_left() -> None:
    left = asyncio.Event()
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        if (message := next(messages, None)) is not None:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body") == b"a":
            left.set()

    chunks = Chunks(b"a", endless=True)
    await call(chunks, send, receive)
    assert chunks.closed


async def test_the_source_is_closed_when_a_send_fails() -> None:
    async def send(message: Message) -> None:
        if message.get("body") == b"a":
            raise OSError("the socket is gone")

    chunks = Chunks(b"a", endless=True)
    await call(chunks, send)
    assert chunks.closed


async def test_the_source_is_closed_when_the_response_is_cancelled() -> None:
    started = asyncio.Event()

    async def send(message: Message) -> None:
        if message.get("body") == b"a":
            started.set()

    chunks = Chunks(b"a", endless=True)
    task = asyncio.create_task(call(chunks, send))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert chunks.closed


async def test_an_error_of_the_source_reaches_the_server() -> None:
    async def send(message: Message) -> None:
        return None

    chunks = Chunks(b"a", error=RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await call(chunks, send)
    assert chunks.closed


async def test_no_task_is_left_behind() -> None:
    async def send(message: Message) -> None:
        return None

    before = asyncio.all_tasks()
    await call(Chunks(b"a"), send)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("chunks", "seconds", "ended"),
    [(Chunks(b"a", endless=True), 0.5, True), (Chunks(b"a", error=TimeoutError("the store's")), 60.0, False)],
    ids=["its own limit", "another's"],
)
async def test_only_the_limit_ends_a_stream_in_good_order(chunks: Chunks, seconds: float, ended: bool) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await call(chunks, send, until=time.time() + seconds)
    assert (sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}) is ended
    assert b"a" in [message.get("body") for message in sent]
