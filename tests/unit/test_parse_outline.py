"""A PDF's bookmarks become headings where their titles stand in its text."""

from __future__ import annotations

import io

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, NullObject

from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import Heading


def document(*sections: tuple[int, str, str]) -> bytes:
    """A page a section: its level, its title (as a line, and in the outline), its text."""
    made = FPDF()
    made.set_font("helvetica", size=12)
    for level, title, text in sections:
        made.add_page()
        made.start_section(title, level=level)
        made.multi_cell(0, 6, f"{title}\n{text}")
    return bytes(made.output())


def test_the_outlines_items_are_headings_on_their_pages() -> None:
    parsed = parse_bytes("x.pdf", document((0, "Leave", "Leave is good."), (1, "Sick leave", "Tell us.")))
    assert parsed.text == "Leave\nLeave is good.\n\nSick leave\nTell us."
    assert parsed.headings == (Heading(0, 5, 1, "Leave"), Heading(22, 32, 2, "Sick leave"))


def test_a_title_that_stands_nowhere_as_a_line_is_no_heading() -> None:
    made = FPDF()
    made.set_font("helvetica", size=12)
    made.add_page()
    made.start_section("Cover")
    made.multi_cell(0, 6, "The Cover is within a line.")
    assert parse_bytes("x.pdf", bytes(made.output())).headings == ()


def test_equal_titles_on_one_page_are_headings_each() -> None:
    made = FPDF()
    made.set_font("helvetica", size=12)
    made.add_page()
    for _ in range(2):
        made.start_section("Notes")
        made.multi_cell(0, 6, "Notes\nSome text.", new_x="LMARGIN", new_y="NEXT")
    assert [heading.start for heading in parse_bytes("x.pdf", bytes(made.output())).headings] == [0, 17]


def with_outline_pointing(to: object) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(document((0, "Leave", "Leave is good.")))))
    item = writer.root_object["/Outlines"]["/First"]  # type: ignore[index]
    item[NameObject("/Dest")] = to
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_broken_outline_is_no_reason_to_refuse_the_text() -> None:
    for broken in (NullObject(), NameObject("/nowhere")):
        assert parse_bytes("x.pdf", with_outline_pointing(broken)).text == "Leave\nLeave is good."
