"""One answer in the making: its events, appended to the log and handed to the readers of this process."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from citestream.answer.answerer import AnswerError
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Done, Event, Failure, Results, Sources
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.streams.admission import Slot
from citestream.streams.coalesce import coalesce
from citestream.streams.course import Course
from citestream.streams.entry import Entry, split_results, to_entry
from citestream.streams.log import Fenced, StreamLog

_LOG = logging.getLogger("citestream.streams")

TIMEOUT = Failure("timeout", "The answer took too long.", retryable=True)
CANCELLED = Failure("cancelled", "The answer was stopped.", retryable=False)
PRODUCER_LOST = Failure("producer_lost", "The server that wrote this answer was lost.", retryable=True)
INTERNAL_ERROR = Failure("internal_error", "Something went wrong while the answer was written.", retryable=True)
WRONG_EMBEDDER = Failure(
    "internal_error", "A knowledge base was indexed with another embedding model.", retryable=False
)
STORE_FAILED = Failure("internal_error", "The documents can't be searched just now.", retryable=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds, and how large a token event may be, in bytes.

    A lost producer is noticed when its ``lease`` has run out; a cancel of another process after ``cancel_poll``.
    Tokens are joined for ``coalesce`` seconds or up to ``token_bytes``. A caller has at most ``answers`` at a time.
    """

    answer: float = 60.0
    heartbeat: float = 3.0
    retention: float = 60.0
    lease: float = 10.0
    cancel_poll: float = 0.5
    coalesce: float = 0.1
    token_bytes: int = 900
    answers: int = 3


