"""DOCX: what Word shows, in order; and archives that aren't what they say."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.ingest import package
from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import UnreadableFile

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STRICT = 'xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"'
TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relationships(**targets: str) -> str:
    items = "".join(f'<Relationship Id="{t}" Type="{TYPES}/{t}" Target="{to}"/>' for t, to in targets.items())
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{items}</Relationships>'
    )


def zipped(members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def docx_of(
    body: str, namespace: str = W, *, prolog: str = "", method: int = zipfile.ZIP_DEFLATED, **parts: str
) -> bytes:
    """A package of that body; ``parts`` are styles, footnotes, endnotes."""
    members: dict[str, str | bytes] = {
        "_rels/.rels": relationships(officeDocument="word/document.xml"),
        "word/document.xml": f"{prolog}<w:document {namespace}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relationships(**{part: f"{part}.xml" for part in parts}),
    }
    members |= {f"word/{part}.xml": f"<w:{part} {namespace}>{xml}</w:{part}>" for part, xml in parts.items()}
    return zipped(members, method)


def p(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def refusal_of(data: bytes) -> str:
    with pytest.raises(UnreadableFile) as refusal:
        parse_bytes("a.docx", data)
    return str(refusal.value)


def test_a_document_of_another_program() -> None:
    made = docx.Document()
    made.add_heading("Guide", 0)
    made.add_paragraph("Über alles.\tTabbed.\nNext line.")
    made.add_heading("First", 1)
    made.add_heading("Deeper", 2)
    table = made.add_table(2, 2)
    for cell, text in zip([cell for row in table.rows for cell in row.cells], "abcd", strict=True):
        cell.text = text
    made.add_paragraph("Last.")
    file = io.BytesIO()
    made.save(file)
    parsed = parse_bytes("a.DOCX", file.getvalue())
    assert parsed.text == "Guide\n\nÜber alles.\tTabbed.\nNext line.\n\nFirst\n\nDeeper\n\na | b\nc | d\n\nLast."
    assert [(h.level, h.title, parsed.text[h.start : h.end]) for h in parsed.headings] == [
        (1, "Guide", "Guide"),
        (1, "First", "First"),
        (2, "Deeper", "Deeper"),
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>",
            "new",
        ),
        ("<w:p><w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom></w:p>" + p("a"), "a"),
        ("<w:sdt><w:sdtContent>" + p("a field") + "</w:sdtContent></w:sdt>", "a field"),
        ("<w:p><w:hyperlink><w:r><w:t>a </w:t></w:r></w:hyperlink><w:r><w:t>link</w:t></w:r></w:p>", "a link"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>7</w:t></w:r></w:p>", "7"),
        (p("a", "<w:tabs><w:tab w:val='left'/></w:tabs>") + "<w:p/>" + p("b"), "a\n\nb"),
        ("<w:p><w:r><w:t>a</w:t><w:noBreakHyphen/><w:t>b</w:t><w:cr/><w:t>c</w:t></w:r></w:p>", "a-b\nc"),
        ("<w:p><w:r><w:t>a</w:t></w:r><w:txbxContent>" + p("box") + "</w:txbxContent></w:p>", "box\n\na"),
        ("<w:p><w:Choice><w:t>a</w:t></w:Choice><w:Fallback><w:t>a</w:t></w:Fallback></w:p>", "a"),
        ("<w:t>outside of all paragraphs</w:t>" + p("a"), "a"),
    ],
    ids=[
        "changes",
        "moved",
        "control",
        "link",
        "field",
        "tab stops",
        "characters",
        "text box",
        "in two forms",
        "stray",
    ],
)
def test_what_a_reader_sees(body: str, text: str) -> None:
    assert parse_bytes("a.docx", docx_of(body)).text == text
    assert parse_bytes("a.docx", docx_of(body, STRICT)).text == text


def table(*rows: list[str]) -> str:
    cells = ("".join(f"<w:tc>{cell}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def test_tables() -> None:
    data = table([p("a") + p("b"), p("c")], [p("d"), "<w:p/>"])
    frame = table([p("e") + p("f")])
    nested = table([p("g"), table([p("h"), p("i")]), p("j")])
    text = parse_bytes("a.docx", docx_of(data + frame + nested)).text
    assert text == "a b | c\nd |\n\ne\n\nf\n\ng\n\nh | i\n\nj"


def test_cells_that_span_a_million_columns_are_one() -> None:
    body = f"<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='1000000'/></w:tcPr>{p('a')}</w:tc></w:tr></w:tbl>"
    assert parse_bytes("a.docx", docx_of(body)).text == "a"


def test_deep_nesting_is_harmless() -> None:
    depth = 20_000
    assert parse_bytes("a.docx", docx_of("<w:p>" * depth + "<w:t>a</w:t>" + "</w:p>" * depth)).text == "a"


STYLES = """
<w:docDefaults><w:name w:val="heading 1"/></w:docDefaults>
<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
<w:style w:styleId="Outline"><w:name w:val="Mine"/><w:pPr><w:outlineLvl w:val="3"/></w:pPr></w:style>
<w:style w:styleId="Based"><w:name w:val="Based"/><w:basedOn w:val="berschrift2"/></w:style>
<w:style w:styleId="Contents"><w:name w:val="TOC"/><w:basedOn w:val="Based"/><w:outlineLvl w:val="9"/></w:style>
<w:style w:styleId="Loop"><w:basedOn w:val="Loop"/></w:style>
<w:style w:styleId="Title"><w:name w:val="Title"/></w:style>
"""


@pytest.mark.parametrize(
    ("properties", "level"),
    [
        ('<w:pStyle w:val="berschrift2"/>', 2),
        ('<w:pStyle w:val="Outline"/>', 4),
        ('<w:pStyle w:val="Based"/>', 2),
        ('<w:pStyle w:val="Contents"/>', 0),
        ('<w:pStyle w:val="Loop"/>', 0),
        ('<w:pStyle w:val="Title"/>', 1),
        ('<w:pStyle w:val="unknown"/>', 0),
        ('<w:outlineLvl w:val="0"/>', 1),
        ('<w:outlineLvl w:val="x"/>', 0),
        ("<w:outlineLvl/>", 0),
        ('<w:pPrChange><w:pPr><w:pStyle w:val="Title"/></w:pPr></w:pPrChange>', 0),
        ("", 0),
    ],
)
def test_heading_levels(properties: str, level: int) -> None:
    parsed = parse_bytes("a.docx", docx_of(p("A", properties) + p("b"), styles=STYLES))
    assert [heading.level for heading in parsed.headings] == ([level] if level else [])


def test_notes_come_last() -> None:
    data = docx_of(p("text"), footnotes=f"<w:footnote>{p('foot')}</w:footnote>", endnotes=p("end"))
    assert parse_bytes("a.docx", data).text == "text\n\nfoot\n\nend"


def test_parts_are_found_by_their_relationships() -> None:
    members: dict[str, str | bytes] = {
        "_rels/.rels": relationships(officeDocument="/doc/main.xml"),
        "doc/main.xml": f"<w:document {W}>" + p("A", "<w:pStyle w:val='H'/>") + "</w:document>",
        "doc/_rels/main.xml.rels": relationships(styles="../looks.xml", footnotes="gone.xml"),
        "looks.xml": f"<w:styles {W}><w:style w:styleId='H'><w:name w:val='Heading 1'/></w:style></w:styles>",
    }
    assert [heading.title for heading in parse_bytes("a.docx", zipped(members)).headings] == ["A"]


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
DOCTYPES = {
    "billion laughs": f"<!DOCTYPE w [<!ENTITY l0 'ha'>{LAUGHS}]>",
    "external entity": "<!DOCTYPE w [<!ENTITY l11 SYSTEM 'file:///etc/passwd'>]>",
    "external definitions": "<!DOCTYPE w SYSTEM 'http://127.0.0.1:9/a.dtd'>",
}


@pytest.mark.parametrize("kind", DOCTYPES)
def test_document_types_are_refused(kind: str) -> None:
    reason = "word/document.xml has a document type declaration"
    assert refusal_of(docx_of(p("&l11;"), prolog=DOCTYPES[kind])) == reason


def test_document_types_are_refused_in_any_encoding() -> None:
    document = f"<?xml version='1.0' encoding='UTF-16'?>{DOCTYPES['billion laughs']}<w>&l11;</w>".encode("utf-16")
    data = zipped({"_rels/.rels": relationships(officeDocument="d.xml"), "d.xml": document})
    assert refusal_of(data) == "d.xml has a document type declaration"


BOMB = "<w:p/>" + (" " * 1_000_000 + "<w:p/>") * 11


def forged(data: bytes, part: str, size: int) -> bytes:
    """The archive with another uncompressed size for ``part``, in the local header and in the directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(part)
    changed = bytearray(data)
    struct.pack_into("<I", changed, info.header_offset + 22, size)
    entry = data.index(b"PK\x01\x02", data.rindex(part.encode()) - 46)
    struct.pack_into("<I", changed, entry + 24, size)
    return bytes(changed)


