"""What the function writes: lines on its streams, and frames on the log descriptor that Lambda gives it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

_HEADER = struct.Struct(">IIQ")
# Lambda's frame types are this and, in the lowest bits, the format and the level.
_FRAME_FAMILY = 0xA55A0000


class Lines:
    """Lines of text out of bytes that come as they come."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def end(self) -> list[str]:
        """What has no newline after it."""
        return [self._pending.decode("utf-8", "replace")] if self._pending else []


class LogFrames:
    """Messages out of frames: type, length and microseconds, big endian, 4, 4 and 8 bytes, then the message."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """The messages that ``data`` completes, one by one however many lines they have."""
        self._pending += data
        messages = []
        while len(self._pending) >= _HEADER.size:
            kind, length, _ = _HEADER.unpack_from(self._pending)
            if kind & 0xFFFF0000 != _FRAME_FAMILY:
                messages.append(f"broken log frame: {self._pending[:32]!r}")
                self._pending = b""
                break
            if len(self._pending) < _HEADER.size + length:
                break
            message = self._pending[_HEADER.size : _HEADER.size + length]
            messages.append(message.decode("utf-8", "replace").rstrip("\n"))
            self._pending = self._pending[_HEADER.size + length :]
        return messages

    def end(self) -> list[str]:
        """What is left of a frame that never became whole."""
        return [f"broken log frame: {self._pending[:32]!r}"] if self._pending else []


async def follow(reader: asyncio.StreamReader, parts: Lines | LogFrames, say: Callable[[str], None]) -> None:
    """Say what comes, to the end."""
    while data := await reader.read(65536):
        for part in parts.feed(data):
            say(part)
    for part in parts.end():
        say(part)
