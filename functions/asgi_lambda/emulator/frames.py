"""Server-sent events counted as they pass; of any other body, its pieces."""

from __future__ import annotations


class FrameCounter:
    """``events`` says that blank lines end frames."""

    def __init__(self, *, events: bool) -> None:
        self.count = 0
        self._events = events
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Count the frames that ``data`` completes."""
        if not self._events:
            self.count += 1
            return
        *frames, self._pending = (self._pending + data).replace(b"\r\n", b"\n").split(b"\n\n")
        self.count += len(frames)
