"""The streams of this process and the way to those of others: start, follow, cancel."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from citestream.errors import StoreUnavailable
from citestream.model import Event
from citestream.streams.admission import RequestKey, Slot, TooManyAnswers
from citestream.streams.entry import Entry, to_entry
from citestream.streams.keys import Keys
from citestream.streams.log import Fenced, StreamLog, StreamRecord
from citestream.streams.production import CANCELLED, PRODUCER_LOST, Limits, Production

_LOG = logging.getLogger("citestream.streams")

# How long to wait before looking into the log again for a stream that another process produces, and how often to see
# whether that process still lives.
_POLL_SECONDS = (0.05, 0.1, 0.2, 0.4)
_LOOK_SECONDS = 1.0
# How long a reader waits, after the terminal event, for the production to let go of what it holds.
_CLEAN_UP_SECONDS = 0.5


Produce = Callable[[str], AsyncGenerator[Event]]


class Admitted(NamedTuple):
    """The stream that a request gets: its own, or the one that its key stands for."""

    stream_id: str
    is_new: bool


class Hub:
    """Productions run here as tasks of their own: a reader's leaving doesn't end them."""

    def __init__(self, log: StreamLog, limits: Limits) -> None:
        self.limits = limits
        self._log = log
        self._keys = Keys(log, limits.retention)
        self._live: dict[str, tuple[Production, asyncio.Task[None]]] = {}

    async def start(
        self, owner: str, produce: Produce, deadline: float | None = None, kb_ids: Sequence[str] = ()
    ) -> str:
        """Begin to produce the events of ``produce(stream_id)`` and return the stream's id.

        It ends by ``deadline`` (seconds since 1970) where there is one before its own time limit. ``kb_ids`` are the
        knowledge bases that it is written from. Raises StoreUnavailable.
        """
        stream_id = secrets.token_hex(16)
        await self._begin(Production(stream_id, self._log, self.limits), owner, produce, deadline, kb_ids)
        return stream_id

    async def admit(
        self,
        owner: str,
        produce: Produce,
        deadline: float | None = None,
        kb_ids: Sequence[str] = (),
        key: RequestKey | None = None,
    ) -> Admitted:
        """As ``start`` does, but once for a key, and within the owner's limit; tells in the log how it went.

        Raises KeyReused, TooManyAnswers and StoreUnavailable.
        """
        stream_id = secrets.token_hex(16)
        if key is not None and (other := await self._keys.claim(key, stream_id)) != stream_id:
            return Admitted(other, is_new=False)
        slot = Slot(self._log.admission, owner, stream_id)
        try:
            await self._take(slot)
            production = Production(stream_id, self._log, self.limits, slot)
            task = await self._begin(production, owner, produce, deadline, kb_ids)
        except BaseException as error:
            await self._give_back(None if isinstance(error, TooManyAnswers) else slot, key, stream_id)
            raise
        task.add_done_callback(lambda _: self._tell(production))
        return Admitted(stream_id, is_new=True)

    async def stream_of(self, key: RequestKey) -> str | None:
        """The stream that the key stands for; None for none. Raises KeyReused and StoreUnavailable."""
        return await self._keys.stream_of(key)

    async def _begin(
        self, production: Production, owner: str, produce: Produce, deadline: float | None, kb_ids: Sequence[str]
    ) -> asyncio.Task[None]:
        stream_id, lease_until = production.stream_id, time.time() + self.limits.lease
        record = StreamRecord(stream_id, owner, production.producer, lease_until, kb_ids=tuple(kb_ids))
        await self._log.create(record)
        task = asyncio.create_task(production.run(produce(stream_id), deadline), name=f"production {stream_id}")
        self._live[stream_id] = (production, task)
        task.add_done_callback(lambda _: self._live.pop(stream_id))
        return task

    async def _take(self, slot: Slot) -> None:
        seconds = await slot.take(time.time() + self.limits.lease, self.limits.answers)
        if seconds is not None:
            raise TooManyAnswers(seconds)

    async def _give_back(self, slot: Slot | None, key: RequestKey | None, stream_id: str) -> None:
        """Of a stream that has not begun. What the store does not take back expires."""
        try:
            if slot is not None:
                await slot.release()
            if key is not None:
                await self._keys.withdraw(key, stream_id)
        except StoreUnavailable as error:
            _LOG.warning("stream %s did not begin and may have left a slot or a key: %s", stream_id, error)

    def _tell(self, production: Production) -> None:
        """One line: what an operator asks first. The numbers of readers are of this process, until now."""
        told = production.told() | {"streams_open": len(self._live)}
        _LOG.info("stream ended: %s", " ".join(f"{name}={value}" for name, value in told.items()), extra=told)

    async def record(self, stream_id: str) -> StreamRecord | None:
        """What the log knows of the stream. Raises StoreUnavailable."""
        return await self._log.get(stream_id)

    async def cancel(self, stream_id: str) -> None:
        """End the stream with ``cancelled``, here at once, elsewhere within a second. Raises StoreUnavailable."""
        if stream_id in self._live:
            self._live[stream_id][0].stop(CANCELLED)
        else:
            await self._log.request_cancel(stream_id)

    def follow(self, stream_id: str, after: int = 0) -> AsyncGenerator[Entry | None]:
        """The stream's entries after the ``after``-th, to its end; None for each heartbeat interval of silence.

        Raises StoreUnavailable where the log does not answer for a stream of another process.
        """
        live = self._live.get(stream_id)
        return self._follow_log(stream_id, after) if live is None else self._follow_here(*live, after)

    async def drain(self, grace: float = 0.0) -> None:
        """Let what is being produced go on for ``grace`` seconds, then end the rest, so that no reader waits for it."""
        if running := list(self._live.values()):
            tasks = [task for _, task in running]
            await asyncio.wait(tasks, timeout=grace)
            for production, _ in running:
                production.stop(PRODUCER_LOST)
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """End what is still being produced, and close the log."""
        await self.drain()
        await self._log.aclose()

    async def _follow_here(
        self, production: Production, task: asyncio.Task[None], after: int
    ) -> AsyncGenerator[Entry | None]:
        seen, course = after, production.course
        course.arrived()
        try:
            async with aclosing(production.follow(after)) as entries:
                async for entry in entries:
                    yield entry
                    if entry is not None:
                        seen += 1
                        if entry.final:
                            # Where a process is frozen with its last response, what it still held would hang.
                            await asyncio.wait({task}, timeout=_CLEAN_UP_SECONDS)
                            return
        except (GeneratorExit, asyncio.CancelledError):
            course.left()
            raise
        # Taken over from the producer here: the log has the rest.
        async with aclosing(self._follow_log(production.stream_id, seen)) as rest:
            async for entry in rest:
                yield entry

    async def _follow_log(self, stream_id: str, after: int) -> AsyncGenerator[Entry | None]:
        seen, polls, look_at = after, 0, 0.0
        silent_since = time.monotonic()
        while True:
            for entry in await self._log.read(stream_id, seen):
                seen, polls, silent_since = seen + 1, 0, time.monotonic()
                yield entry
                if entry.final:
                    return
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _LOOK_SECONDS
                if not await self._goes_on(stream_id, seen):
                    return
            await asyncio.sleep(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
            polls += 1
            if time.monotonic() - silent_since >= self.limits.heartbeat:
                silent_since = time.monotonic()
                yield None

    async def _goes_on(self, stream_id: str, seen: int) -> bool:
        """Whether there are, or will be, more than ``seen`` events.

        A lost producer's stream gets the terminal event that says so, from whoever comes first.
        """
        record = await self._log.get(stream_id)
        if record is None or (record.ended_at is not None and record.last <= seen):
            return False
        if record.ended_at is None and record.lease_until <= time.time():
            # A slot may have been renewed when the record could not be: who has seen the end has the slot back.
            await self._log.admission.release_slot(record.owner, stream_id)
            try:
                await self._log.append(stream_id, secrets.token_hex(8), to_entry(PRODUCER_LOST, record.last + 1))
            except Fenced:
                return True
        return True
