"""A PDF's outline (its bookmarks) as headings: where their titles stand in the text of their pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from citestream.ingest.parsed import Heading

if TYPE_CHECKING:
    from pypdf import PdfReader

_MOST_ITEMS = 10_000


def outline_headings(reader: PdfReader, text: str, page_starts: Sequence[int]) -> tuple[Heading, ...]:
    """The outline's items that stand as lines of their own on the page they point to, in the text's order."""
    bounds = [*page_starts, len(text)]
    found: dict[int, Heading] = {}
    for level, item in _flat(reader.outline, 1):
        page = reader.get_destination_page_number(item)
        words = str(item.title).split()
        if page is None or not words or len(found) == _MOST_ITEMS:
            continue
        title = r"\s+".join(map(re.escape, words))
        line = re.compile(rf"^[ \t]*({title})[ \t]*$", re.MULTILINE)
        for match in line.finditer(text, bounds[page], bounds[page + 1]):
            if match.start(1) not in found:
                found[match.start(1)] = Heading(match.start(1), match.end(1), level, " ".join(words))
                break
    return tuple(found[start] for start in sorted(found))


def _flat(items: Sequence[Any], level: int) -> Iterator[tuple[int, Any]]:
    """pypdf gives an item's children as a list behind it."""
    for item in items:
        if isinstance(item, list):
            yield from _flat(item, level + 1)
        else:
            yield level, item
