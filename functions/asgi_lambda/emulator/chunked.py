"""The chunked transfer coding (RFC 9112, 7.1) as a receiver reads it: strict, without I/O, quick on small chunks."""

from __future__ import annotations

import re
from typing import Literal

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_LONGEST_LINE = 1 << 20
# Lambda's own server, Go's net/http, has a buffer of this size for all of the trailers.
_TRAILER_BYTES = 4096


class ProtocolError(Exception):
    """What arrived is not HTTP/1.1. The message names the offending bytes."""


class ChunkDecoder:
    """``sizes`` are the chunks' as announced. Once ``done``, ``rest`` is what follows the message."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.trailers: list[tuple[str, str]] = []
        self.done = False
        self._data = b""
        self._at = 0
        self._left = 0
        self._trailer_bytes = 0
        self._expected: Literal["size", "end of chunk", "trailer"] = "size"

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in ``data``, however the chunks lie in it. Raises ``ProtocolError``."""
        self._data, self._at = self._data[self._at :] + data, 0
        pieces = []
        while not self.done:
            if self._left:
                piece = self._data[self._at : self._at + self._left]
                pieces.append(piece)
                self._at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
            if (line := self._line()) is None:
                break
            self._read(line)
        return b"".join(pieces)

    def _line(self) -> bytes | None:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            if len(self._data) - self._at > _LONGEST_LINE:
                raise ProtocolError(f"a line of more than {_LONGEST_LINE} bytes in a chunked body")
            return None
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _read(self, line: bytes) -> None:
        if self._expected == "size":
            self._read_size(line)
        elif self._expected == "trailer":
            self._read_trailer(line)
        elif line:
            raise ProtocolError(f"a chunk of {self.sizes[-1]} bytes goes on with {line[:40]!r}")
        else:
            self._expected = "size"

    def _read_size(self, line: bytes) -> None:
        if not (match := _SIZE.fullmatch(line)):
            raise ProtocolError(f"{line[:40]!r} is no chunk size")
        self._left = int(match[1], 16)
        self._expected = "end of chunk" if self._left else "trailer"
        if self._left:
            self.sizes.append(self._left)

    def _read_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _TRAILER_BYTES:
            raise ProtocolError(f"trailers of more than {_TRAILER_BYTES} bytes, which Lambda breaks off")
        if not line:
            self.done = True
        elif match := _TRAILER.fullmatch(line):
            self.trailers.append((match[1].decode("ascii"), match[2].decode("latin-1")))
        else:
            raise ProtocolError(f"{line[:40]!r} is no trailer field")


class LengthDecoder:
    """A body of so many bytes (RFC 9112, 6.2), read the same way."""

    def __init__(self, length: int) -> None:
        self.sizes: list[int] = []
        self.trailers: list[tuple[str, str]] = []
        self.rest = b""
        self._left = length

    @property
    def done(self) -> bool:
        return not self._left

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in ``data``."""
        piece, self.rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece
