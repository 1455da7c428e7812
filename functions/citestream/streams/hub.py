"""The streams of this process and the way to those of others: start, follow, cancel."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable

from citestream.errors import StoreUnavailable
from citestream.model import Event
from citestream.streams.entry import Entry, to_entry
from citestream.streams.log import Fenced, StreamLog, StreamRecord
from citestream.streams.production import CANCELLED, PRODUCER_LOST, Limits, Production

_LOG = logging.getLogger("citestream.streams")

# An ended stream's record outlives its events' retention, so that a late reader is told 410 and not 404.
_REMEMBERED_SECONDS = 3600.0
_SWEEP_SECONDS = 10.0
# How long to wait before looking into the log again for a stream that another process produces.
_POLL_SECONDS = (0.05, 0.1, 0.2, 0.4)


class Hub:
    """Productions run here as tasks of their own: a reader's leaving doesn't end them."""

    def __init__(self, log: StreamLog, limits: Limits) -> None:
        self.limits = limits
        self._log = log
        self._producer = secrets.token_hex(8)
        self._live: dict[str, tuple[Production, asyncio.Task[None]]] = {}
        self._sweep_at = 0.0

    async def start(self, owner: str, produce: Callable[[str], AsyncGenerator[Event]]) -> str:
        """Begin to produce the events of ``produce(stream_id)`` and return the stream's id.

        Raises StoreUnavailable.
        """
        stream_id = secrets.token_hex(16)
        lease_until = time.time() + self.limits.lease
        await self._log.create(StreamRecord(stream_id, owner, self._producer, lease_until))
        production = Production(stream_id, self._producer, self._log, self.limits)
        task = asyncio.create_task(self._run(production, produce(stream_id)), name=f"production {stream_id}")
        self._live[stream_id] = (production, task)
        task.add_done_callback(lambda _: self._live.pop(stream_id))
        return stream_id

    async def record(self, stream_id: str) -> StreamRecord | None:
        """What the log knows of the stream. Raises StoreUnavailable."""
        return await self._log.get(stream_id)

    async def cancel(self, stream_id: str) -> None:
        """End the stream with ``cancelled``, here at once, elsewhere within a second. Raises StoreUnavailable."""
        await self._log.request_cancel(stream_id)
        if stream_id in self._live:
            self._live[stream_id][0].stop(CANCELLED)

    def follow(self, stream_id: str, after: int = 0) -> AsyncGenerator[Entry | None]:
        """The stream's entries after the ``after``-th, to its end; None for each heartbeat interval of silence."""
        production, _ = self._live.get(stream_id, (None, None))
        return self._follow(stream_id, production, after)

    async def aclose(self) -> None:
        """End what is still being produced, so that no reader waits for it, and close the log."""
        running = list(self._live.values())
        for production, _ in running:
            production.stop(PRODUCER_LOST)
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)
        await self._log.aclose()

    async def _follow(self, stream_id: str, production: Production | None, after: int) -> AsyncGenerator[Entry | None]:
        seen = after
        if production is not None:
            async for entry in production.follow(after):
                yield entry
                if entry is not None:
                    seen += 1
                    if entry.final:
                        return
        # Produced elsewhere, or taken over from the producer here.
        async for entry in self._follow_log(stream_id, seen):
            yield entry

    async def _follow_log(self, stream_id: str, after: int) -> AsyncGenerator[Entry | None]:
        seen, polls = after, 0
        silent_since = time.monotonic()
        while True:
            for entry in await self._log.read(stream_id, seen):
                seen, polls, silent_since = seen + 1, 0, time.monotonic()
                yield entry
                if entry.final:
                    return
            if await self._sealed(stream_id, seen):
                continue
            await asyncio.sleep(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
            polls += 1
            if time.monotonic() - silent_since >= self.limits.heartbeat:
                silent_since = time.monotonic()
                yield None

    async def _sealed(self, stream_id: str, seen: int) -> bool:
        """Whether the stream's producer was lost; then the log holds the failure that says so, written by whoever
        came first."""
        record = await self._log.get(stream_id)
        if record is None or record.ended_at is not None or record.lease_until > time.time():
            return False
        try:
            await self._log.append(stream_id, self._producer, to_entry(PRODUCER_LOST, seen + 1))
        except Fenced:
            return True
        return True

    async def _run(self, production: Production, events: AsyncGenerator[Event]) -> None:
        await production.run(events)
        # Now and then, when no reader waits for it.
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            try:
                await self._log.sweep(time.time() - self.limits.retention - _REMEMBERED_SECONDS)
            except StoreUnavailable as error:
                _LOG.warning("old streams could not be removed: %s", error)
