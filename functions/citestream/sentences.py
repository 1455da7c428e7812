"""Where sentences are: spans of a text, shared by chunking, the extractive answerer and the choice of excerpts."""

from __future__ import annotations

import re

# A sentence ends at . ! ? … (closing quotes and brackets included) before white space, at a CJK full stop, at a
# blank line, or at a line that ends a list item or heading (the next line starts one).
_END = re.compile(
    r"""
      [.!?…]+["'”’»)\]]*(?=\s)      # Latin, Greek, Cyrillic …
    | [。！？｡]+[」』”’）]*           # Chinese, Japanese: no space follows
    | (?:।|॥|؟|۔)(?=\s|$)           # Devanagari, Arabic, Urdu
    | \n[ \t]*\n                    # a paragraph's end
    | \n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)]|\#{1,6}|\||```|~~~)\s?)   # before a list item, heading, table row, fence
    | (?<=\|)\n | (?<=^)\#{1,6}[^\n]*\n
    """,
    re.VERBOSE | re.MULTILINE,
)
# What a full stop after it does not end: titles, initials, common abbreviations of a few languages.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|cf|al|No|Nr|Fig|Figs|Eq|Sec|Vol|pp?|approx|incl|resp|bzw|ca|Abb|Inc|Ltd|Co)"
    r"|\be\.g|\bi\.e|\bz\.\s?B|\bd\.\s?h|\bu\.\s?a|\b[A-Z]|^\s*\d{1,3})\.$"
)


def sentences(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """The spans of the sentences of ``text[start:end]``, in order, without the white space around them.

    Every character that is not white space lies in exactly one of them.
    """
    stop = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, stop):
        if _goes_on(text, begin, match, stop):
            continue
        _add(spans, text, begin, match.end())
        begin = match.end()
    _add(spans, text, begin, stop)
    return spans


def _goes_on(text: str, begin: int, match: re.Match[str], stop: int) -> bool:
    if match.group()[0] != ".":
        return False
    if _ABBREVIATION.search(text, max(begin, match.end() - 12), match.end()):
        return True
    following = text[match.end() : min(stop, match.end() + 3)].lstrip(" ")
    return following[:1].islower()


def _add(spans: list[tuple[int, int]], text: str, begin: int, end: int) -> None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin < end:
        spans.append((begin, end))
