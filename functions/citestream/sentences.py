"""Where sentences are: spans of a text, shared by chunking, the extractive answerer and the choice of excerpts.

Rules, no model: blocks first (paragraphs, headings, list items, table rows), then the stops within each block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

# What ends a block. White space is consumed, so that a block's end is the next one's start.
_BLOCK_END = re.compile(
    r"""
      \n[^\S\n]*\n                                       # a blank line
    | \n(?=[^\S\n]*(?:[-*+•]\s|\d{1,3}[.)]\s|>|\#{1,6}\s|```|~~~))   # the next line is an item, a quote …
    | ^[^\S\n]*(?:\#{1,6}\s|```|~~~|---|===)[^\n]*\n     # a heading, a fence, a rule
    | ^[^|\n]*\|[^\n]*\n                                 # a table row
    """,
    re.VERBOSE | re.MULTILINE,
)
# Stops of scripts that put white space after a sentence, with what may close it (quotes, brackets, emphasis, a
# reference such as [1]); and those of Chinese and Japanese, which don't.
_STOP = re.compile(
    r"""
      (?<![.!?…।॥؟۔։።។])[.!?…।॥؟۔։።។]++(?:["'”’“»«›‹)\]*_`]|\[\d{1,3}\])*+(?=\s|\Z)
    | [。！？｡]+[」』”’）】〕]*
    """,
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'“‘„«‹/]+\Z")
# Bounded: text without white space would be read to its end for each stop.
_WORD_AFTER = re.compile(r"\s*([^\s]{1,64})")
_PUNCTUATION = re.compile(r"[,;:?…)\]}]|!(?!\[)|\.(?!\w)")  # but not an image's start, nor .NET
_WINDOW = 16  # the longest abbreviation with what may stand before it

# Abbreviations that another word follows, whatever its case.
_TITLE = re.compile(
    r"(?:Mr|Mrs|Ms|Dr|Drs|Prof|St|Rev|Gen|Sen|Gov|Capt|Lt|Col|Hr|Fr|Dipl|Ing|vs|cf|viz|eg|ie|resp|bzw|vgl|inkl|zzgl"
    r"|[A-Z]|(?:[A-Za-z]\.)+[A-Za-z])"
)
_LETTER = re.compile(r"[^\W\d_]\.")  # as in "z. B."
# Abbreviations that end no sentence before a number or in front of a lower-case word; longer words than these and
# `_SHORT` end theirs even so, or text without capitals would have no sentences.
_NUMBERED = re.compile(
    r"(?:Nos?|Nr|Figs?|Eqs?|Secs?|Ch|Chap|Vols?|Art|Abs|Abb|Tab|Kap|Bd|Refs?|Ex|App|pp?|ca|approx|al|Corp|Dept|Univ"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Okt|Nov|Dec|Dez)",
    re.IGNORECASE,
)
_SHORT = 3
_NUMBER = re.compile(r"[(\[§]*(?:\d|[A-Z]\d|[IVX]+\b)")
_ENUMERATOR = re.compile(r"[^\S\n]*(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})(?:\.\d{1,3})*")
_MONTH = re.compile(
    r"(?:Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
    r"|Jahrhundert|Quartal|Auflage|Kapitel|Klasse|Stock|Tag|Platz)"
)


def sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """The spans of the sentences of ``text[start:end]``, in order, without the white space around them.

    Every character that is not white space lies in exactly one of them.
    """
    spans = []
    for block_start, block_end in _blocks(text, start, len(text) if end is None else end):
        begin = block_start
        for stop in _stops(text, block_start, block_end):
            spans.append(_trimmed(text, begin, stop))
            begin = stop
        spans.append(_trimmed(text, begin, block_end))
    return [span for span in spans if span[0] < span[1]]


def _blocks(text: str, start: int, end: int) -> Iterator[Span]:
    begin = start
    for match in _BLOCK_END.finditer(text, start, end):
        yield begin, match.end()
        begin = match.end()
    yield begin, end


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    begin = start
    for match in _STOP.finditer(text, start, end):
        if not _goes_on(text, begin, match, end):
            begin = match.end()
            yield begin


def _goes_on(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether the sentence that started at ``begin`` goes on behind the stop."""
    if text[match.start()] in "。！？｡":
        return False
    after = _WORD_AFTER.match(text, match.end(), end)
    if after is None:
        return False
    following = after[1]
    if _PUNCTUATION.match(following):
        return True
    if match.group() != ".":
        return following[0].islower()
    if _ENUMERATOR.fullmatch(text, begin, match.start()):
        return True
    found = _WORD_BEFORE.search(text, max(begin, match.start() - _WINDOW), match.start())
    return _abbreviates(found[0], following) if found else following[0].islower()


def _abbreviates(word: str, following: str) -> bool:
    if _TITLE.fullmatch(word) or (len(word) == 1 and _LETTER.match(following)):
        return True
    if word.isdecimal():
        return len(word) <= 2 and _MONTH.match(following) is not None
    if _NUMBERED.fullmatch(word):
        return following[0].islower() or _NUMBER.match(following) is not None
    return len(word) <= _SHORT and following[0].islower()


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
