"""The markers of an answer, while it is written: found, checked, renumbered, and every made-up one left out.

``Candidate`` says what may be a marker, ``Markdown`` whether it is one where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from citestream.answer.markdown import Markdown
from citestream.answer.marker_grammar import FIRST, OPENERS, Candidate, Outcome, numbers

# Before these, a made-up marker takes the space in front of it along.
_NO_SPACE_BEFORE: Final = frozenset(" \t\r\n.,;!?)。，、；！？）")
# These must not move up to what stands in front of it: together they could open code, maths, a link, a definition.
_NOT_TO_JOIN: Final = frozenset("`$~](:")
# Left where it broke off another candidate. One space may stand in `[1 , 3]`, two may not.
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Mark:
    """The marker ``[number]``, which begins at code point ``offset`` of the outgoing text."""

    offset: int
    number: int


class Markers:
    """Turns an answer, piece by piece, into one whose markers are ``[1]`` to ``[m]``, in order of first appearance.

    ``passages`` is how many the model was given; it counts them from 1. What goes out is the same however the answer
    is cut into pieces. At most 64 code points are held back, and only what may become a marker.
    """

    def __init__(self, passages: int) -> None:
        #: ``sources[k - 1]`` is the passage that the outgoing marker ``[k]`` stands for.
        self.sources: list[int] = []
        #: The outgoing markers, in order.
        self.marks: list[Mark] = []
        #: How many numbers were left out because there is no such passage.
        self.invalid = 0
        self._passages = passages
        self._numbers: dict[int, int] = {}
        self._markdown = Markdown()
        self._held: Candidate | None = None
        self._out: list[str] = []
        self._length, self._last = 0, ""
        self._closed = False

    def feed(self, text: str) -> str:
        """The part of the answer that may go out now, perhaps none of it. Raises ValueError after ``close``."""
        self._check_open()
        at = 0
        while at < len(text):
            end = at if self._held else self._markdown.plain(text, at)
            if end > at:
                self._emit(text[at:end])
                at = end
            else:
                self._step(text[at])
                at += 1
        return self._taken()

    def close(self) -> str:
        """The rest of the answer. Raises ValueError when called again."""
        self._check_open()
        while self._held:
            self._settle(self._held, self._held.end(), "")
        self._emit(self._markdown.end())
        self._closed = True
        return self._taken()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the answer has been closed: nothing can follow it")

    def _taken(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def _emit(self, text: str) -> None:
        if text:
            self._out.append(text)
            self._length += len(text)
            self._last = text[-1]

    def _pass(self, text: str) -> None:
        self._emit("".join(map(self._markdown.step, text)))

    def _step(self, char: str) -> None:
        if self._held is None:
            self._start(char)
        elif outcome := self._held.add(char):
            self._settle(self._held, outcome, char)

    def _start(self, char: str, *, torn: bool = False) -> None:
        if char in FIRST and self._markdown.live:
            self._held = Candidate(char, torn=torn)
        else:
            self._pass(char)

    def _settle(self, held: Candidate, outcome: Outcome, following: str) -> None:
        """Let go of what is held, and of the character that decided what it is."""
        self._held = None
        if outcome == "text":
            self._pass(held.text)
            self._start(following, torn=following in OPENERS and held.text != " ")
        elif outcome == "link" and not self._markdown.doubtful:
            self._pass(self._apart(held.parts().space) + held.link())
            self._markdown.link()
            self._start(following)
        else:
            self._marker(held, following)

    def _marker(self, held: Candidate, following: str) -> None:
        space, outer, body, tail = held.parts()
        rest = tail + following
        # Who cites code right behind its closing fence means the code to end there; for Markdown it would not.
        end_of_line = "\n" if self._markdown.at_fence_end else ""
        if end_of_line or outer:
            self._pass(space + end_of_line + outer)
            space = ""
        found = numbers(body)
        if self._is_label(space, found, rest):
            self._pass(space)
            rest = self._label(held, found, rest)
        elif cited := self._cited(found):
            self._pass(space)
            self._write(cited)
        else:
            self._leave_out(space, torn=held.torn or bool(outer), following=rest[:1])
        for char in rest:
            self._step(char)

    def _valid(self, found: Sequence[int]) -> list[int]:
        return [number for number in found if 1 <= number <= self._passages]

    def _cited_before(self, found: Sequence[int]) -> list[int]:
        return [self._numbers[number] for number in found if number in self._numbers]

    def _cited(self, found: Sequence[int]) -> list[int]:
        """The outgoing numbers of a marker. In a doubtful place only of what is cited already: nothing there may be
        a number's first appearance."""
        if self._markdown.doubtful:
            return self._cited_before(found)
        valid = self._valid(found)
        self.invalid += len(found) - len(valid)
        for number in valid:
            if number not in self._numbers:
                self.sources.append(number)
                self._numbers[number] = len(self.sources)
        return self._cited_before(valid)

    def _write(self, cited: Sequence[int]) -> None:
        self._emit(self._apart())
        for number in cited:
            if not self._markdown.doubtful:
                self.marks.append(Mark(self._length, number))
            self._emit(f"[{number}]")
        self._markdown.marker()

    def _apart(self, space: str = "") -> str:
        """What must come before a marker: ``[[1]]`` would be a way to write ``[1]``, and a bare URL ends at a space."""
        return " " if not space and (self._last == "[" or self._markdown.in_url) else ""

    def _leave_out(self, space: str, *, torn: bool, following: str) -> None:
        if torn:
            self._pass(space + _GAP)
        elif space and following and following not in _NO_SPACE_BEFORE:
            self._held = Candidate(space)
        elif not space and following and following in _NOT_TO_JOIN:
            self._pass(" ")

    def _is_label(self, space: str, found: Sequence[int], rest: str) -> bool:
        return self._markdown.begins_line(space) and rest.startswith(":") and len(self._valid(found)) < 2

    def _label(self, held: Candidate, found: Sequence[int], rest: str) -> str:
        """Write a definition's label, and return what has to follow it.

        Where its passage has been cited, it gets the outgoing number. Otherwise a footnote's, which is no marker to
        anybody, stays as it is, and any other, which is one to some, is left out together with its colon.
        """
        caret = "^" if "^" in held.text else ""
        cited = self._cited_before(found)
        if cited:
            self._emit(f"[{caret}{cited[0]}]")
            self._markdown.label()
            return rest
        if caret:
            self._pass(held.text.lstrip(" "))
            return rest
        return rest[1:]
