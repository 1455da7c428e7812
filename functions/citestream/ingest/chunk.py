"""From a document's text to its chunks: whole sentences of one section and page, up to some 170 words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from citestream.graphemes import divides
from citestream.ingest.parsed import Heading, Parsed
from citestream.model import Chunk
from citestream.sentences import sentences

MAX_CHARACTERS = 2_000
MAX_SECTION = 300

#: The size of a chunk is counted in pieces, about what an embedding model takes as one token: 220 are some 165 words of
#: English, and the local model reads 256 tokens.
PIECES = 220
# A chunk that has as much of that ends where its paragraph ends.
_ENOUGH = 0.7
# One that has fewer, at a section's end, is evened out with the one before it.
_FEW_PIECES = 50
_PIECE = re.compile(
    r"[\u2e80-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Chinese, Japanese
    r"|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{1,3}"  # Thai, Lao, Burmese, Khmer: no spaces between words
    r"|\d{1,3}|[^\W\d]{1,8}|[^\w\s]"
)
_WORD = re.compile(r"\S+")
_MAX_WORD = 100  # longer ones are cut: base64, or Chinese without a full stop
_PARAGRAPH_END = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of the text that no chunk reaches out of."""

    start: int
    end: int
    page: int | None
    section: str | None


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not divided between chunks: a sentence, or a word of one that is too long."""

    start: int
    end: int
    pieces: int


def chunks(parsed: Parsed, pieces: int = PIECES) -> list[Chunk]:
    """The chunks of a document, in order; they don't overlap, and leave out nothing but white space.

    None is empty, starts or ends with white space, or is longer than ``pieces`` or ``MAX_CHARACTERS``. A heading starts
    a new one and belongs to it; a page's end ends one.
    """
    packer = _Packer(parsed.text, pieces)
    return [chunk for region in _regions(parsed) for chunk in packer.chunks(region)]


def _regions(parsed: Parsed) -> Iterator[_Region]:
    text = parsed.text
    headings = {heading.start: heading for heading in parsed.headings}
    paths = _paths(parsed.headings)
    section = start = None
    for bound, end in pairwise(sorted({0, *headings, *parsed.page_starts, len(text)})):
        start = bound if start is None else start
        section = paths.get(bound, section)
        heading = headings.get(bound)
        if heading and end < len(text) and not text[heading.end : end].strip():
            continue  # a heading with nothing below it goes with the next one
        yield _Region(start, end, bisect_right(parsed.page_starts, start) or None, section)
        start = None


def _paths(headings: Iterable[Heading]) -> dict[int, str]:
    """By each heading's start: the titles of those that it stands under, outermost first, and its own."""
    paths = {}
    above: list[Heading] = []
    for heading in headings:
        while above and above[-1].level >= heading.level:
            above.pop()
        above.append(heading)
        path = " > ".join(each.title for each in above)
        paths[heading.start] = path if len(path) <= MAX_SECTION else path[: MAX_SECTION - 1].rstrip() + "…"
    return paths


@dataclass(frozen=True, slots=True)
class _Packer:
    """Puts the text's sentences together, as long as they have at most so many pieces."""

    text: str
    most: int

    def chunks(self, region: _Region) -> Iterator[Chunk]:
        before: list[_Unit] = []
        last: list[_Unit] = []
        for group in self._groups(region):
            if before:
                yield _chunk(before, region)
            before, last = last, group
        if before and _pieces(last) < _FEW_PIECES:
            before, last = self._evened(before + last)
        yield from (_chunk(group, region) for group in (before, last) if group)

    def _groups(self, region: _Region) -> Iterator[list[_Unit]]:
        group: list[_Unit] = []
        pieces = 0
        for unit in self._units(region):
            if group and not self._goes_with(unit, group, pieces):
                yield group
                group, pieces = [], 0
            group.append(unit)
            pieces += unit.pieces
        if group:
            yield group

    def _goes_with(self, unit: _Unit, group: list[_Unit], pieces: int) -> bool:
        if not self._fits(group[0], unit, pieces + unit.pieces):
            return False
        return pieces < _ENOUGH * self.most or not _PARAGRAPH_END.search(self.text, group[-1].end, unit.start)

    def _fits(self, first: _Unit, last: _Unit, pieces: int) -> bool:
        return pieces <= self.most and last.end - first.start <= MAX_CHARACTERS

    def _evened(self, units: list[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
        """One chunk if it holds all, else two whose sizes differ as little as can be."""
        total = _pieces(units)
        if self._fits(units[0], units[-1], total):
            return units, []
        sizes = list(accumulate(unit.pieces for unit in units))
        cuts = (
            cut
            for cut, size in enumerate(sizes[:-1], start=1)
            if self._fits(units[0], units[cut - 1], size) and self._fits(units[cut], units[-1], total - size)
        )
        cut = min(cuts, key=lambda cut: abs(2 * sizes[cut - 1] - total))
        return units[:cut], units[cut:]

    def _units(self, region: _Region) -> Iterator[_Unit]:
        for start, end in sentences(self.text, region.start, region.end):
            pieces = self._count(start, end)
            if pieces <= self.most and end - start <= MAX_CHARACTERS:
                yield _Unit(start, end, pieces)
            else:
                for word in _WORD.finditer(self.text, start, end):
                    yield from self._parts(*word.span())

    def _parts(self, start: int, end: int) -> Iterator[_Unit]:
        while start < end:
            part = self.text[start : min(end, start + MAX_CHARACTERS)]
            length = min(len(part), _MAX_WORD)
            while divides(part, length):
                length += 1
            yield _Unit(start, start + length, min(self.most, self._count(start, start + length)))
            start += length

    def _count(self, start: int, end: int) -> int:
        return len(_PIECE.findall(self.text, start, end))


def _chunk(units: list[_Unit], region: _Region) -> Chunk:
    return Chunk(units[0].start, units[-1].end, region.page, region.section)


def _pieces(units: list[_Unit]) -> int:
    return sum(unit.pieces for unit in units)
