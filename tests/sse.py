"""What the tests read a stream with: raw bytes over a socket, decoded by the rules of the standard alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Frame:
    """One event as it arrived: its lines, and when its last byte came (seconds, monotonic)."""

    lines: tuple[str, ...]
    at: float

    @property
    def fields(self) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.lines)

    @property
    def event(self) -> str:
        return self.fields["event"]

    @property
    def id(self) -> str | None:
        return self.fields.get("id")

    @property
    def data(self) -> Any:
        return json.loads(self.fields["data"])


def frames(response: httpx.Response) -> Iterator[Frame]:
    """The stream's events as they arrive; comments are left out."""
    lines: list[str] = []
    rest = b""
    for chunk in response.iter_raw():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line and not line.startswith(b":"):
                lines.append(line.decode())
            elif not line:
                yield Frame(tuple(lines), time.monotonic())
                lines = []


def ask(url: str, question: str, **fields: Any) -> list[Frame]:
    """A question's whole stream."""
    body = {"query": question, **fields}
    with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
        assert response.status_code == 200, response.read()
        return list(frames(response))


def answer_of(stream: list[Frame]) -> str:
    return "".join(frame.data["text"] for frame in stream if frame.event == "token")


def decoded(body: bytes) -> list[Frame]:
    """The events of a stream that has been read to its end."""
    return list(frames(httpx.Response(200, stream=httpx.ByteStream(body))))
