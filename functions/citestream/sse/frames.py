"""Server-Sent Events as bytes (WHATWG HTML, section 9.2), in the one layout that every client reads alike.

LF only, ``id:`` last (some clients commit it as they read the line), JSON on one ``data:`` line, comments as single
lines without a blank line after them (several clients take that blank line for an empty event).
"""

from __future__ import annotations

import json
from typing import Any

OPEN = b": open\n"
HEARTBEAT = b": hb\n"
#: A frame is never longer, in bytes.
FRAME_LIMIT = 16 * 1024
EVENT_NAMES = frozenset({"results", "token", "citation", "done", "failure"})

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_json(value: Any) -> str:
    """Compact JSON, unescaped: the form of every ``data:`` line. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def frame(event: str, data: str, event_id: str | None = None, retry: int | None = None) -> bytes:
    """One event's bytes. ``data`` is JSON text of one line; ``retry`` is in milliseconds.

    Raises ValueError for an unknown event name, for data that would break the frame, and for a frame over the limit.
    """
    if event not in EVENT_NAMES:
        raise ValueError(f"no such event: {event!r}")
    if "\n" in data or "\r" in data:
        raise ValueError("data must be one line: CR and LF end a field")
    lines = [f"event: {event}", f"data: {data}"]
    if retry is not None:
        lines.append(f"retry: {retry}")
    if event_id is not None:
        lines.append(f"id: {event_id}")
    encoded = "\n".join([*lines, "", ""]).encode()
    if len(encoded) > FRAME_LIMIT:
        raise ValueError(f"a frame of {len(encoded)} bytes is over the limit of {FRAME_LIMIT}")
    return encoded
