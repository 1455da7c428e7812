"""What models write beside their answers: found where a line begins, and left out.

    reasoning = "<think>" … "</think>"       also thinking, thought, reasoning
    echo = "<source n=" … "</source>"        also <turn by=…>: how the prompt writes what it shows
    list = heading item+                     **Sources:**, ## References, Quellen: and what follows as list lines

Neither is one in code or maths. A block that is never closed goes on to the answer's end: a model that never stops
reasoning has not answered. A heading is a line of its own, or followed by a number in brackets where the answer has
cited before (``Sources: [1], [2]``); a paragraph that only begins with such a word is text. An item begins with a
number in brackets, an ordinal, a bullet or an echo, and goes on over indented lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from citestream.answer.aside_names import ALONE, HEADINGS
from citestream.answer.marker_grammar import LIMIT

#: How a block opens → the phase it begins in, and how it ends.
_BLOCKS: Final = {
    f"<{name}>": ("block", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "sources")
} | {"<source n=": ("head", "</source>"), "<turn by=": ("head", "</turn>")}
_TAGS: Final = _BLOCKS | {closing: ("after", "") for _, closing in _BLOCKS.values()}


def _prefixes(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:length] for word in words for length in range(1, len(word) + 1))


_TAG_PREFIXES: Final = _prefixes(_TAGS)
_HEADING_PREFIXES: Final = _prefixes(HEADINGS)


class Aside:
    """Text from a line's beginning on that may be none of the answer: held back until that is known, then dropped.

    ``shown`` and ``cited`` say whether the answer has shown any text, and any marker, before it.
    """

    __slots__ = ("_cited", "_closing", "_headed", "_phase", "_tail", "_word", "blank_line", "dropped", "text")

    def __init__(self, *, shown: bool, cited: bool) -> None:
        #: What is held back.
        self.text = ""
        #: Whether any of it has been left out.
        self.dropped = False
        #: Whether a blank line stood behind what has been left out.
        self.blank_line = False
        self._cited = cited
        self._phase = "start" if shown else "first start"
        self._word, self._headed = "", False
        self._closing, self._tail = "", ""

    def add(self, char: str) -> bool:
        """Take the next character in, unless it or what is held is the answer's again."""
        row = _TABLE[self._phase]
        kind = _KINDS.get(char) or ("0" if char.isdecimal() else "")
        move = row[kind] if kind in row else row.get("", "text")
        phase = move if isinstance(move, str) else move(self, char)
        if phase == "text" or len(self.text) == LIMIT:
            return False
        self._phase = phase
        if phase in _DROPPED:
            self.text, self.dropped = "", True
        else:
            self.text += char
        return True

    def end(self) -> str:
        """What is held, if nothing follows and it is the answer's: a heading and an item's beginning are not."""
        return "" if self.dropped or self._headed else self.text

    # What decides by more than a character.

    def letter(self, char: str) -> str:
        self._word += char.casefold()
        return "word" if self._word in _HEADING_PREFIXES else "text"

    def space(self, char: str) -> str:
        return self.letter(" ") if f"{self._word} " in _HEADING_PREFIXES else self.word_end(char)

    def word_end(self, char: str) -> str:
        self._headed = self._word.rstrip() in HEADINGS
        if not self._headed:
            return "text"
        return "below" if char == "\n" else "heading end"

    def rule(self, char: str) -> str:
        line = self.text.rstrip()
        return "below rule" if len(line) >= 3 and line in (len(line) * mark for mark in "-*_") else "text"

    def in_line(self, char: str) -> str:
        return "in line" if self._cited and self._word.rstrip() not in ALONE else "text"

    def tag(self, char: str) -> str:
        self._tail += char.casefold()
        phase, self._closing = _TAGS.get(self._tail, ("", ""))
        if phase:
            self._tail = ""
            return self.closed(char) if phase == "after" else phase
        return "tag" if self._tail in _TAG_PREFIXES else "text"

    def inside(self, char: str) -> str:
        self._tail += char.casefold()
        if self._tail == self._closing:
            self._tail = ""
            return self.closed(char)
        if not self._closing.startswith(self._tail):
            self._tail = char if char == "<" else ""
        return "block"

    def closed(self, char: str) -> str:
        self.blank_line = False
        return "item" if self._headed else "after"

    def item_end(self, char: str) -> str:
        self.blank_line = False
        return "line end"

    def line(self, char: str) -> str:
        self.blank_line = True
        return "after line" if self._phase == "after line" else "line end"


