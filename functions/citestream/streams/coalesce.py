"""Fewer, larger token events: what a model writes within a moment becomes one frame and one entry of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from citestream.model import Event, Token


async def _free() -> bool:
    return False


async def coalesce(
    events: AsyncGenerator[Event], seconds: float, size: int, free: Callable[[], Awaitable[bool]] = _free
) -> AsyncGenerator[Event]:
    """The same events, tokens joined: the first goes out at once, the next ones after ``seconds`` or ``size`` bytes.

    ``free`` waits until the consumer can make use of the next one, and says whether it had to: what has come meanwhile
    is joined, too. With 0 seconds nothing is. The source runs ahead while the consumer is busy. It is closed when this
    generator is.
    """
    queue: asyncio.Queue[Event | _End] = asyncio.Queue(maxsize=64)
    pump = asyncio.create_task(_pump(events, queue))
    loop = asyncio.get_running_loop()
    text, due = "", loop.time()
    try:
        while True:
            event = await _next(queue, due if text else None)
            if isinstance(event, Token):
                text += event.text
                if loop.time() < due and len(text.encode()) < size:
                    continue
            if text and await free() and seconds:
                while not queue.empty() and len(text.encode()) < size and (event is None or isinstance(event, Token)):
                    event = queue.get_nowait()
                    text += event.text if isinstance(event, Token) else ""
            for piece in _pieces(text, size):
                yield Token(piece)
                due = loop.time() + seconds
            text = ""
            if isinstance(event, _End):
                break
            if event is not None and not isinstance(event, Token):
                yield event
        if event.error is not None:
            raise event.error
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


async def _pump(events: AsyncGenerator[Event], queue: asyncio.Queue[Event | _End]) -> None:
    end = _End(None)
    try:
        async with aclosing(events):
            async for event in events:
                await queue.put(event)
    except Exception as error:  # the consumer raises it, after what came before it
        end = _End(error)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The source's own, by which nobody means this task: the consumer must not wait for ever.
        end = _End(RuntimeError(f"the source was cancelled: {error}"))
    await queue.put(end)


async def _next(queue: asyncio.Queue[Event | _End], due: float | None) -> Event | _End | None:
    """The next item, or None where none comes in time."""
    try:
        async with asyncio.timeout_at(due):
            return await queue.get()
    except TimeoutError:
        return None


def _pieces(text: str, size: int) -> Iterator[str]:
    """The text cut to at most ``size`` bytes of UTF-8 each, between code points."""
    data = text.encode()
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end].decode()
        start = end
