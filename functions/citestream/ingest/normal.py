"""The normal form of all text: what offsets count in, whatever format it came from."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_LINE_END = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Controls, soft hyphens and byte order marks: nothing that a reader sees.
_DROPPED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\ufeff]+")
_HARD_SPACE = re.compile(r"[\xa0\u2007\u202f]")
_BLANK_LINES = re.compile(r"\n{3,}")
# More marks on one character than this are dropped: no script needs them, and sorting them is quadratic in the
# standard library. 30 is the limit of the Stream-Safe Text Format, UAX #15.
_MAX_MARKS = 30


def normalise(text: str) -> str:
    """NFC; LF line ends; no control characters but LF and tab, no surrogates, no BOM or soft hyphen; plain spaces
    for hard ones; no white space at the ends of lines; at most one blank line in a row, none at either end.
    """
    text = _LINE_END.sub("\n", text)
    text = _HARD_SPACE.sub(" ", _DROPPED.sub("", text))
    text = _composed(_without_surrogates(text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _without_surrogates(text: str) -> str:
    """Pairs become the character they stand for, lone ones U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _composed(text: str) -> str:
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    return unicodedata.normalize("NFC", _excess_marks().sub(r"\1", text))


@cache
def _excess_marks() -> re.Pattern[str]:
    last = 0x1E94A  # the last character with a canonical combining class
    marks = "".join(char for char in map(chr, range(0x300, last + 1)) if _is_mark(char))
    return re.compile(f"([{marks}]{{{_MAX_MARKS}}})[{marks}]+")


def _is_mark(char: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFD", char)[0]) != 0
