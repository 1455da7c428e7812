"""What the emulator says: a line a request, what went wrong, and the trace of the bodies."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from asgi_lambda.emulator.record import Invocation

_RED = "\x1b[31m"
_PLAIN = "\x1b[0m"


class Report:
    """Says it line by line; red where a person looks at a terminal."""

    def __init__(self, say: Callable[[str], None], *, trace: bool) -> None:
        self._say = say
        self._trace = trace

    def piece(self, record: Invocation, arrived: float) -> Callable[[bytes], None]:
        """What is told of each piece of this invocation's body, as it goes out: frames, comments, heartbeats."""
        if not self._trace:
            return lambda piece: None

        def say(piece: bytes) -> None:
            beginning = piece[:60].decode("utf-8", "replace")
            elapsed = (time.monotonic() - arrived) * 1000
            self._say(f"  environment {record.environment} {elapsed:9.1f} ms  {len(piece):6} bytes  {beginning!r}")

        return say

    def done(self, record: Invocation) -> None:
        """An invocation is over."""
        self._say(line(record))
        if record.error_type:
            self.red(f"  {record.error_type}: {record.error}")
        for note in record.notes:
            (self.red if note.startswith("MODE MISMATCH") else self.say)(f"  {note}")

    def say(self, text: str) -> None:
        self._say(text)

    def red(self, text: str) -> None:
        self._say(f"{_RED}{text}{_PLAIN}" if sys.stdout.isatty() else text)


def line(record: Invocation) -> str:
    """One invocation in one line."""
    ending = " cut off" if record.aborted else " caller gone" if record.client_gone else ""
    request = f"{record.method} {record.target} {record.status}{ending}"
    if record.start is None:
        return f"{request}, no invocation"
    first = "-" if record.first_byte is None else f"{record.first_byte * 1000:.1f} ms"
    times = f"duration {record.duration * 1000:.1f} ms, billed {record.billed_ms} ms"
    start = f"environment {record.environment}, {_start(record)}"
    return f"{request}, first byte {first}, {record.frames} frames, {record.body_bytes} bytes, {times}, {start}"


def _start(record: Invocation) -> str:
    parts = [f"{record.start} start"]
    if record.init is not None:
        parts.append(f"{record.init * 1000:.0f} ms")
    if record.restore is not None:
        parts.append(f"{record.restore * 1000:.0f} ms")
    return " ".join(parts)
