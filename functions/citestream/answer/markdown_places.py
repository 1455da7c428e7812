"""The places of Markdown, as one table: which character leads from where to where, and what is mended on the way.

A place is what has just been read ("dollar"), or what the text stands in ("code"). Brackets, runs of backticks and
closings are counted beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters, digits
from typing import Final

from citestream.answer.marker_grammar import WHITE_SPACE

_AFTER_OPENING_BRACKET: Final = {"line": "label start", "url": "url", "label url": "url"}
_MATHS_CLOSINGS: Final = {"$": "$$", "(": "\\)", "[": "\\]"}


class Reading:
    """How far a text has been read. A step takes its next character, and returns what goes out for it."""

    __slots__ = ("bracketed", "brackets", "closing", "definition", "fence", "place", "run", "seen")

    def __init__(self) -> None:
        self.place = "line"
        self.brackets = 0  # opened in this paragraph, not closed, and no marker since
        self.definition = False  # the line is a definition's
        self.run, self.seen = 0, 0  # how many backticks or tildes opened the code, how many there are towards its end
        self.fence = ""  # the character of a fence
        self.closing = ""  # of maths or a link
        self.bracketed = False  # whether a bracket in these makes it matter that they are closed

    def step(self, char: str) -> str:
        row = TABLE[self.place]
        move = row.get(char) or row[""]
        if isinstance(move, str):
            self.place = move
            return char
        return move(self, char)

    def marker(self) -> None:
        self.brackets = 0
        if self.place in DOUBTFUL:
            self.step("]")  # it may be text like any other there
        else:
            self.place = "marker"

    def newline(self, char: str) -> str:
        if self.definition:
            self.definition, self.brackets = False, 0
        self.place = "line"
        return char

    def blank_line(self, char: str) -> str:
        self.brackets = 0
        return char

    # Brackets.

    def open_bracket(self, char: str) -> str:
        self.brackets += 1
        self.place = _AFTER_OPENING_BRACKET.get(self.place, "text")
        return char

    def close_bracket(self, char: str) -> str:
        self.place = "link text end" if self.brackets else "closed bracket"
        self.brackets = max(0, self.brackets - 1)
        return char

    def close_label(self, char: str) -> str:
        self.brackets = max(0, self.brackets - 1)
        self.place = "label end"
        return char

    def define(self, char: str) -> str:
        self.place, self.definition = "text", True
        return char

    def keep_apart(self, char: str) -> str:
        self.place = "doubtful line" if self.place == "doubtful bracket" else "text"
        return " " + char

    def keep_bracket_apart(self, char: str) -> str:
        return " " + self.open_bracket(char)

    # Code.

    def ticks(self, char: str) -> str:
        self.fence = char if self.place == "line" else ""
        self.place, self.run = "ticks", 1
        return char

    def tildes(self, char: str) -> str:
        self.place, self.run, self.fence = "tildes", 3, char
        return char

    def one_more(self, char: str) -> str:
        self.run += 1
        return char

    def after_ticks(self, char: str) -> str:
        self.place = "info" if self.fence and self.run >= 3 else "code"
        return self.step(char)

    def closing_ticks(self, char: str) -> str:
        self.seen = self.seen + 1 if self.place in ("closing ticks", "code end") else 1
        self.place = "code end" if self.seen == self.run else "closing ticks"
        return char

    def closing_fence(self, char: str) -> str:
        self.seen = 1 if self.place == "fence line" else self.seen + 1
        if char != self.fence:
            self.place = "fence"
        else:
            self.place = "fence end" if self.seen >= self.run else "closing fence"
        return char

    # Maths and links, from their opening to their closing, or to where they are cut off.

    def maths(self, char: str) -> str:
        # An opening `\[` that stays alone is a bracket that may hold a number.
        self.place, self.bracketed = "maths", char == "["
        self.closing = _MATHS_CLOSINGS[char]
        return char

    def half(self, char: str) -> str:
        self.bracketed = self.bracketed or char in "[]"
        self.place = "maths half closed" if char == self.closing[0] else "maths"
        return char

    def other_half(self, char: str) -> str:
        return self.close(char) if char == self.closing[1] else self.half(char)

    def autolink(self, char: str) -> str:
        self.place, self.closing, self.bracketed = "autolink", ">", False
        return char

    def destination(self, char: str) -> str:
        self.place, self.closing, self.bracketed = "destination", ")", False
        return char

    def bracket(self, char: str) -> str:
        self.bracketed = True
        self.place = "autolink" if self.place == "autolink bracket" else self.place
        return char

    def close(self, char: str) -> str:
        self.place, self.bracketed = "text", False
        return char

    def mend(self) -> str:
        """The closing, where brackets need it."""
        mended, self.bracketed = self.closing if self.bracketed else "", False
        return mended

    def maths_line(self, char: str) -> str:
        if self.definition:
            return self.cut_line(char)
        self.place = "maths line"
        return char

    def maths_goes_on(self, char: str) -> str:
        self.place = "maths"
        return self.step(char)

    def cut_paragraph(self, char: str) -> str:
        self.place, self.bracketed, self.brackets = "line", False, 0
        return self.closing + "\n" + self.step(char)

    def cut_line(self, char: str) -> str:
        self.bracketed = False
        return self.closing + self.newline(char)

    def cut_autolink(self, char: str) -> str:
        self.place, self.brackets = "text", 0
        return self.mend() + self.step(char)

    def link_in_autolink(self, char: str) -> str:
        self.brackets = 0
        return self.mend() + self.keep_apart(char)

    def after_destination(self, char: str) -> str:
        self.place = "text" if self.bracketed else "title"
        return self.mend() + char


Move = str | Callable[[Reading, str], str]
Row = dict[str, Move]


def _all(characters: str, move: Move) -> Row:
    return dict.fromkeys(characters, move)


_BLANKS: Final = " \t\r"
_ITEM: Final = "-+*.)" + digits
_SCHEME: Final = ascii_letters + digits + "+.-"
_TEXT: Final[Row] = {
    "": "text",
    "\n": Reading.newline,
    "`": Reading.ticks,
    "$": "dollar",
    "\\": "backslash",
    "<": "angle",
    ":": "colon",
    "[": Reading.open_bracket,
    "]": Reading.close_bracket,
}
_LINE: Final[Row] = {"\n": Reading.newline}
_LABEL: Final[Row] = _TEXT | {"": "label", "]": Reading.close_label}
_ESCAPED: Final[Row] = _LINE | {"": "escaped code", "\\": "escaped backslash"}
_FENCED: Final[Row] = {"": "fence", "\n": "fence line"}
_CLOSING_FENCE: Final[Row] = _all("`~", Reading.closing_fence)
_MATHS: Final[Row] = _all("\\$[]", Reading.half) | {"": "maths", "\n": Reading.maths_line}
_MATHS_LINE: Final[Row] = {"": Reading.maths_goes_on} | _all("`~", Reading.cut_paragraph)
_AUTOLINK: Final[Row] = {"": "autolink", ">": Reading.close, "[": Reading.bracket, "]": "autolink bracket"}
_AUTOLINK_END: Final[Row] = _all(WHITE_SPACE + "`$\\<", Reading.cut_autolink)
_LINK: Final[Row] = {")": Reading.close, "[": Reading.bracket, "\n": Reading.cut_line}

# place → next character ("": any other) → next place, or what finds it and may mend the text.
_LIVE: Final[dict[str, Row]] = {
    "line": _TEXT
    | _all(_BLANKS + ">", "line")
    | _all("-+*", "bullet")
    | _all(digits, "ordinal")
    | {"\n": Reading.blank_line, "~": "tilde"},
    "bullet": _TEXT | _all(_BLANKS, "line"),
    "ordinal": _TEXT | _all(digits, "ordinal") | _all(".)", "bullet"),
    "text": _TEXT,
    "marker": _TEXT | {"(": Reading.keep_apart},
    "closed bracket": _TEXT | {"(": Reading.keep_apart},
    "link text end": _TEXT | {"(": Reading.destination},
    "label start": _TEXT | {"^": "label"},
    "label": _LABEL | {":": "label colon"},
    "label colon": _LABEL | {":": "label colon", "/": "label slash"},
    "label slash": _LABEL | {":": "label colon", "/": "label url"},
    "label url": _LABEL | {"": "label url", ":": "label url"} | _all(WHITE_SPACE + ">", "label") | _LINE,
    "label end": _TEXT | {"(": Reading.destination, ":": Reading.define},
    "dollar": _TEXT | {"$": Reading.maths},
    "colon": _TEXT | {"/": "colon slash"},
    "colon slash": _TEXT | {"/": "url"},
    "url": _TEXT | _all(WHITE_SPACE + ">", "text") | {"": "url", ":": "url", "\n": Reading.newline},
    "angle": _TEXT | _all(ascii_letters, "scheme start"),
    "scheme start": _TEXT | _all(_SCHEME, "scheme"),
    "scheme": _TEXT | _all(_SCHEME, "scheme") | {":": Reading.autolink},
    "tilde": _TEXT | {"~": "two tildes"},
    "two tildes": _TEXT | {"~": Reading.tildes},
    "two backslashes": _TEXT | {"`": "escaped code", "(": Reading.keep_apart, "[": Reading.keep_bracket_apart},
    "code end": _TEXT | {"`": Reading.closing_ticks},
    "escaped code end": _TEXT | {"`": "doubtful line"},
    "fence end": _CLOSING_FENCE | _all(_BLANKS, "fence end blank") | _LINE | {"": "fence"},
    "fence end blank": _all(_BLANKS, "fence end blank") | _LINE | {"": "fence"},
}
#: Where a bracketed number is a marker to some readers, and none to others.
DOUBTFUL: Final[dict[str, Row]] = {
    "title": _LINK | {"": "title"},
    "escaped code": _ESCAPED | {"`": "doubtful line"},
    "escaped backslash": _ESCAPED | {"`": "escaped code end"},
    "doubtful line": _LINE | {"": "doubtful line", "]": "doubtful bracket"},
    "doubtful bracket": _LINE | {"": "doubtful line", "]": "doubtful bracket", "(": Reading.keep_apart},
}
#: Where it is none.
VERBATIM: Final[dict[str, Row]] = {
    "backslash": _TEXT | {"(": Reading.maths, "[": Reading.maths, "`": "escaped code", "\\": "two backslashes"},
    "ticks": {"": Reading.after_ticks, "`": Reading.one_more},
    "code": _LINE | {"": "code", "`": Reading.closing_ticks},
    "closing ticks": _LINE | {"": "code", "`": Reading.closing_ticks},
    "info": {"": "info", "\n": "fence line", "`": Reading.closing_ticks},
    "tildes": {"": "tilde info", "\n": "fence line", "~": Reading.one_more},
    "tilde info": {"": "tilde info", "\n": "fence line"},
    "fence": _FENCED,
    "fence line": _FENCED | _all(_BLANKS + ">", "fence line") | _CLOSING_FENCE,
    "closing fence": _FENCED | _CLOSING_FENCE,
    "maths": _MATHS,
    "maths half closed": _MATHS | _all("\\$)]", Reading.other_half),
    "maths line": _MATHS_LINE
    | _all(_BLANKS + ">", "maths line")
    | _all(_ITEM, "maths item")
    | _all("\n", Reading.cut_paragraph),
    "maths item": _MATHS_LINE | _all(_BLANKS + ">" + _ITEM, "maths item") | {"\n": "maths line"},
    "autolink": _AUTOLINK | _AUTOLINK_END,
    "autolink bracket": _AUTOLINK | _AUTOLINK_END | {"(": Reading.link_in_autolink},
    "destination": _all(WHITE_SPACE, Reading.after_destination) | _LINK | {"": "destination"},
}
TABLE: Final = _LIVE | DOUBTFUL | VERBATIM
