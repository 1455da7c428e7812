"""A server of HTTP/1.1 connections that can be ended at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from asgi_lambda.emulator.chunked import ProtocolError
from asgi_lambda.emulator.http1 import Body, Connection, Head, Truncated

# Answers one request; whether the connection can carry another.
Handler = Callable[[Connection, Head, Body], Awaitable[bool]]


class Server:
    """``address`` is where it listens once ``start`` has returned."""

    def __init__(self, handler: Handler, say: Callable[[str], None]) -> None:
        self.address: tuple[str, int] = ("", 0)
        self._handler = handler
        self._say = say
        self._connections: dict[asyncio.Task[None], Connection] = {}

    async def start(self, host: str, port: int, *, receive_buffer: int | None = None) -> None:
        """Raises ``OSError`` if the address can't be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        if receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.address = listener.getsockname()[:2]
        self._server = await asyncio.start_server(self._connected, sock=listener)

    async def aclose(self) -> None:
        """Cut every connection; nothing of this server runs any more when it returns."""
        self._server.close()
        for task, connection in self._connections.items():
            connection.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio does so by itself for sockets that it has made: else the end of a response waits for 40 ms.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(reader, writer)
        task = asyncio.create_task(self._serve(connection))
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)

    async def _serve(self, connection: Connection) -> None:
        try:
            while (request := await connection.request()) and await self._handler(connection, *request):
                pass
        except Truncated:
            pass  # nobody is left to be answered
        except ProtocolError as error:
            self._say(f"not HTTP/1.1: {error}")
            connection.reply(400, [("Connection", "close")])
        finally:
            connection.writer.close()
