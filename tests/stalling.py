"""Processes that share a log and may stand still: what they ask of it waits until they go on, or for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

from citestream.errors import StoreUnavailable
from citestream.model import Event
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog
from citestream.streams.production import Limits

# What one call of the store, and what is done with its answer, can lead to without another call.
_STEPS = 40


class Traffic:
    """What is being asked of the store, by all processes."""

    def __init__(self) -> None:
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def settled(self) -> None:
        """Returns when nothing happens any more unless time passes."""
        quiet = 0
        while quiet < _STEPS:
            if self._under_way:
                quiet = 0
                await self._idle.wait()
            await asyncio.sleep(0)
            quiet += 1

    async def through(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        self._under_way += 1
        self._idle.clear()
        try:
            return await call(*arguments)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


class Process:
    """A hub whose way to the log can be held up."""

    def __init__(self, log: StreamLog, limits: Limits, traffic: Traffic) -> None:
        self._traffic = traffic
        self._goes = asyncio.Event()
        self._goes.set()
        self._lost = False
        gate = _Gate(self, log)
        gate.admission = _Gate(self, log.admission)
        self.hub = Hub(cast(StreamLog, gate), limits)

    @property
    def awake(self) -> bool:
        return self._goes.is_set()

    def stall(self) -> None:
        self._goes.clear()

    def wake(self) -> None:
        self._goes.set()

    async def aclose(self) -> None:
        """End all that it still does; nothing of that gets to the log."""
        self._lost = True
        self.wake()
        await self.hub.drain()

    async def asked(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        await self._goes.wait()
        if self._lost:
            raise StoreUnavailable("the process is no more")
        return await self._traffic.through(call, *arguments)


class _Gate:
    """Everything that the target can do, when its process goes on."""

    admission: _Gate

    def __init__(self, process: Process, target: object) -> None:
        self._process = process
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._target, name)
        return lambda *arguments: self._process.asked(call, *arguments)


class Told:
    """A source that yields what it is told to."""

    def __init__(self) -> None:
        self._steps: asyncio.Queue[Event | Exception] = asyncio.Queue()

    def __call__(self, stream_id: str) -> AsyncGenerator[Event]:
        return self._events()

    def tell(self, step: Event | Exception) -> None:
        self._steps.put_nowait(step)

    async def _events(self) -> AsyncGenerator[Event]:
        while True:
            step = await self._steps.get()
            if isinstance(step, Exception):
                raise step
            yield step


class Reader:
    """Reads a stream as long as it lasts."""

    def __init__(self, process: Process, stream_id: str, after: int) -> None:
        self.process = process
        self.stream_id = stream_id
        self.after = after
        self.read: list[Entry] = []
        self._reading = asyncio.create_task(self._read(process.hub.follow(stream_id, after)))

    @property
    def ended(self) -> bool:
        """Raises what has gone wrong."""
        return self._reading.done() and self._reading.result() is None

    async def leave(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, entries: AsyncGenerator[Entry | None]) -> None:
        async with aclosing(entries):
            async for entry in entries:
                if entry is not None:
                    self.read.append(entry)
