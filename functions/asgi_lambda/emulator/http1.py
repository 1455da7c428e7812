"""HTTP/1.1 for a server, on asyncio streams: h11 judges the heads, the bodies are decoded here, for speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import h11

from asgi_lambda.emulator.chunked import ChunkDecoder, LengthDecoder, ProtocolError

Headers = tuple[tuple[str, str], ...]

# Lambda takes 1 MB of request line and headers.
_LONGEST_HEAD = 1 << 20


class Truncated(ProtocolError):
    """The peer was gone before the end of its message."""


@dataclass(frozen=True)
class Head:
    """A request without its body; header names as they were sent."""

    method: str
    target: str
    version: str
    headers: Headers

    def get(self, name: str) -> str | None:
        """The header's values, joined by ", "; None if it is absent."""
        values = [value for each, value in self.headers if each.lower() == name]
        return ", ".join(values) if values else None


class Connection:
    """One client's connection: request after request, each with its body read to the end or the connection closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.peer: str = writer.get_extra_info("peername")[0]
        self._reader = reader
        self._data = b""

    @property
    def gone(self) -> bool:
        return self.writer.is_closing()

    async def request(self) -> tuple[Head, Body] | None:
        """The next request; None if the peer has closed the connection. Raises ``ProtocolError``."""
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > _LONGEST_HEAD:
                raise ProtocolError(f"a request head of more than {_LONGEST_HEAD} bytes")
            if not (data := await self.read()):
                if self._data:
                    raise Truncated("the connection ended within a request head")
                return None
            self._data += data
        raw, self._data = self._data[: end + 4], self._data[end + 4 :]
        head, decoder, waits = _parse(raw)
        return head, Body(self, decoder, raw, waits_for_continue=waits)

    async def read(self) -> bytes:
        """What has arrived, at least one byte; empty at the end, however it came."""
        try:
            return await self._reader.read(65536)
        except ConnectionError:
            return b""

    def take(self) -> bytes:
        """What was read beyond the last message."""
        data, self._data = self._data, b""
        return data

    def give_back(self, data: bytes) -> None:
        self._data = data

    def reply(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"", *, length: int | None = None
    ) -> None:
        """Send a whole response."""
        fields = [*headers, ("Content-Length", str(len(body) if length is None else length))]
        self.write(head_bytes(status, fields) + body)

    def write(self, data: bytes) -> None:
        """Send what can still be sent: a peer that is gone is nobody's error here."""
        if not self.gone:
            self.writer.write(data)

    def end(self) -> None:
        """Close the connection once all is sent; the peer sees whether something is missing."""
        self.writer.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


class Body:
    """A request's body as it arrives. ``wire`` is the whole request as bytes when ``keep`` was set before reading."""

    def __init__(
        self,
        connection: Connection,
        decoder: ChunkDecoder | LengthDecoder,
        raw_head: bytes,
        *,
        waits_for_continue: bool,
    ) -> None:
        self.decoder = decoder
        self.keep = False
        self._connection = connection
        self._wire = bytearray(raw_head)
        self._waits = waits_for_continue

    @property
    def wire(self) -> bytes:
        return bytes(self._wire)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, each piece when it arrives, none empty. Raises ``Truncated`` and ``ProtocolError``."""
        if self._waits and not self.decoder.done:
            self._waits = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        data = self._connection.take()
        while True:
            piece = self.decoder.feed(data)
            if self.keep:
                self._wire += data[: len(data) - len(self.decoder.rest)] if self.decoder.done else data
            if piece:
                yield piece
            if self.decoder.done:
                break
            if not (data := await self._connection.read()):
                raise Truncated("the connection ended within a request body")
        self._connection.give_back(self.decoder.rest)

    async def whole(self, limit: int) -> bytes | None:
        """All of it; None if it is longer than ``limit`` bytes, and the rest is then left unread."""
        collected = bytearray()
        async for piece in self.pieces():
            collected += piece
            if len(collected) > limit:
                return None
        return bytes(collected)


def _parse(raw: bytes) -> tuple[Head, ChunkDecoder | LengthDecoder, bool]:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
    parser.receive_data(raw)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise ProtocolError(str(error)) from error
    assert isinstance(event, h11.Request)
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers.raw_items())
    head = Head(event.method.decode(), event.target.decode("latin-1"), event.http_version.decode(), headers)
    decoder: ChunkDecoder | LengthDecoder
    decoder = ChunkDecoder() if head.get("transfer-encoding") else LengthDecoder(int(head.get("content-length") or 0))
    return head, decoder, parser.they_are_waiting_for_100_continue


def head_bytes(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A response's head on the wire."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
