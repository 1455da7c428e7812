"""Event ids, ``<stream_id>-<n>``, and the cursors that clients send back (``Last-Event-ID``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# n has no leading zero, so that one event has one id; nine digits are more events than a stream can have.
_CURSOR = re.compile(r"([A-Za-z0-9_-]{1,118})-([1-9][0-9]{0,8})")


class MalformedCursor(ValueError):
    """The text is no event id."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event that a client has: the ``n``-th of its stream, counted from 1."""

    stream_id: str
    n: int

    def __str__(self) -> str:
        return f"{self.stream_id}-{self.n}"


def parse_cursor(text: str) -> Cursor:
    """Read an event id. Raises MalformedCursor."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise MalformedCursor("an event id is the stream's id, a hyphen and the event's number from 1")
    return Cursor(match[1], int(match[2]))
