"""One answer in the making: its events, appended to the log and handed to the readers of this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from citestream.answer.answerer import AnswerError
from citestream.errors import StoreUnavailable
from citestream.model import Event, Failure, Results
from citestream.streams.coalesce import coalesce
from citestream.streams.entry import Entry, split_results, to_entry
from citestream.streams.log import Fenced, StreamLog

_LOG = logging.getLogger("citestream.streams")

TIMEOUT = Failure("timeout", "The answer took too long.", retryable=True)
CANCELLED = Failure("cancelled", "The answer was stopped.", retryable=False)
PRODUCER_LOST = Failure("producer_lost", "The server that wrote this answer was lost.", retryable=True)
INTERNAL_ERROR = Failure("internal_error", "Something went wrong while the answer was written.", retryable=True)
STORE_FAILED = Failure("internal_error", "The documents can't be searched just now.", retryable=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds and bytes; how often ``cancelled`` is looked up lets another process stop a stream within 1 s."""

    answer: float = 60.0
    heartbeat: float = 3.0
    retention: float = 60.0
    lease: float = 10.0
    cancel_poll: float = 0.5
    coalesce: float = 0.1
    token_bytes: int = 900


class Production:
    """Appends, then shows: a reader never sees an event that the log does not hold.

    Where the log fails in mid-stream the events go on without numbers, so that nobody takes them for resumable.
    """

    def __init__(self, stream_id: str, producer: str, log: StreamLog, limits: Limits) -> None:
        self.stream_id = stream_id
        self.entries: list[Entry] = []
        self.ended = False
        self._producer = producer
        self._log = log
        self._limits = limits
        self._logged = True
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._stopped_by = CANCELLED

    def stop(self, failure: Failure) -> None:
        """End the stream with this failure; the production goes on to write it."""
        self._stopped_by = failure
        self._stop.set()

    async def follow(self, after: int) -> AsyncGenerator[Entry | None]:
        """The entries after the ``after``-th as they come; None for each heartbeat interval without one.

        Ends after the terminal entry, or without one where another producer has taken the stream over.
        """
        seen = after
        while True:
            for entry in self.entries[seen:]:
                seen += 1
                yield entry
            if self.ended:
                if len(self.entries) == seen:
                    return
            elif not await self._changes():
                yield None

    async def _changes(self) -> bool:
        """Wait for the next change; False where none comes within a heartbeat interval."""
        changed = self._changed
        try:
            async with asyncio.timeout(self._limits.heartbeat):
                return await changed.wait()
        except TimeoutError:
            return False

    async def run(self, events: AsyncGenerator[Event]) -> None:
        """Produce until the terminal event, whatever happens: failures become one."""
        work = asyncio.create_task(self._work(events))
        stop = asyncio.create_task(self._stop.wait())
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({work, stop}, timeout=self._limits.answer, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._end(self._stopped_by if stop.done() else TIMEOUT)
        finally:
            for task in (work, stop, watch):
                task.cancel()
            await asyncio.gather(work, stop, watch, return_exceptions=True)
            self.ended = True
            self._notify()

    async def _work(self, events: AsyncGenerator[Event]) -> None:
        failure = INTERNAL_ERROR
        try:
            async with aclosing(coalesce(events, self._limits.coalesce, self._limits.token_bytes)) as joined:
                async for event in joined:
                    for part in split_results(event.results) if isinstance(event, Results) else [event]:
                        await self._append(part)
            if not self.ended:
                raise RuntimeError("the answer ended without a terminal event")
            return
        except Fenced:
            _LOG.warning("stream %s was taken over: stopped", self.stream_id)
            return
        except AnswerError as error:
            failure = Failure(error.code, error.message, error.retryable)
        except StoreUnavailable:
            _LOG.exception("stream %s: the index does not answer", self.stream_id)
            failure = STORE_FAILED
        except Exception:
            _LOG.exception("stream %s failed", self.stream_id)
        await self._end(failure)

    async def _end(self, failure: Failure) -> None:
        try:
            await self._append(failure)
        except Fenced:
            _LOG.warning("stream %s was taken over: its end stands already", self.stream_id)

    async def _append(self, event: Event) -> None:
        async with self._writing:
            if self.ended:
                return
            n = len(self.entries) + 1
            entry = to_entry(event, n)
            if not await self._is_logged(entry):
                entry = to_entry(event, None)
            self.entries.append(entry)
            self.ended = entry.final
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _is_logged(self, entry: Entry) -> bool:
        if self._logged:
            try:
                await self._log.append(self.stream_id, self._producer, entry)
            except StoreUnavailable:
                _LOG.exception("stream %s goes on without ids: its log failed at event %s", self.stream_id, entry.n)
                self._logged = False
        return self._logged

    async def _watch(self) -> None:
        """Keep the lease, and notice a cancel that another process has asked for."""
        renew_at = 0.0
        while True:
            await asyncio.sleep(self._limits.cancel_poll)
            try:
                if time.monotonic() >= renew_at:
                    await self._log.renew(self.stream_id, self._producer, time.time() + self._limits.lease)
                    renew_at = time.monotonic() + self._limits.lease / 3
                record = await self._log.get(self.stream_id)
            except StoreUnavailable:
                _LOG.warning("stream %s: its log does not answer", self.stream_id)
                continue
            if record is not None and record.cancelled:
                self.stop(CANCELLED)