Move = str | Callable[[Aside, str], str]
Row = dict[str, Move]


def _all(kinds: str, move: Move) -> Row:
    return dict.fromkeys(kinds, move)


_KINDS: Final = (
    dict.fromkeys(" \r\u00a0\u202f\u3000", " ")
    | dict.fromkeys("*_", "*")
    | dict.fromkeys("-+•–", "-")
    | dict.fromkeys(":：", ":")
    | dict.fromkeys("[【［", "[")
    | dict.fromkeys("]】］", "]")
    | dict.fromkeys(".)", ".")
    | {char: char for char in "\t\n#^<>/,="}
)
_BLANK: Final = " \t"

_ITEMS: Final[Row] = {"[": "bracket", "0": "ordinal", "-": "bullet", "*": "star", "<": Aside.tag, ">": "quoted"}
_HEADING: Final[Row] = {"#": "mark", "*": "mark", "-": "mark", "": Aside.letter}
_LISTED: Final[Row] = _all(_BLANK + "\n", "item")

# phase → kind of the next character ("0": a digit, "": any other) → the next phase, or what finds it. Where a row has
# no "", that is "text": the answer's.
_TABLE: Final[dict[str, Row]] = {
    "first start": {"<": Aside.tag},
    "start": _HEADING | {"<": Aside.tag},
    "mark": _HEADING | _all(_BLANK, "blank") | {"\n": Aside.rule},
    "blank": {"*": "second mark", "\n": Aside.rule, "": Aside.letter},
    "second mark": {"*": "second mark", "": Aside.letter},
    "below rule": _all(_BLANK + "\n", "below rule") | {"#": "mark", "*": "mark", "": Aside.letter},
    "word": _all("\n*#:\t", Aside.word_end) | {" ": Aside.space, "": Aside.letter},
    "heading end": _all(_BLANK + "*#:", "heading end") | {"\n": "below", "[": Aside.in_line},
    "in line": {"[": "in line", "^": "in line", "0": "item"},
    "below": _ITEMS | _all(_BLANK + "\n>", "below") | {"=": "underline"},
    "underline": _all("-=", "underline") | _all(_BLANK + "\n", "below"),
    "bracket": {"[": "bracket", "^": "bracket", "0": "number"},
    "number": _all("0^", "number") | _all("],-", "item"),
    "ordinal": {"0": "ordinal", ".": "point"},
    "point": _LISTED,
    "bullet": _LISTED | {"-": "underline"},
    "star": _LISTED | {"*": "bold"},
    "bold": {"*": "bold", "[": "bracket"},
    "item": {"\n": Aside.item_end, "": "item"},
    "line end": _ITEMS | {" ": "indent", "\t": "indented", "\n": Aside.line},
    "quoted": _ITEMS | {" ": "indent", "\t": "indented", "\n": Aside.line},
    "indent": _ITEMS | {" ": "indented", "\t": "indented", "\n": Aside.line},
    "indented": _all(_BLANK, "indented") | {"\n": Aside.line, "": "item"},
    "tag": {"": Aside.tag},
    "head": {"/": "head slash", ">": "block", "": "head"},
    "head slash": {"/": "head slash", ">": Aside.closed, "": "head"},
    "block": {"": Aside.inside},
    "after": _all(_BLANK, "after") | {"\n": "after line"},
    "after line": _all(_BLANK, "after line") | {"\n": Aside.line},
}
_DROPPED: Final = frozenset({"item", "line end", "indented", "head", "head slash", "block", "after", "after line"})

#: What an aside may begin with.
FIRST: Final = frozenset("#*_-+<") | {each for word in HEADINGS for each in (word[0], word[0].upper())}
