"""How models write markers: the text from an opening bracket to what decides whether it is one.

    marker = " "? open list close, the brackets once or twice, of one family:  [1]  [[1]]  【1】  ［1］
    list = item ("," item)*            also ; & and:  [1, 3]  [1 , 3]  [1; 3]  [1 and 3]  [1, 2, and 3]
         | number (":" digits)? "†" name    【4:0†source】 is passage 4
    item = number ("-" number)?        any dash, each number with "^" around it or not:  [1–3]  [^1]  [^1^]  [^1, ^3]
    number = 1 to 3 decimal digits of any script

Everything else in brackets is text: [1234], [-1], [1.5], [ 1 ], [1,], [1 2], [1-2-3], [1】. A marker with ``(`` after
it is held until it is known whether that makes it a link's text. A list longer than ``LIMIT`` goes out in parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

#: No more than this many code points are held back until it is known what they are.
LIMIT: Final = 60
#: A range over more than this many numbers stands for its two ends.
LONGEST_RANGE: Final = 20

_FAMILIES: Final = {"[": "]", "【": "】", "［": "］"}
OPENERS: Final = frozenset(_FAMILIES)
#: What a candidate begins with.
FIRST: Final = OPENERS | {" "}

#: What the text of a candidate turns out to be.
Outcome = Literal["marker", "link", "list so far", "text"]
_OUTCOMES: Final[dict[str, Outcome]] = {each: each for each in ("marker", "link", "list so far", "text")}

#: What ends a URL: all that a regular expression counts as white space.
WHITE_SPACE: Final = "".join(filter(str.isspace, map(chr, range(0x3001))))

_COMMAS: Final = ",;&，、；،؛"
_DASHES: Final = "-‐‑‒–—―−－"
_SPACES: Final = " \u00a0\u2009\u202f\u3000"
_CLASSES: Final = (
    dict.fromkeys(WHITE_SPACE, "\n")
    | dict.fromkeys(_COMMAS, ",")
    | dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_SPACES, " ")
    | dict.fromkeys([*_FAMILIES.keys(), *_FAMILIES.values()], "other bracket")
)
# What a character is depends on what has been opened: which bracket closes it, and whether it can be a link's text.
_KINDS: Final = {"": _CLASSES | dict.fromkeys(_FAMILIES, "[")} | {
    opener * times: _CLASSES | {opener: "[", closer: "]" * times, "(": "(" if opener == "[" else "other bracket"}
    for opener, closer in _FAMILIES.items()
    for times in (1, 2)
}

# phase → kind of the next character ("0": a digit, "": any other, "limit": none, as the hold is full) → the next
# phase, or the outcome, which never takes the character in. Where a row has no "", that is text.
_CLOSE: Final = {"]": "closed", "]]": "half closed"}
_NUMBER: Final = {"0": "1 digit", "^": "caret"}
_SEPARATOR: Final = {",": "comma", "a": "a"}
_ITEM_END: Final = _CLOSE | {"^": "raised", ",": "comma", "-": "dash", " ": "space after"}
_FIRST_END: Final = _ITEM_END | {":": "part", "†": "name"}
_RANGE_END: Final = _CLOSE | {"^": "raised end", ",": "comma", " ": "space after end"}
_NAME: Final = _CLOSE | {"": "name", "other bracket": "text", "limit": "text"} | dict.fromkeys("[\n`$\\<>", "text")
_NO_DESTINATION: Final = dict.fromkeys(" \n", "marker")
_TABLE: Final[dict[str, dict[str, str]]] = {
    "space": {"[": "open"},
    "open": _NUMBER | {"[": "open twice"},
    "open twice": _NUMBER,
    "caret": {"0": "1 digit"},
    "1 digit": _FIRST_END | {"0": "2 digits"},
    "2 digits": _FIRST_END | {"0": "3 digits"},
    "3 digits": _FIRST_END,
    "raised": _CLOSE | {",": "comma", "-": "dash", " ": "space after"},
    "space after": _SEPARATOR | {"-": "dash"},
    "comma": _NUMBER | {" ": "comma space", "a": "a"},
    "comma space": _NUMBER | {"a": "a"},
    "a": {"n": "an"},
    "an": {"d": "and"},
    "and": {" ": "and space"},
    "and space": _NUMBER,
    "dash": {"0": "1 digit of end", "^": "end caret", " ": "dash space"},
    "dash space": {"0": "1 digit of end", "^": "end caret"},
    "end caret": {"0": "1 digit of end"},
    "1 digit of end": _RANGE_END | {"0": "2 digits of end"},
    "2 digits of end": _RANGE_END | {"0": "3 digits of end"},
    "3 digits of end": _RANGE_END,
    "raised end": _CLOSE | {",": "comma", " ": "space after end"},
    "space after end": _SEPARATOR,
    "part": {"0": "part digits"},
    "part digits": {"0": "part digits", "†": "name", "limit": "text"},
    "name": _NAME | {" ": "name space"},
    "name space": _NAME | {" ": "text"},
    "half closed": {"]]": "closed", "": "marker", "limit": "marker"},
    "closed": {"(": "parenthesis", "": "marker", "limit": "marker"},
    "parenthesis": _NO_DESTINATION | {"": "destination", ")": "link", "[": "marker", "limit": "marker"},
    "destination": _NO_DESTINATION | {"": "destination", ")": "link", "[": "link", "limit": "link"},
}

_BETWEEN: Final = re.compile(f"[{_COMMAS}]|and")
_RANGE: Final = re.compile(rf"(\d+)(?:\^?[{_SPACES}]?[{_DASHES}][{_SPACES}]?\^?(\d+))?")


class Parts(NamedTuple):
    """A marker taken apart: the space before it, an opening bracket too many, what its brackets hold, and what was
    held to know whether it is a link's text."""

    space: str
    outer: str
    body: str
    tail: str


