"""A stream's events as the log keeps them: a name and one line of JSON, fixed once and for every reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from citestream.model import Event, Passage, Results, Token
from citestream.sse.frames import FRAME_LIMIT, frame, to_json

#: Reconnection time that the first frame announces, in milliseconds.
RETRY_MS = 1500
# What a frame holds beside its JSON: field names, the longest id, line ends.
_ENVELOPE = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """The ``n``-th event of a stream, counted from 1. ``n`` is None where the log has failed and nobody can resume."""

    n: int | None
    event: str
    data: str

    @property
    def final(self) -> bool:
        return self.event in ("done", "failure")


def to_entry(event: Event, n: int | None) -> Entry:
    """The event's name and data, as they go to the log and onto the wire.

    Raises ValueError where they don't fit a frame: better here than when the log has them and no reader can.
    """
    data = to_json({"text": event.text} if isinstance(event, Token) else asdict(event))
    if len(data.encode()) > FRAME_LIMIT - _ENVELOPE:
        raise ValueError(f"{type(event).__name__} of {len(data.encode())} bytes does not fit a frame")
    return Entry(n, type(event).__name__.lower(), data)


def to_frame(entry: Entry, stream_id: str) -> bytes:
    """The bytes of the entry's frame; the same ones in every replay."""
    event_id = None if entry.n is None else f"{stream_id}-{entry.n}"
    return frame(entry.event, entry.data, event_id, RETRY_MS if entry.n == 1 else None)


def split_results(passages: Sequence[Passage]) -> Iterator[Results]:
    """As many ``results`` events as it takes to keep each within a frame; one, empty, where nothing was found."""
    part: list[Passage] = []
    size = 0
    for passage in passages:
        bytes_more = len(to_json(asdict(passage)).encode()) + 1
        if part and size + bytes_more > FRAME_LIMIT - _ENVELOPE:
            yield Results(tuple(part))
            part, size = [], 0
        part.append(passage)
        size += bytes_more
    yield Results(tuple(part))
