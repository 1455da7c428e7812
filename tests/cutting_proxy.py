"""A TCP proxy on loopback that cuts its first connections after so many bytes of the server's, then cuts no more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """``cuts`` counts the connections that were cut."""

    def __init__(self, target: str, after: Sequence[int]) -> None:
        address = urlsplit(target)
        self._target = (address.hostname, address.port)
        self._after = list(after)
        self.cuts = 0
        self.url = ""
        # Asyncio holds what waits for a stream by weak references alone.
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0) as server:
            self.url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
            started.set()
            await stop.wait()
        while self._serving:
            await asyncio.wait(self._serving)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connection(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await task

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = self._after.pop(0) if self._after else None
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        requests = asyncio.create_task(_copy(reader, upstream_writer, None))
        requests.add_done_callback(lambda _: upstream_writer.close())
        if await _copy(upstream_reader, writer, limit):
            self.cuts += 1
            writer.transport.abort()
        writer.close()
        for each in (writer, upstream_writer):
            with suppress(ConnectionError):
                await each.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> bool:
    """Copy to the end, or up to the limit; whether the limit came first."""
    copied = 0
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            room = len(data) if limit is None else limit - copied
            writer.write(data[:room])
            await writer.drain()
            copied += len(data)
            if limit is not None and copied >= limit:
                return True
    return False


@contextmanager
def cutting(target: str, after: Sequence[int]) -> Iterator[CuttingProxy]:
    """Proxy to ``target`` until the block ends."""
    proxy = CuttingProxy(target, after)
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(started, stop)), name="proxy")
    thread.start()
    started.wait(60)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()
