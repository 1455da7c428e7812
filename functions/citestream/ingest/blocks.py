"""Paragraphs, headings and table rows, as a parser of marked-up text meets them, and the text they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from citestream.ingest.normal import normalise
from citestream.ingest.parsed import Heading, Parsed


@dataclass(frozen=True, slots=True)
class Block:
    """``level`` is a heading's, 0 for other text. Two ``tight`` blocks in a row (list items, table rows) have no
    blank line between them; a ``rigid`` one (a code listing) keeps its lines wherever it stands.
    """

    text: str
    level: int = 0
    tight: bool = False
    rigid: bool = False


class Composer:
    """Takes blocks in document order, and cells into rows.

    A table with a heading, a listing or another table in it is there for the layout: its blocks are taken as if it
    weren't there. Of others a row is one block.
    """

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._row: list[list[Block]] | None = None

    def add(self, block: Block) -> None:
        if not block.text.strip():
            return
        if block.level or block.rigid:
            self._spill()
        cell = self._row[-1] if self._row else self._blocks
        cell.append(block)

    def open_row(self) -> None:
        self._spill()
        self._row = []

    def open_cell(self) -> None:
        if self._row is not None:
            self._row.append([])

    def close_row(self) -> None:
        if self._row is not None and len(self._row) > 1:
            cells = [" ".join(word for block in cell for word in block.text.split()) for cell in self._row]
            self._row = None
            if any(cells):
                self.add(Block(" | ".join(cells).strip(), tight=True))
        self._spill()

    def parsed(self, title: str = "") -> Parsed:
        """The text of all blocks; ``title`` comes first where there is no heading of level 1."""
        self._spill()
        if title.strip() and all(block.level != 1 for block in self._blocks):
            return compose([Block(title, level=1), *self._blocks])
        return compose(self._blocks)

    def _spill(self) -> None:
        cells, self._row = self._row or (), None
        self._blocks += (block for cell in cells for block in cell)


def compose(blocks: Iterable[Block]) -> Parsed:
    parts: list[str] = []
    headings: list[Heading] = []
    length = 0
    follows_tight = False
    for block in blocks:
        text = normalise(block.text)
        if not text:
            continue
        if parts:
            gap = "\n" if block.tight and follows_tight else "\n\n"
            parts.append(gap)
            length += len(gap)
        if block.level:
            headings.append(Heading(length, length + len(text), block.level, " ".join(text.split())))
        parts.append(text)
        length += len(text)
        follows_tight = block.tight
    return Parsed("".join(parts), headings=tuple(headings))
