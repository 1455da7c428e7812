"""An answer's text on its way out."""

from __future__ import annotations

from typing import Final

_LINE_ENDS: Final = ("\r", "\n")
# So many line ends are held back, lest an answer ends with them where what came last was left out.
_HELD: Final = 4


class Outgoing:
    """What has been written and not been taken yet; ``length`` and ``last`` are of all that was ever written."""

    __slots__ = ("_parts", "last", "length", "shown")

    def __init__(self) -> None:
        self._parts: list[str] = []
        #: In code points.
        self.length = 0
        #: The last character, or nothing.
        self.last = ""
        #: Whether any of it can be seen.
        self.shown = False

    @property
    def at_blank_line(self) -> bool:
        # Line ends are written one by one, and not taken at once.
        return "".join(self._parts[-4:]).endswith(("\n\n", "\n\r\n"))

    def write(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self.length += len(text)
            self.last = text[-1]
            self.shown = self.shown or not text.isspace()

    def take(self) -> str:
        """All but the line ends that it may be trimmed by."""
        out = "".join(self._parts)
        self._parts.clear()
        if self.last not in _LINE_ENDS:
            return out
        end = max(len(out.rstrip("\r\n")), len(out) - _HELD)
        self._parts.append(out[end:])
        return out[:end]

    def take_last(self, *, trimmed: bool) -> str:
        """The rest, without the line ends behind it where it is to be trimmed."""
        out = "".join(self._parts)
        return out.rstrip("\r\n") if trimmed else out
