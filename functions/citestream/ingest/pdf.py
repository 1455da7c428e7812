"""PDF: the text of each page, in the order the page draws it."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from citestream.ingest.normal import normalise
from citestream.ingest.outline import outline_headings
from citestream.ingest.parsed import Parsed, UnreadableFile, reading

if TYPE_CHECKING:
    from pypdf import PdfReader

_MAX_PAGES = 5_000
_MAX_CHARACTERS = 50_000_000
# A small file can have pages that take for ever: forms within forms, one page thousands of times over.
_MAX_SECONDS = 300.0

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_LETTERS = r"[^\W\d_]+"
_BROKEN_WORD = re.compile(rf"(?<!-)\b({_LETTERS})-\n({_LETTERS})\b")
_HYPHENATED = re.compile(rf"\b{_LETTERS}-{_LETTERS}")
_GAP = "\n\n"

# It reports what it repairs. That concerns no one who asks for the text; what it can't repair, it raises.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def parse_pdf(data: bytes) -> Parsed:
    reader = _opened(data)
    pages = [_cleaned(page) for page in _page_texts(reader)]
    if not any(pages):
        raise UnreadableFile("no text in it (scanned?): run text recognition (OCR) over it first")
    hyphenated = {word for page in pages for word in _HYPHENATED.findall(page)}
    parsed = _joined([_whole_words(page, hyphenated) for page in pages])
    # A broken outline is no reason to refuse a document whose text could be read.
    with suppress(UnreadableFile), reading("broken outline"):
        return replace(parsed, headings=outline_headings(reader, parsed.text, parsed.page_starts))
    return parsed


def _page_texts(reader: PdfReader) -> Iterator[str]:
    deadline = time.monotonic() + _MAX_SECONDS

    def keep_time(*_: object) -> None:
        if time.monotonic() > deadline:
            raise UnreadableFile(f"takes longer than {_MAX_SECONDS:.0f} seconds to read")

    characters = 0
    for number, page in enumerate(reader.pages, start=1):
        with _reading(f"broken PDF, page {number}"):
            keep_time()
            text = page.extract_text(visitor_operand_before=keep_time)
        characters += len(text)
        if characters > _MAX_CHARACTERS:
            raise UnreadableFile(f"more than {_MAX_CHARACTERS:,} characters of text")
        yield text


def _opened(data: bytes) -> PdfReader:
    from pypdf import PdfReader

    with _reading("broken PDF"):
        reader = PdfReader(io.BytesIO(data))
        if len(reader.pages) > _MAX_PAGES:
            raise UnreadableFile(f"{len(reader.pages):,} pages: {_MAX_PAGES:,} is the limit")
    return reader


@contextmanager
def _reading(what: str) -> Iterator[None]:
    from pypdf.errors import DependencyError, FileNotDecryptedError

    with reading(what):
        try:
            yield
        except (DependencyError, FileNotDecryptedError):  # a password, or a cipher that needs another package
            raise UnreadableFile("encrypted: save it without a password") from None


def _cleaned(page: str) -> str:
    return normalise(page.translate(_LIGATURES).replace("\xad\n", ""))


def _whole_words(page: str, hyphenated: set[str]) -> str:
    """Words that were broken at the end of a line; those that the document has hyphenated elsewhere stay so."""

    def whole(word: re.Match[str]) -> str:
        head, tail = word.groups()
        if not (head[-1].islower() and tail[0].islower()):
            return word[0]
        return f"{head}-{tail}" if f"{head}-{tail}" in hyphenated else head + tail

    return _BROKEN_WORD.sub(whole, page)


def _joined(pages: list[str]) -> Parsed:
    """An empty page starts where the page after it starts."""
    starts = []
    length = 0
    for page in pages:
        starts.append(length)
        length += len(page) + len(_GAP) if page else 0
    text = _GAP.join(page for page in pages if page)
    return Parsed(text, page_starts=tuple(min(start, len(text)) for start in starts))
