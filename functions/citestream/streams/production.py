"""One answer in the making: its events, appended to the log and handed to the readers of this process."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from citestream.answer.answerer import AnswerError
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Event, Failure, Results, Sources
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.streams.coalesce import coalesce
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
    Tokens are joined for ``coalesce`` seconds or up to ``token_bytes``.
    """

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

    def __init__(self, stream_id: str, log: StreamLog, limits: Limits) -> None:
        self.stream_id = stream_id
        #: Names this production in the log, so that no other one's events are taken for its own.
        self.producer = secrets.token_hex(8)
        self._log = log
        self._limits = limits
        self._entries: list[Entry] = []
        self._ended = False
        self._logged = True
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stop: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    def stop(self, failure: Failure) -> None:
        """End the stream with this failure; the production goes on to write it. The first stop counts."""
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
            if not work.done():
                await self._end(self._stop.result() if self._stop.done() else TIMEOUT)
        finally:
            work.cancel()
            watch.cancel()
            for result in await asyncio.gather(work, watch, return_exceptions=True):
                if isinstance(result, Exception):
                    _LOG.error("stream %s: unforeseen", self.stream_id, exc_info=result)
            self._ended = True
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _work(self, events: AsyncGenerator[Event]) -> None:
        try:
            await self._append_all(events)
        except Fenced:
            _LOG.warning("stream %s was taken over: stopped", self.stream_id)
        except AnswerError as error:
            await self._end(Failure(error.code, error.message, error.retryable))
        except EmbeddingFailed as error:
            _LOG.error("stream %s: the question can't be embedded: %s", self.stream_id, error)
            await self._end(Failure("upstream_error", error.message, error.retryable))
        except WrongIndex as error:
            _LOG.error("stream %s: %s", self.stream_id, error)
            await self._end(WRONG_EMBEDDER)
        except StoreUnavailable:
            _LOG.exception("stream %s: the index does not answer", self.stream_id)
            await self._end(STORE_FAILED)
        except Exception:
            _LOG.exception("stream %s failed", self.stream_id)
            await self._end(INTERNAL_ERROR)

    async def _append_all(self, events: AsyncGenerator[Event]) -> None:
        async with aclosing(coalesce(events, self._limits.coalesce, self._limits.token_bytes)) as joined:
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

    async def _end(self, failure: Failure) -> None:
        try:
            await self._append(failure)
        except Fenced:
            _LOG.warning("stream %s was taken over: its end stands already", self.stream_id)

    async def _append(self, event: Event) -> None:
        async with self._writing:
            if self._ended:
                return
            entry = to_entry(event, len(self._entries) + 1)
            if not await self._write(entry):
                entry = to_entry(event, None)
            self._entries.append(entry)
            self._ended = entry.final
            self._notify()

    async def _write(self, entry: Entry) -> bool:
        """Write the entry to the log; False where the log has failed, now or before."""
        if self._logged:
            await self._logged_by(self._log.append(self.stream_id, self.producer, entry), f"event {entry.n}")
        return self._logged

    async def _logged_by(self, writing: Awaitable[None], what: str) -> None:
        try:
            await writing
        except StoreUnavailable:
            _LOG.exception("stream %s goes on without ids: its log failed at %s", self.stream_id, what)
            self._logged = False

    async def _watch(self) -> None:
        """Keep the lease, and notice a cancel that another process has asked for."""
        renew_at = 0.0
        while True:
            await asyncio.sleep(self._limits.cancel_poll)
            try:
                if time.monotonic() >= renew_at:
                    await self._log.renew(self.stream_id, self.producer, time.time() + self._limits.lease)
                    renew_at = time.monotonic() + self._limits.lease / 3
                record = await self._log.get(self.stream_id)
            except StoreUnavailable:
                _LOG.warning("stream %s: its log does not answer", self.stream_id)
                continue
            if record is not None and record.cancelled:
                self.stop(CANCELLED)