class Production:
    """Appends, then shows: a reader never sees an event that the log does not hold.

    One event is written at a time, while the next one is collected.

    Where the log fails in mid-stream the events go on without numbers, so that nobody takes them for resumable.
    """

    def __init__(self, stream_id: str, log: StreamLog, limits: Limits, slot: Slot | None = None) -> None:
        self.stream_id = stream_id
        #: Names this production in the log, so that no other one's events are taken for its own.
        self.producer = secrets.token_hex(8)
        self.course = Course()
        self._log = log
        self._limits = limits
        self._slot = slot
        self._entries: list[Entry] = []
        self._ended = False
        self._logged = True
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stop: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def told(self) -> dict[str, Any]:
        """How it went, for the server's log."""
        events = {"events": len(self._entries), "log_failed": not self._logged}
        return {"stream_id": self.stream_id} | self.course.told() | events

    def stop(self, failure: Failure | None) -> None:
        """End the stream with this failure; the production goes on to write it. The first stop counts.

        None: the stream is another producer's now.
        """
        if not self._stop.done():
            self._stop.set_result(failure)

    async def follow(self, after: int) -> AsyncGenerator[Entry | None]:
        """The entries after the ``after``-th as they come; None for each heartbeat interval without one.

        Ends after the terminal entry, or without one where another producer has taken the stream over.
        """
        seen = after
        while True:
            # Before the entries are read: whatever is appended from here on, while a slow reader takes its time, sets
            # this very event.
            changed = self._changed
            for entry in self._entries[seen:]:
                seen += 1
                yield entry
            if self._ended and len(self._entries) == seen:
                return
            if not await self._within_heartbeat(changed):
                yield None

    async def _within_heartbeat(self, changed: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._limits.heartbeat):
                return await changed.wait()
        except TimeoutError:
            return False

    async def run(self, events: AsyncGenerator[Event], deadline: float | None = None) -> None:
        """Produce until the terminal event, whatever happens: failures become one, and so does the deadline."""
        limit = self._limits.answer if deadline is None else min(self._limits.answer, deadline - time.time())
        work = asyncio.create_task(self._work(events))
        watch = asyncio.create_task(self._watch())
        try:
            waited_for: set[asyncio.Future[Any]] = {work, self._stop}
            await asyncio.wait(waited_for, timeout=max(0.0, limit), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and (failure := self._stop.result() if self._stop.done() else TIMEOUT):
                await self._append(failure)
        finally:
            work.cancel()
            watch.cancel()
            for result in await asyncio.gather(work, watch, self._written(), return_exceptions=True):
                if isinstance(result, Exception):
                    _LOG.error("stream %s: unforeseen", self.stream_id, exc_info=result)
            await self._leave_slot()
            self._ended = True
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _work(self, events: AsyncGenerator[Event]) -> None:
        try:
            await self._append_all(events)
        except AnswerError as error:
            await self._append(Failure(error.code, error.message, error.retryable))
        except EmbeddingFailed as error:
            _LOG.error("stream %s: the question can't be embedded: %s", self.stream_id, error)
            await self._append(Failure("upstream_error", error.message, error.retryable))
        except WrongIndex as error:
            _LOG.error("stream %s: %s", self.stream_id, error)
            await self._append(WRONG_EMBEDDER)
        except StoreUnavailable:
            _LOG.exception("stream %s: the index does not answer", self.stream_id)
            await self._append(STORE_FAILED)
        except Exception:  # whatever it is, a stream has an end that its readers see
            _LOG.exception("stream %s failed", self.stream_id)
            await self._append(INTERNAL_ERROR)

    async def _append_all(self, events: AsyncGenerator[Event]) -> None:
        limits = self._limits
        async with aclosing(coalesce(events, limits.coalesce, limits.token_bytes, self._idle)) as joined:
            async for event in joined:
                if isinstance(event, Sources):
                    await self._note(event)
                    continue
                for part in split_results(event.results) if isinstance(event, Results) else [event]:
                    await self._append(part)
                if self._ended:
                    return
        raise RuntimeError("the answer ended without a terminal event")

    async def _note(self, sources: Sources) -> None:
        """Tell the log what the answer is written from, before it holds an event that tells of that."""
        if sources.document_ids:
            noting = self._log.note_sources(self.stream_id, self.producer, sources.document_ids)
            await self._logged_by(noting, "its sources")

    async def _append(self, event: Event) -> None:
        """Begin to write the event, once the one before is written; the last one is written when this returns."""
        final = isinstance(event, Done | Failure)
        async with self._turn:
            if final:  # who has seen the end has the slot back
                await asyncio.gather(self._written(), self._leave_slot())
            else:
                await self._written()
            if self._ended:
                return
            entry = to_entry(event, len(self._entries) + 1)
            self._writing = asyncio.create_task(self._write(event, entry))
            if final:
                await self._written()

    async def _idle(self) -> bool:
        """Wait for the write that is under way, whatever comes of it; whether there is one."""
        if self._writing is None or self._writing.done():
            return False
        await asyncio.wait({self._writing})
        return True

    async def _written(self) -> None:
        """Wait for the write that is under way; cancelling that does not cancel the write."""
        if (writing := self._writing) is not None:
            await asyncio.wait({writing})
            self._writing = None
            writing.result()

    async def _write(self, event: Event, entry: Entry) -> None:
        try:
            if self._logged:
                await self._logged_by(self._log.append(self.stream_id, self.producer, entry), f"event {entry.n}")
        except Fenced:
            _LOG.warning("stream %s was taken over: stopped", self.stream_id)
            self._ended = True
            self.stop(None)
            return
        self._entries.append(entry if self._logged else replace(entry, n=None))
        self._ended = entry.final
        self.course.note(event)
        self._notify()

    async def _leave_slot(self) -> None:
        if self._slot is not None:
            try:
                await self._slot.release()
            except StoreUnavailable as error:
                _LOG.warning("stream %s keeps its slot until that expires: %s", self.stream_id, error)
            self._slot = None

    async def _logged_by(self, writing: Awaitable[None], what: str) -> None:
        try:
            await writing
        except StoreUnavailable:
            _LOG.exception("stream %s goes on without ids: its log failed at %s", self.stream_id, what)
            self._logged = False

    async def _watch(self) -> None:
        """Keep the lease, and notice a cancel that another process has asked for."""
        renew_at = time.monotonic() + self._renewal()
        while True:
            await asyncio.sleep(self._limits.cancel_poll)
            try:
                if time.monotonic() >= renew_at:
                    await self._renew(time.time() + self._limits.lease)
                    renew_at = time.monotonic() + self._renewal()
                record = await self._log.get(self.stream_id)
            except StoreUnavailable:
                _LOG.warning("stream %s: its log does not answer", self.stream_id)
                continue
            if record is not None and record.cancelled:
                self.stop(CANCELLED)
            elif record is not None and record.ended_at is not None and not self._is_ending():
                _LOG.warning("stream %s was taken over: stopped", self.stream_id)
                self.stop(None)

    def _is_ending(self) -> bool:
        """Whether the end that the log has may be our own."""
        return self._ended or (self._writing is not None and not self._writing.done())

    def _renewal(self) -> float:
        """Seconds to the next renewal: at random, since many streams may have begun together."""
        return self._limits.lease / 3 * random.uniform(0.7, 1)  # noqa: S311  no secret

    async def _renew(self, until: float) -> None:
        slots = [self._slot.renew(until)] if self._slot else []
        await asyncio.gather(self._log.renew(self.stream_id, self.producer, until), *slots)
