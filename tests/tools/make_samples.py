"""Rebuilds the PDF and the DOCX among the samples, an invented company's papers, from the texts beside it.

Run it from the repository's root: ``python -m tests.tools.make_samples``.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import docx
from docx.shared import Pt
from docx.text.paragraph import Paragraph
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

TEXTS = Path(__file__).parent
SAMPLES = TEXTS.parents[1] / "functions" / "citestream" / "samples"
INK, ACCENT, PALE, GREY = (33, 37, 41), (15, 82, 87), (232, 241, 242), (110, 117, 125)
Kind = Literal["heading", "paragraph", "bullet", "number", "table"]


@dataclass(frozen=True, slots=True)
class Block:
    kind: Kind
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


def blocks(source: str) -> list[Block]:
    """The blocks of a text in a small part of Markdown: headings, paragraphs, lists, tables."""
    return [block for part in re.split(r"\n{2,}", source.strip()) for block in _blocks_of(part)]


def _blocks_of(part: str) -> list[Block]:
    lines = part.splitlines()
    if part.startswith("#"):
        marks, title = part.split(" ", 1)
        return [Block("heading", title, level=len(marks))]
    if part.startswith("|"):
        return [Block("table", rows=tuple(tuple(c.strip() for c in line.split("|")[1:-1]) for line in lines))]
    if part.startswith("- "):
        return [Block("bullet", line.removeprefix("- ")) for line in lines]
    if part.startswith("1. "):
        return [Block("number", line.split(". ", 1)[1], level=n) for n, line in enumerate(lines, 1)]
    return [Block("paragraph", part)]


class HandbookPdf(FPDF):
    """The fonts that every reader has, so that none is embedded; their letters are those of Latin-1."""

    def __init__(self) -> None:
        super().__init__(format="A4")
        self.set_margins(24, 22, 24)
        self.set_auto_page_break(True, margin=24)
        self.set_title("Security handbook")
        self.set_author("Ostervane")
        self.set_creation_date(datetime(2026, 7, 1, tzinfo=UTC))
        self._last: Kind = "heading"

    def footer(self) -> None:
        self.set_y(-16)
        self.set_font("Helvetica", size=8.5)
        self.set_text_color(*GREY)
        self.cell(0, 5, f"Ostervane security handbook, page {self.page_no()} of {{nb}}", align="C")

    def write_block(self, block: Block) -> None:
        if self._last in ("bullet", "number") and block.kind != self._last:
            self.ln(1.5)
        self._last = block.kind
        match block.kind:
            case "heading":
                self._heading(block)
            case "table":
                self._table(block.rows)
            case "paragraph":
                self._text(block.text, after=2.6)
            case "bullet":
                self._item("-", block.text)
            case "number":
                self._item(f"{block.level}.", block.text)

    def _heading(self, block: Block) -> None:
        size, before, after = {1: (24, 0, 5), 2: (15, 5, 2), 3: (11.5, 2, 1)}[block.level]
        if self.will_page_break(38):  # a heading does not stand alone at a page's foot
            self.add_page()
        self.ln(before)
        self.start_section(block.text, level=block.level - 1)
        self.set_font("Helvetica", "B", size)
        self.set_text_color(*ACCENT)
        self.multi_cell(0, size * 0.5, block.text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(after)

    def _text(self, text: str, *, after: float) -> None:
        self.set_font("Helvetica", size=11)
        self.set_text_color(*INK)
        self.multi_cell(0, 5.7, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(after)

    def _item(self, mark: str, text: str) -> None:
        left = self.l_margin
        self.set_font("Helvetica", size=11)
        self.set_text_color(*INK)
        self.set_x(left + 2)
        self.cell(6, 5.7, mark)
        self.set_left_margin(left + 8)
        self._text(text, after=1.6)
        self.set_left_margin(left)
        self.set_x(left)

    def _table(self, rows: tuple[tuple[str, ...], ...]) -> None:
        self.ln(1)
        self.set_font("Helvetica", size=10)
        self.set_text_color(*INK)
        self.set_draw_color(*GREY)
        with self.table(
            rows,
            align="L",
            text_align="L",
            line_height=5,
            padding=1.2,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=FontFace(emphasis="BOLD", color=ACCENT, fill_color=PALE),
        ):
            pass
        self.ln(4)


def security_handbook() -> bytes:
    pdf = HandbookPdf()
    pdf.add_page()
    for block in blocks((TEXTS / "security-handbook.md").read_text("utf-8")):
        pdf.write_block(block)
    return bytes(pdf.output())


def backup_policy() -> bytes:
    document = docx.Document()
    document.styles["Normal"].font.size = Pt(11)
    properties = document.core_properties
    properties.title, properties.author, properties.comments = "Database backup policy", "Ostervane", ""
    properties.created = properties.modified = datetime(2026, 9, 1, tzinfo=UTC)
    styles = {"paragraph": "Normal", "bullet": "List Bullet", "number": "List Number"}
    for block in blocks((TEXTS / "database-backup-policy.md").read_text("utf-8")):
        if block.kind == "heading":
            document.add_heading(block.text, level=block.level)
        elif block.kind == "table":
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Light Grid Accent 1")
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
            document.add_paragraph()
        else:
            _add_runs(document.add_paragraph(style=styles[block.kind]), block.text)
    unstamped = io.BytesIO()
    document.save(unstamped)
    return _without_times(unstamped)


def _add_runs(paragraph: Paragraph, text: str) -> None:
    for n, piece in enumerate(text.split("`")):
        run = paragraph.add_run(piece)
        if n % 2:  # what stands between backticks
            run.font.name = "Consolas"


def _without_times(archive: io.BytesIO) -> bytes:
    """The same archive with ZIP's earliest time on every member, so that a rebuild changes no byte."""
    rewritten = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(rewritten, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)
    return rewritten.getvalue()


def main() -> None:
    (SAMPLES / "handbook" / "security-handbook.pdf").write_bytes(security_handbook())
    (SAMPLES / "engineering" / "database-backup-policy.docx").write_bytes(backup_policy())


if __name__ == "__main__":
    main()