class Candidate:
    """Text that is held back because it may become a marker, or be the space before one."""

    __slots__ = ("_found", "_opens", "_row", "_under_way", "text", "torn")

    def __init__(self, first: str, *, torn: bool = False) -> None:
        self.text = first
        self._row, self._opens = (_TABLE["open"], first) if first in OPENERS else (_TABLE["space"], "")
        #: Whether it broke off another candidate, which would go on if this one were left out.
        self.torn = torn
        self._found: dict[int, None] = {}
        self._under_way = False  # its opening bracket has gone out, with the list's first part

    def add(self, char: str) -> Outcome | None:
        """Take the next character in, or say what the text before it is."""
        if len(self.text) == LIMIT:
            return _OUTCOMES[self._row.get("limit", "list so far")]
        kind = _KINDS[self._opens].get(char) or ("0" if char.isdecimal() else char)
        phase = self._row.get(kind) or self._row.get("", "text")
        if phase in _OUTCOMES:
            return "marker" if phase == "link" and self._under_way else _OUTCOMES[phase]
        self._row = _TABLE[phase]
        self.text += char
        if kind == "[":
            self._opens += char
        return None

    def end(self) -> Outcome:
        """What the text is if nothing follows: the same as at a line's end, which no phase takes in."""
        return self.add("\n") or "text"

    def parts(self) -> Parts:
        space = " " if self.text.startswith(" ") else ""
        opens = "" if self._under_way else self._opens
        closer = _FAMILIES[self._opens[0]]
        body, _, tail = self.text[len(space) + len(opens) :].partition(closer)
        if len(self._opens) == 1:
            return Parts(space, "", body, tail)
        if tail.startswith(closer):
            return Parts(space, "", body, tail[1:])
        return Parts(space, opens[:1], body, tail)

    def split(self) -> tuple[str, str]:
        """Let go of a list's part before its last separator: the space before it, and what it holds."""
        end = self.text.rindex(_BETWEEN.findall(self.text)[-1])
        space, _, body, _ = self.parts()
        body = body[: end - len(self.text)]
        self.text, self._under_way = self.text[end:], True
        return space, body

    def numbers(self, body: str) -> list[int]:
        """The numbers that it holds, each once, in order; a range's from its lower end on."""
        found = dict.fromkeys(number for number in _numbers(body) if number not in self._found)
        self._found |= found
        return list(found)

    def link(self) -> str:
        """The text as a link's, its brackets single: some would take the inner ones of ``[[1]](…)`` for a marker."""
        space, _, body, tail = self.parts()
        return f"{space}[{body}]{tail}"


def _numbers(body: str) -> Iterator[int]:
    for first, last in _RANGE.findall(body.partition("†")[0].partition(":")[0]):
        low, high = sorted((int(first), int(last or first)))
        yield from range(low, high + 1) if high - low < LONGEST_RANGE else (low, high)
