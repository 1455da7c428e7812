"""The little of HTTP/1.1 (RFC 9112) that the Runtime API needs, over a socket of asyncio's.

No HTTP client library of Python's sends trailers after a streamed request body, which the Runtime API takes its errors
from; and each chunk must be on its way when ``send`` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

# A reply's head has at most so many bytes: Lambda-Runtime-Client-Context and -Cognito-Identity are the long ones.
_HEAD_LIMIT = 1024 * 1024


class RuntimeApiError(OSError):
    """The Runtime API can't be reached, broke off, or refused. An OSError: to an app it means that nobody reads."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the Runtime API; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str) -> Channel:
        """Connect to ``host:port``. Raises RuntimeApiError."""
        host, _, port = address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=_HEAD_LIMIT)
        except OSError as error:
            raise RuntimeApiError(f"the Runtime API at {address} can't be reached: {error}") from error
        # Nothing is held back here: a write is over when the socket has taken it.
        writer.transport.set_write_buffer_limits(high=0)
        return cls(reader, writer)

    async def write(self, data: bytes) -> None:
        """Returns when the socket has taken all of it. Raises RuntimeApiError."""
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise RuntimeApiError(f"the Runtime API broke off: {error}") from error

    async def read_reply(self) -> Reply:
        """Wait for the answer, as long as it takes. Raises RuntimeApiError."""
        try:
            return await _read_reply(self._reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise RuntimeApiError(f"the Runtime API broke off: {error}") from error

    def close(self) -> None:
        self._writer.close()


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


async def _read_reply(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = b""
    return Reply(int(status_line.split(" ", 2)[1]), headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return bytes(body)
