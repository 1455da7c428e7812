"""Streams for tests: what a producer yields, and what a reader gets of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from citestream.model import Done, Event
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog, StreamRecord
from citestream.streams.production import Limits

LIMITS = Limits(answer=20, heartbeat=20, lease=10, cancel_poll=0.02, coalesce=0)

Produce = Callable[[str], AsyncGenerator[Event]]


def done(stream_id: str) -> Done:
    return Done(50, "stop", stream_id, {})


def producing(*steps: Event | asyncio.Event | Exception, end: bool = True) -> Produce:
    """Yields the events, waits where one is to be waited for, and raises the errors."""

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        for step in steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step
        if end:
            yield done(stream_id)

    return produce


async def entries(hub: Hub, stream_id: str, after: int = 0) -> list[Entry]:
    return [entry async for entry in hub.follow(stream_id, after) if entry is not None]


async def record_of(log: StreamLog, stream_id: str) -> StreamRecord:
    record = await log.get(stream_id)
    assert record is not None
    return record
