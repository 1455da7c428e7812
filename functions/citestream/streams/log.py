"""The stream log: what a stream's readers read, and what makes it resumable on any instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from citestream.streams.admission import Admission
from citestream.streams.entry import Entry


class Fenced(Exception):
    """Another producer has written this stream's next event: whoever meets this stops without sending."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What is known of a stream beside its events. Times are Unix seconds.

    Its producer lives while ``lease_until`` is in the future. ``last`` is the number of its newest event. Who comes
    back to it must be allowed to read the knowledge bases and documents that it is written from; ``documents`` is
    empty until they are known, which is before the first event, and where none could have been withheld.
    """

    stream_id: str
    owner: str
    producer: str
    lease_until: float
    ended_at: float | None = None
    cancelled: bool = False
    last: int = 0
    kb_ids: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


class StreamLog(Protocol):
    """Append-only events per stream; the pair (stream, n) is written once, by one producer.

    A stream is kept for a while after its end and then removed by the log itself.
    Every method raises StoreUnavailable when the store does not answer.
    """

    @property
    def admission(self) -> Admission:
        """Keys and slots, in the same store."""
        ...

    async def create(self, record: StreamRecord) -> None:
        """Add a stream. Its id has never been used."""
        ...

    async def get(self, stream_id: str) -> StreamRecord | None: ...

    async def note_sources(self, stream_id: str, producer: str, document_ids: Sequence[str]) -> None:
        """Set the record's ``documents``; of a producer that is not the stream's, nothing is taken."""
        ...

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None:
        """Write event ``entry.n``; a final one ends the stream. Raises Fenced when another producer did."""
        ...

    async def read(self, stream_id: str, after: int) -> Sequence[Entry]:
        """The events after the ``after``-th, in order, without a gap."""
        ...

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None: ...

    async def request_cancel(self, stream_id: str) -> None:
        """Ask the producer, wherever it is, to stop. A stream that has ended stays as it is."""
        ...

    async def aclose(self) -> None: ...