def test_a_bomb_is_refused() -> None:
    reason = "word/document.xml unpacks to more than a document can hold (a zip bomb?)"
    data = docx_of(BOMB)
    assert len(data) < 30_000
    assert refusal_of(data) == reason
    assert refusal_of(forged(data, "word/document.xml", 0xFFFF_FFF0)) == reason


def test_a_bomb_that_claims_to_be_small_is_read_no_further_than_it_claims() -> None:
    data = forged(docx_of(BOMB), "word/document.xml", 5_000)
    assert refusal_of(data).startswith("broken DOCX: Bad CRC-32")


def test_all_parts_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = docx_of(p("text") + " " * 40_000, footnotes=" " * 40_000)
    monkeypatch.setattr(package, "_MAX_UNPACKED", 90_000)
    assert parse_bytes("a.docx", data).text == "text"
    monkeypatch.setattr(package, "_MAX_UNPACKED", 70_000)
    assert refusal_of(data).startswith("word/footnotes.xml unpacks to more")


def test_what_is_not_read_may_be_large() -> None:
    data = docx_of(p("text"))
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.bmp", bytes(20_000_000))
    assert parse_bytes("a.docx", file.getvalue()).text == "text"


def encrypted_member() -> bytes:
    data = bytearray(docx_of(p("text")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", data, data.index(signature) + offset, 1)
    return bytes(data)


REFUSED = {
    "Word 97": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "encrypted, or a file of Word 97: "),
    "text": (b"no archive", "not a DOCX file: it is no zip archive"),
    "cut off": (docx_of(p("text"))[:300], "broken DOCX: File is not a zip file"),
    "no document": (zipped({"a.txt": "text"}), "not a DOCX file: it holds no document"),
    "no text": (docx_of("<w:p/>"), "empty: no text in it"),
    "not XML": (docx_of("<w:p>"), "broken DOCX: Opening and ending tag mismatch"),
    "bzip2": (docx_of(p("text"), method=zipfile.ZIP_BZIP2), "_rels/.rels is compressed as no office program does it"),
    "encrypted member": (encrypted_member(), "encrypted (_rels/.rels): save it without a password"),
    "many members": (b"PK\x03\x04" + b"PK\x01\x02" * 10_001, "a zip archive with more than 10,000 members"),
    "relationship without a target": (
        zipped({"_rels/.rels": "<Relationships><Relationship/></Relationships>"}),
        "broken DOCX: 'Target'",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str) -> None:
    data, reason = REFUSED[kind]
    assert refusal_of(data).startswith(reason)


SOUND = docx_of(p("Some text") + p("and more"), styles=STYLES)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(SOUND)), st.binary(max_size=8), st.integers(0, 200))
def test_any_damage_is_read_or_refused(at: int, junk: bytes, lost: int) -> None:
    with suppress(UnreadableFile):
        assert parse_bytes("a.docx", SOUND[:at] + junk + SOUND[at + lost :]).text
