"""How an answer's production went, for whoever runs the server."""

from __future__ import annotations

import time
from typing import Any

from citestream.model import Done, Event, Failure, Token


class Course:
    """What has happened since the production began. Readers are those of its own process."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first_token: float | None = None
        self._ended = "taken_over"
        self._readers = self._lost = self._back = 0

    def note(self, event: Event) -> None:
        """Take the next event that readers are shown."""
        if isinstance(event, Token) and self._first_token is None:
            self._first_token = self._seconds()
        elif isinstance(event, Done):
            self._ended = event.finish_reason
        elif isinstance(event, Failure):
            self._ended = event.code

    def arrived(self) -> None:
        """A reader has come: back, where one was lost."""
        self._readers += 1
        self._back += self._back < self._lost

    def left(self) -> None:
        """A reader has gone before the end."""
        self._lost += 1

    def told(self) -> dict[str, Any]:
        """By name; times are in seconds. ``ended`` is a finish reason, or a failure's code."""
        seconds = {"seconds": self._seconds(), "first_token_seconds": self._first_token}
        readers = {"readers": self._readers, "readers_lost": self._lost, "readers_back": self._back}
        return {"ended": self._ended} | seconds | readers

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)
