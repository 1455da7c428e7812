"""The little of HTTP/1.1 (RFC 9112) that the Runtime API needs, over a socket.

No HTTP client library of Python's sends trailers after a streamed request body, which the Runtime API takes its errors
from; and each chunk must be on its way when ``send`` returns.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass


class RuntimeApiError(OSError):
    """The Runtime API can't be reached, broke off, or refused. An OSError: to an app it means that nobody reads."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the Runtime API; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """One connection, without asyncio's streams, which take longer to set up than a response to its first byte."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        # What the socket has not taken: a write that is cancelled must not leave half a chunk.
        self._unsent = b""
        self._writing = asyncio.Lock()

    @classmethod
    def open(cls, address: str) -> Channel:
        """Connect to ``host:port``, at once, since that is on this machine. Raises RuntimeApiError."""
        host, _, port = address.rpartition(":")
        try:
            connected = socket.create_connection((host.strip("[]"), int(port)), timeout=5)
        except OSError as error:
            raise RuntimeApiError(f"the Runtime API at {address} can't be reached: {error}") from error
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected)

    async def write(self, data: bytes) -> None:
        """Returns when the socket has taken all of it. Raises RuntimeApiError."""
        try:
            self._unsent += data
            if not self._sent():
                async with self._writing:
                    while not self._sent():
                        await self._writable()
        except OSError as error:
            self.close()
            raise RuntimeApiError(f"the Runtime API broke off: {error}") from error

    def _sent(self) -> bool:
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        return not self._unsent

    async def _writable(self) -> None:
        writable = asyncio.Event()
        self._loop.add_writer(self._socket, writable.set)
        try:
            await writable.wait()
        finally:
            self._loop.remove_writer(self._socket)

    async def read_reply(self) -> Reply:
        """Wait for the answer, as long as it takes. Raises RuntimeApiError."""
        try:
            return await _read_reply(self)
        except (OSError, EOFError, ValueError) as error:
            raise RuntimeApiError(f"the Runtime API broke off: {error}") from error

    async def read_until(self, end: bytes) -> bytes:
        """Raises EOFError."""
        while (at := self._received.find(end)) < 0:
            await self._receive()
        return await self.read(at + len(end))

    async def read(self, size: int) -> bytes:
        """Raises EOFError."""
        while len(self._received) < size:
            await self._receive()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    async def _receive(self) -> None:
        if not (data := await self._loop.sock_recv(self._socket, 65536)):
            raise EOFError("it closed the connection")
        self._received += data

    def close(self) -> None:
        self._socket.close()


def request_head(method: str, path: str, address: str, headers: Mapping[str, str]) -> bytes:
    """A request up to its body."""
    return f"{method} {path} HTTP/1.1\r\n{_lines({'Host': address, **headers})}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body; it must not be empty, since that is the end (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Mapping[str, str]) -> bytes:
    return f"0\r\n{_lines(trailers)}\r\n".encode("latin-1")


def _lines(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items())


async def _read_reply(channel: Channel) -> Reply:
    head = (await channel.read_until(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(channel)
    elif "content-length" in headers:
        body = await channel.read(int(headers["content-length"]))
    else:
        body = b""
    return Reply(int(status_line.split(" ", 2)[1]), headers, body)


async def _read_chunks(channel: Channel) -> bytes:
    body = bytearray()
    while size := int((await channel.read_until(b"\r\n")).split(b";")[0], 16):
        body += (await channel.read(size + 2))[:-2]
    while await channel.read_until(b"\r\n") != b"\r\n":
        pass  # trailers
    return bytes(body)
