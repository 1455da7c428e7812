"""The markers of an answer, while it is written: found, checked, renumbered, and every made-up one left out.

``Candidate`` says what may be a marker, ``Markdown`` whether it is one where it stands, and ``Aside`` what is none of
the answer: reasoning, an echo of the prompt, a list of sources of the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from citestream.answer import aside
from citestream.answer.aside import Aside
from citestream.answer.markdown import Markdown
from citestream.answer.marker_grammar import FIRST, OPENERS, Candidate, Outcome
from citestream.answer.outgoing import Outgoing

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
    is cut into pieces. At most 64 code points are held back, and only what may become a marker or be left out.
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
        self._held: Candidate | Aside | None = None
        self._out = Outgoing()
        self._closed = False

    def feed(self, text: str) -> str:
        """The part of the answer that may go out now, perhaps none of it. Raises ValueError after ``close``."""
        self._check_open()
        at = 0
        while at < len(text):
            end = self._run(text, at)
            if end == at:
                self._step(text[at])
                end += 1
            at = end
        return self._out.take()

    def close(self) -> str:
        """The rest of the answer. Raises ValueError when called again."""
        self._check_open()
        left_out = False
        while self._held:
            if isinstance(self._held, Candidate):
                self._settle(self._held, self._held.end(), "")
            else:
                left_out = self._end(self._held)
        self._out.write(self._markdown.end())
        self._closed = True
        return self._out.take_last(trimmed=left_out)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the answer has been closed: nothing can follow it")

    def _run(self, text: str, start: int) -> int:
        """Let out what needs no step for each character, and return where it ends."""
        end = start
        if self._held is None:
            end = self._markdown.plain(text, start)
        elif isinstance(self._held, Candidate) and self._held.text == "[[":
            end = self._markdown.open_brackets(text, start)  # two are held all along
        self._out.write(text[start:end])
        return end

    def _pass(self, text: str) -> None:
        self._out.write("".join(map(self._markdown.step, text)))

    def _step(self, char: str) -> None:
        held = self._held
        if held is None:
            self._start(char)
        elif isinstance(held, Candidate):
            if outcome := held.add(char):
                self._settle(held, outcome, char)
        elif not held.add(char):
            self._give_back(held, held.text + char)

    def _start(self, char: str, *, torn: bool = False) -> None:
        if char in FIRST and self._markdown.live:
            self._held = Candidate(char, torn=torn)
        elif char in aside.FIRST and self._markdown.begins_line(""):
            self._held = Aside(shown=self._out.shown, cited=bool(self.marks))
            self._step(char)
        else:
            self._pass(char)

    def _give_back(self, held: Aside, text: str) -> None:
        """Go on with what is the answer's after all. It begins no aside, unless it is behind one."""
        self._held = None
        if not held.dropped:
            self._pass(text[0])
            text = text[1:]
        elif held.blank_line and self._out.shown and not self._out.at_blank_line:
            self._pass("\n")
        for char in text:
            self._step(char)

    def _end(self, held: Aside) -> bool:
        """Whether what is held is left out, as nothing follows."""
        self._held = None
        text = held.end()
        if text:
            self._give_back(held, text)
        return not text

    def _settle(self, held: Candidate, outcome: Outcome, following: str) -> None:
        """Let go of what is held, and of the character that decided what it is."""
        self._held = None
        if outcome == "text" and following in OPENERS and held.text.endswith(2 * following):
            # Of a run of brackets the last two may belong to a marker.
            self._pass(held.text[:-1])
            self._start(following, torn=True)
            self._step(following)
        elif outcome == "text":
            self._pass(held.text)
            self._start(following, torn=following in OPENERS and held.text != " ")
        elif outcome == "link" and not self._markdown.doubtful:
            self._pass(self._apart(held.parts().space) + held.link())
            self._markdown.link()
            self._start(following)
        elif outcome == "list so far":
            self._part(held)
            self._step(following)
        else:
            self._marker(held, following)

    def _part(self, held: Candidate) -> None:
        """Write a list's beginning; its end is held on."""
        space, body = held.split()
        self._held = held
        space = self._end_fence(space)
        if cited := self._cited(held.numbers(body)):
            self._pass(space)
            self._write(cited)
        else:
            held.text = space + held.text

    def _marker(self, held: Candidate, following: str) -> None:
        space, outer, body, tail = held.parts()
        rest = tail + following
        space = self._end_fence(space)
        if outer:
            self._pass(space + outer)
            space = ""
        found = held.numbers(body)
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

    def _end_fence(self, space: str) -> str:
        """Who cites code right behind its closing fence means the code to end there; for Markdown it would not."""
        if not self._markdown.at_fence_end:
            return space
        self._pass(space + "\n")
        return ""

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
        self._out.write(self._apart())
        for number in cited:
            if not self._markdown.doubtful:
                self.marks.append(Mark(self._out.length, number))
            self._out.write(f"[{number}]")
        self._markdown.marker()

    def _apart(self, space: str = "") -> str:
        """What must come before a marker."""
        # `[[1]]` would be a way to write `[1]`, `\\[1]` could be maths, and a bare URL ends at a space.
        return " " if not space and (self._out.last in ("[", "\\") or self._markdown.in_url) else ""

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
        anybody, keeps its own, and any other, which is one to some, is left out together with its colon.
        """
        caret = "^" if "^" in held.text else ""
        cited = self._cited_before(found)
        if cited:
            self._out.write(f"[{caret}{cited[0]}]")
            self._markdown.label()
            return rest
        if caret:
            self._pass(held.text.lstrip(" ").replace("^]", "]"))
            return rest
        return rest[1:]
