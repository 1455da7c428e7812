"""PDF: pages, words broken at line ends, and what can't be read."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from fpdf import FPDF
from fpdf.enums import EncryptionMethod
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from citestream.ingest import pdf
from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import UnreadableFile


def document(*pages: str) -> FPDF:
    made = FPDF()
    made.set_font("helvetica", size=12)
    for page in pages:
        made.add_page()
        made.multi_cell(0, 6, page)
    return made


def pdf_of(*pages: str) -> bytes:
    return bytes(document(*pages).output())


def encrypted(method: EncryptionMethod, password: str | None) -> bytes:
    made = document("a secret")
    made.set_encryption("owner", password, method)
    return bytes(made.output())


def refusal_of(data: bytes) -> str:
    with pytest.raises(UnreadableFile) as refusal:
        parse_bytes("a.pdf", data)
    return str(refusal.value)


def drawing(content: bytes) -> bytes:
    """A page with that content stream."""
    writer = PdfWriter()
    page = writer.add_blank_page(100, 100)
    stream = StreamObject()
    stream.set_data(zlib.compress(content))
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): DictionaryObject()})
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def test_pages_are_where_they_start() -> None:
    parsed = parse_bytes("a.pdf", pdf_of("First page.\nIts end.", "", "Third  page.", ""))
    assert parsed.text == "First page.\nIts end.\n\nThird  page."
    assert parsed.page_starts == (0, 22, 22, len(parsed.text))
    assert parsed.text[22:] == "Third  page."
    assert parsed.headings == ()


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("an exam-\nple of it", "an example of it"),
        ("a well-\nknown case, as well-known as it is", "a well-known case, as well-known as it is"),
        ("the North-\nSouth line", "the North-\nSouth line"),
        ("Anglo-\nsaxon", "Anglosaxon"),
        ("pages 3-\n4 and x-\n", "pages 3-\n4 and x-"),
        ("state-of-the-\nart", "state-of-the-\nart"),
    ],
    ids=["broken", "hyphenated elsewhere", "capital", "name", "number", "compound"],
)
def test_words_broken_at_a_line_end(page: str, text: str) -> None:
    assert parse_bytes("a.pdf", pdf_of(page)).text == text


def test_ligatures_and_soft_hyphens_are_resolved() -> None:
    """The built-in fonts have neither, so no PDF made here can show it."""
    assert pdf._cleaned("ﬁnd eﬀort ﬂow oﬃce ba\ufb04e faﬅ aﬆ; co\xad\nop co\xadop") == (
        "find effort flow office baffle fast ast; coop coop"
    )


@pytest.mark.parametrize("method", [EncryptionMethod.RC4, EncryptionMethod.AES_128, EncryptionMethod.AES_256])
def test_encryption(method: EncryptionMethod) -> None:
    assert refusal_of(encrypted(method, "password")) == "encrypted: save it without a password"
    assert parse_bytes("a.pdf", encrypted(method, None)).text == "a secret"


WITHOUT_CIPHERS = """
import sys
sys.modules["cryptography"] = None
from pathlib import Path
from citestream.ingest.parse import parse
from citestream.ingest.parsed import UnreadableFile
for name in sys.argv[1:]:
    try:
        print(parse(Path(name)).text)
    except UnreadableFile as refusal:
        print(refusal)
"""


def test_a_cipher_that_needs_another_package_is_encryption(tmp_path: Path) -> None:
    names = []
    for method in (EncryptionMethod.RC4, EncryptionMethod.AES_128, EncryptionMethod.AES_256):
        path = tmp_path / f"{method.name}.pdf"
        path.write_bytes(encrypted(method, None))
        names.append(str(path))
    done = subprocess.run([sys.executable, "-c", WITHOUT_CIPHERS, *names], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a secret"] + 2 * ["encrypted: save it without a password"]


def test_a_scan_has_no_text() -> None:
    assert refusal_of(pdf_of("", "")).startswith("no text in it (scanned?)")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not a PDF", "broken PDF: "),
        (b"%PDF-1.7\n" + b"\x00\xff" * 500, "broken PDF: "),
        (pdf_of("text")[:600], "broken PDF: "),
        (pdf_of("text").replace(b"startxref", b"startyref"), "broken PDF: startxref not found"),
        (drawing(b" " * 80_000_000), "broken PDF, page 1: Limit reached while decompressing"),
    ],
    ids=["text", "garbage", "cut off", "no cross-reference", "bomb"],
)
def test_refused(data: bytes, reason: str) -> None:
    assert refusal_of(data).startswith(reason)


def test_what_pypdf_repairs_is_read_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    data = pdf_of("text").replace(b"startxref\n", b"startxref\n9")
    assert parse_bytes("a.pdf", data).text == "text"
    assert capfd.readouterr() == ("", "")


def test_at_most_5000_pages() -> None:
    writer = PdfWriter()
    for _ in range(5_001):
        writer.add_blank_page(100, 100)
    assert refusal_of(written(writer)) == "5,001 pages: 5,000 is the limit"


def test_text_and_time_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pdf_of("ten chars.", "ten chars.")
    monkeypatch.setattr(pdf, "_MAX_CHARACTERS", 20)
    assert parse_bytes("a.pdf", data).text == "ten chars.\n\nten chars."
    monkeypatch.setattr(pdf, "_MAX_CHARACTERS", 19)
    assert refusal_of(data) == "more than 19 characters of text"
    monkeypatch.setattr(pdf, "_MAX_SECONDS", -1.0)
    assert refusal_of(data) == "takes longer than -1 seconds to read"


SOUND = pdf_of("Some text", "and more")


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(SOUND)), st.binary(max_size=8), st.integers(0, 200))
def test_any_damage_is_read_or_refused(at: int, junk: bytes, lost: int) -> None:
    with suppress(UnreadableFile):
        assert parse_bytes("a.pdf", SOUND[:at] + junk + SOUND[at + lost :]).text
