"""The Runtime API as a stopwatch: hands out one event at a time, and notes when which bytes of the response came.

It blocks in ``recv``, for all clients alike, so that each frame is seen when it comes. The emulator's Runtime API is
quick enough (up to 450,000 frames a second of the raw client), but by taking hundreds at once: no time of a frame.
What a sender reaches depends on that, too, since one that never has to wake its reader up is up to three times as fast.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Self

from tests.sam import EVENTS

PATIENCE = 30.0  # seconds until a client that says nothing is given up
LAST_CHUNK = b"\r\n0\r\n\r\n"
_HEAD_END = b"\r\n\r\n"
_STAMP = re.compile(rb"\nid: (\d{19})\n\n")
_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'


@dataclass(frozen=True)
class Response:
    """A streamed response. ``delivered`` is when the event was handed out, ``pieces`` what was read when: all in
    nanoseconds of the machine's monotonic clock, which the functions stamp their frames by."""

    delivered: int
    pieces: list[tuple[int, bytes]]

    @cached_property
    def wire(self) -> bytes:
        return b"".join(data for _, data in self.pieces)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(data) for _, data in self.pieces))

    def _arrival(self, offset: int) -> int:
        return self.pieces[bisect_right(self._ends, offset)][0]

    def _body(self) -> int:
        return self._arrival(self.wire.index(_HEAD_END) + len(_HEAD_END))

    def first_byte(self) -> float:
        """Milliseconds from the event to the body's first byte."""
        return (self._body() - self.delivered) / 1e6

    def until(self, what: bytes) -> float:
        """Milliseconds from the event until the first ``what`` had come."""
        return (self._arrival(self.wire.index(what) + len(what) - 1) - self.delivered) / 1e6

    def latencies(self) -> list[float]:
        """Of each frame, milliseconds from its stamp to its last byte."""
        return [(self._arrival(each.end() - 1) - int(each[1])) / 1e6 for each in _STAMP.finditer(self.wire)]

    def frames(self) -> int:
        return len(_STAMP.findall(self.wire))

    def frames_per_second(self) -> float:
        """From the body's first byte to its end."""
        return self.frames() * 1e9 / (self.pieces[-1][0] - self._body())


class Receiver:
    """The Runtime API of one function, on blocking sockets, for use as a context."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for each in (self._listener, *self._connections):
            each.close()

    def ready(self) -> None:
        """Return when the function waits for an event."""
        self._waiting, head = self._request()
        assert b"GET /2018-06-01/runtime/invocation/next " in head[0][1], head

    def invoke(self, path: str = "") -> Response:
        """Hand out the event of a request for ``path``, or of a question, to the function, which is ready for it, and
        take its response."""
        reply = _event(path)
        delivered = time.monotonic_ns()
        self._waiting.sendall(reply)
        connection, pieces = self._request()
        tail = pieces[-1][1][-len(LAST_CHUNK) :]
        while tail != LAST_CHUNK:
            data = connection.recv(65536)
            pieces.append((time.monotonic_ns(), data))
            assert data, "the response ended early"
            tail = (tail + data)[-len(LAST_CHUNK) :]
        connection.sendall(_ACCEPTED)
        return Response(delivered, pieces)

    def _request(self) -> tuple[socket.socket, list[tuple[int, bytes]]]:
        """A request as far as it came with its head: on whichever connection the function likes."""
        while True:
            connection = self._readable()
            pieces: list[tuple[int, bytes]] = []
            while _HEAD_END not in b"".join(data for _, data in pieces[-2:]):
                data = connection.recv(65536)
                if not data:
                    break
                pieces.append((time.monotonic_ns(), data))
            else:
                return connection, pieces
            assert not pieces, "a request ended within its head"
            self._connections.remove(connection)
            connection.close()

    def _readable(self) -> socket.socket:
        while True:
            readable, _, _ = select.select([self._listener, *self._connections], [], [], PATIENCE)
            if not readable:
                raise TimeoutError("the function says nothing")
            if readable[0] is not self._listener:
                return readable[0]
            connection, _ = self._listener.accept()
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)


def _event(path: str) -> bytes:
    event = json.loads((EVENTS / "function-url-stream.json").read_text())
    if path:
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
    body = json.dumps(event).encode()
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Lambda-Runtime-Aws-Request-Id: 8f14e45f-ceea-467f-a1b2-0c3d4e5f6071",
        f"Lambda-Runtime-Deadline-Ms: {int((time.time() + 60) * 1000)}",
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:bench",
        "Lambda-Runtime-Trace-Id: Root=1-67410a5c-3f2b1c0d4e5f60718293a4b5;Parent=0000000000000001;Sampled=0",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
