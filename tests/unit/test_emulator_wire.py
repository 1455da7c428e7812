"""The emulator's pure parts on the wire: chunks, heads, frames, logs, pace, states."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_lambda.emulator.chunked import ChunkDecoder, LengthDecoder, ProtocolError
from asgi_lambda.emulator.frames import FrameCounter
from asgi_lambda.emulator.http1 import Body, Connection, Head, head_bytes
from asgi_lambda.emulator.logs import Lines, LogFrames
from asgi_lambda.emulator.pace import Bucket, Pace
from asgi_lambda.emulator.process import exit_reason
from asgi_lambda.emulator.server import Server
from asgi_lambda.emulator.states import error_type


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 50), st.binary(max_size=10))
def test_chunks_come_out_however_they_are_cut(chunks: list[bytes], size: int, after: bytes) -> None:
    wire = b"".join(b"%X;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire += b"0\r\nA: 1\r\nb:  two words \r\n\r\n"
    decoder = ChunkDecoder()
    pieces = [decoder.feed(piece) for piece in cut(wire, size)]
    decoder.feed(after)
    assert b"".join(pieces) == b"".join(chunks)
    assert decoder.sizes == [len(chunk) for chunk in chunks]
    assert decoder.trailers == [("A", "1"), ("b", "two words")]
    assert decoder.done
    assert decoder.rest == after


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"\r\n",
        b"0x1\r\na\r\n",
        b"1\r\nab\r\n",
        b"1000000000000000\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nspace : 1\r\n\r\n",
        b"0\r\nnul: \0\r\n\r\n",
        b"1" * (1 << 20) + b"11",
        b"0\r\na: " + b"x" * 4090 + b"\r\n\r\n",
    ],
)
def test_what_is_no_chunk_is_refused(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        ChunkDecoder().feed(wire)


def test_a_large_chunk_comes_as_it_arrives() -> None:
    decoder = ChunkDecoder()
    assert [decoder.feed(piece) for piece in (b"5\r\nab", b"cd", b"e\r\n")] == [b"ab", b"cd", b"e"]
    assert not decoder.done


def test_a_body_of_known_length() -> None:
    assert not LengthDecoder(3).done
    decoder = LengthDecoder(3)
    assert [decoder.feed(b"ab"), decoder.feed(b"cde")] == [b"ab", b"c"]
    assert decoder.done
    assert decoder.rest == b"de"


async def answered(data: bytes) -> tuple[bytes, list[str]]:
    """What a server sends back, and what it says."""
    said: list[str] = []

    async def handler(connection: Connection, head: Head, body: Body) -> bool:
        raise AssertionError("no request was expected")

    server = Server(handler, said.append)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.aclose()
    return answer, said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "Content-Length"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"),
        (b"nonsense\r\n\r\n", "illegal request line"),
        (b"GET /" + b"x" * (1 << 20), "a request head of more than 1048576 bytes"),
    ],
)
async def test_what_is_no_request_is_refused(data: bytes, message: str) -> None:
    answer, said = await answered(data)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
    assert [message] == [message for line in said if message in line]


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost"])
async def test_a_client_that_leaves_is_no_error(data: bytes) -> None:
    assert await answered(data) == (b"", [])


def test_a_status_without_a_name_has_none() -> None:
    assert head_bytes(299, [("A", "b")]) == b"HTTP/1.1 299 \r\nA: b\r\n\r\n"


@given(
    st.lists(st.sampled_from(["data: a", "id: 1\ndata: b", ": hb"])), st.integers(1, 9), st.sampled_from(["\n", "\r\n"])
)
def test_events_are_counted_however_they_are_cut(events: list[str], size: int, end: str) -> None:
    body = "".join(event.replace("\n", end) + end * 2 for event in events).encode()
    counter = FrameCounter(events=True)
    for piece in cut(body, size):
        counter.feed(piece)
    assert counter.count == len(events)


def test_other_bodies_are_counted_by_piece() -> None:
    counter = FrameCounter(events=False)
    counter.feed(b"a\n\nb")
    counter.feed(b"c")
    assert counter.count == 2


def log_frame(text: bytes, kind: int = 0xA55A0003) -> bytes:
    return struct.pack(">IIQ", kind, len(text), 1) + text


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), max_size=5), st.integers(1, 30)
)
def test_log_frames_come_out_however_they_are_cut(texts: list[str], size: int) -> None:
    wire = b"".join(log_frame(text.encode()) for text in texts)
    frames = LogFrames()
    assert [message for piece in cut(wire, size) for message in frames.feed(piece)] == texts
    assert frames.end() == []


def test_what_is_no_log_frame_is_shown() -> None:
    frames = LogFrames()
    assert frames.feed(log_frame(b"good\n") + log_frame(b"bad", 7)) == [
        "good",
        f"broken log frame: {log_frame(b'bad', 7)!r}",
    ]
    assert frames.feed(b"half") == []
    assert frames.end() == ["broken log frame: b'half'"]


def test_lines_come_out_whole() -> None:
    lines = Lines()
    assert [*lines.feed(b"a\nb"), *lines.feed("ä".encode()[:1]), *lines.feed("ä".encode()[1:] + b"\n\xff")] == [
        "a",
        "bä",
    ]
    assert lines.end() == ["�"]
    assert Lines().end() == []


def test_the_first_bytes_are_free_and_the_rest_come_in_steps() -> None:
    bucket = Bucket(Pace(burst=1000, rate=800), now=10.0)  # a step is 100 bytes
    assert bucket.take(1000, 10.0) == 0.0
    assert bucket.take(1, 10.05) == pytest.approx(0.075)
    assert bucket.take(99, 10.125) == 0.0
    assert bucket.take(250, 10.125) == pytest.approx(0.375)


def test_the_bucket_never_holds_more_than_the_burst() -> None:
    bucket = Bucket(Pace(burst=1000, rate=800), now=0.0)
    assert bucket.take(1001, 1000.0) > 0.0


@pytest.mark.parametrize(
    ("given_type", "reported"),
    [
        ("Runtime.Boom", "Runtime.Boom"),
        ("Function.Boom", "Function.Boom"),
        ("App.Boom", "Runtime.Unknown"),
        ("Function.boom", "Function.Unknown"),
        ("Runtime.Boom2", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
        (None, "Runtime.Unknown"),
    ],
)
def test_error_types(given_type: str | None, reported: str) -> None:
    assert error_type(given_type) == reported


@pytest.mark.parametrize(
    ("status", "reason"), [(0, "without providing a reason"), (2, "exit status 2"), (-9, "signal: Killed")]
)
def test_exit_reasons(status: int, reason: str) -> None:
    assert exit_reason(status).endswith(reason)
