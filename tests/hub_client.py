"""A client that asks hubs as the contract has it, where there is no HTTP between them, and what it must have got."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from citestream.errors import StoreUnavailable
from citestream.streams.admission import TooManyAnswers, request_key
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from tests.streams import Produce

T = TypeVar("T")


class Client:
    """Asks as the contract has it: repeats what has failed, comes back to what has broken off, but not for ever."""

    def __init__(self, seed: int, produce: Produce, producer: Hub, reader: Hub) -> None:
        self._seed = seed
        self._produce = produce
        self._producer = producer
        self._reader = reader
        self.key = request_key(f"{seed}", "key", "question")

    async def ask(self) -> str:
        return await self._persistently(self._ask)

    async def _ask(self) -> str:
        if (stream_id := await self._producer.stream_of(self.key)) is None:
            stream_id, _ = await self._producer.admit(f"{self._seed}", self._produce, key=self.key)
        return stream_id

    async def read(self, stream_id: str, hub: Hub) -> list[Entry]:
        """What comes of the stream, by ``hub`` first and then by the other process."""
        read: list[Entry] = []

        async def on() -> list[Entry]:
            nonlocal hub
            numbered = [entry for entry in read if entry.n is not None]
            del read[len(numbered) :]
            here, hub = hub, self._reader
            async for entry in here.follow(stream_id, len(numbered)):
                read.extend([entry] if entry is not None else [])
            if not (read and read[-1].final):
                raise StoreUnavailable("broken off")
            return read

        try:
            return await self._persistently(on)
        except StoreUnavailable:
            return read

    async def stop(self, stream_id: str) -> None:
        with suppress(StoreUnavailable):
            await self._persistently(lambda: self._reader.cancel(stream_id))

    async def _persistently(self, do: Callable[[], Awaitable[T]]) -> T:
        for _ in range(12):
            try:
                return await do()
            except (StoreUnavailable, TooManyAnswers):
                await asyncio.sleep(0.05)
        return await do()


def check(read: Sequence[Entry], kept: Sequence[Entry], answer: Sequence[Entry], *, whole: bool) -> None:
    """What was read is what is kept, as far as it has numbers, and the answer, as far as it is no failure."""
    numbered = [entry for entry in read if entry.n is not None]
    assert numbered == kept[: len(numbered)]
    assert [entry.n for entry in read] == [*range(1, len(numbered) + 1), *[None] * (len(read) - len(numbered))]
    told = [(entry.event, entry.data) for entry in read if entry.event != "failure"]
    assert told == [(entry.event, entry.data) for entry in answer[: len(told)]]
    assert [entry.final for entry in read[:-1]] == [False] * len(read[:-1])
    assert not whole or read[-1].final
