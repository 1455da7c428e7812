"""Where in Markdown a growing text is at its end: whether a bracketed number there would be a marker.

It isn't one in these, which are passed on as they are:

* fenced code: from three or more backticks or tildes at a line's start (indented, quoted or in a list as well) to a
  line of as many, or to the text's end. Indented code is text: nobody can tell it from a list's lines.
* inline code: from a run of backticks to a run of as many, or to the line's end.
* maths: from ``$$``, ``\\(`` or ``\\[`` to its closing, or to the paragraph's end; a single ``$`` is text.
* links: the destination after ``](``, and ``<scheme:…>``. A bare URL is text.

In others readers differ: a line that begins with ``[1]:`` or ``[^1]:``, a link's title, what follows an escaped
backtick. These are ``doubtful``: what stands there must be right whether it is taken for a marker or not.

And where the text as it came could be read in two ways, it is mended: maths or a link that is cut off is closed, and
brackets that hold a marker are kept off the parenthesis behind them, which would make a link of them.
"""

from __future__ import annotations

import re
from typing import Final

from citestream.answer.markdown_places import DOUBTFUL, TABLE, VERBATIM, Reading, Row
from citestream.answer.marker_grammar import OPENERS


class Markdown:
    """Reads a text character by character; what comes out of ``step`` goes out."""

    __slots__ = ("_reading", "step")

    def __init__(self) -> None:
        self._reading = Reading()
        self.step = self._reading.step

    @property
    def live(self) -> bool:
        """Whether a bracketed number may be a marker here."""
        return self._reading.place not in VERBATIM

    @property
    def doubtful(self) -> bool:
        """Whether it is one to some readers, and none to others."""
        return self._reading.definition or self._reading.place in DOUBTFUL

    def begins_line(self, space: str) -> bool:
        """Whether what comes after ``space`` is the first of its line, but for the marks of lists and quotations."""
        return self._reading.place == "line" or (self._reading.place == "bullet" and space != "")

    @property
    def at_fence_end(self) -> bool:
        """Whether a fence would close here, if nothing followed on its line."""
        return self._reading.place in ("fence end", "fence end blank")

    @property
    def in_url(self) -> bool:
        return self._reading.place in ("url", "label url")

    def plain(self, text: str, start: int) -> int:
        """The end of what goes out from ``start`` on without a step, because it leads nowhere."""
        pattern = _PLAIN.get(self._reading.place)
        match = pattern.match(text, start) if pattern else None
        return match.end() if match else start

    def open_brackets(self, text: str, start: int) -> int:
        """The same for a run of opening brackets behind another one."""
        run = _BRACKETS.match(text, start) if self._reading.place == "text" else None
        if run is None:
            return start
        self._reading.brackets += run.end() - start
        return run.end()

    def marker(self) -> None:
        """A marker stands here now."""
        self._reading.marker()

    def label(self) -> None:
        """A definition's label stands here now, up to its colon."""
        self._reading.define("")

    def link(self) -> None:
        """What stands here now is a number's link, even if it is never closed."""
        if self._reading.place == "destination":
            self._reading.bracketed = True

    def end(self) -> str:
        """What has to follow the text's last character."""
        return self._reading.mend()


def _plain(place: str, row: Row) -> re.Pattern[str]:
    stops = re.escape("".join(row))
    if place in VERBATIM:
        return re.compile(f"[^{stops}]+")
    openers = re.escape("".join(OPENERS))
    # A space goes through unless it ends the piece or a marker may follow: a made-up one takes it along.
    space = "" if " " in row else f"| (?=[^{openers}])"
    return re.compile(f"(?:[^ {stops}{openers}]++{space})++")


_BRACKETS: Final = re.compile(r"\[+")
# For the places that any other character stays in.
_PLAIN: Final = {place: _plain(place, row) for place, row in TABLE.items() if row[""] == place}
