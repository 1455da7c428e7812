"""Plain text: what is decoded, what is refused, and the normal form that all text has."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.ingest.normal import normalise
from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import Parsed, UnreadableFile


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Größe\n".encode(), "Größe"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        ("\ufeffzwei Byte é 😀".encode("utf-16-le"), "zwei Byte é 😀"),
        ("\ufeffzwei Byte é 😀".encode("utf-16-be"), "zwei Byte é 😀"),
        (b"\x1b[31mcoloured\x1b[0m log", "[31mcoloured[0m log"),
    ],
    ids=["utf-8", "utf-8 with BOM", "utf-16-le", "utf-16-be", "terminal"],
)
def test_decoded(data: bytes, text: str) -> None:
    assert parse_bytes("a.txt", data) == Parsed(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a latin caf\xe9 is not", "not UTF-8 (byte 0xE9 at offset 11): save it as UTF-8"),
        (b"\xef\xbb\xbfab\xff", "not UTF-8 (byte 0xFF at offset 5): save it as UTF-8"),
        (b"\xff\xfea\x00\x00\xd8", "not UTF-16 (byte 0x00 at offset 4): save it as UTF-8"),
        ("no mark".encode("utf-16-le"), "binary: a NUL character at position 1"),
        (b"\x01\x02\x03 four", "binary: mostly control characters"),
        (b"", "empty"),
        (b" \r\n\t ", "empty"),
        ("\u2028\xa0\u200a".encode(), "empty: no text in it"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile) as refusal:
        parse_bytes("a.txt", data)
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("e\u0301 \u212b", "é Å"),
        ("a\x00\x07b\tc\x7f\x9f", "ab\tc"),
        ("co\xadop \ufeff1\xa0000\u202f000", "coop 1 000 000"),
        ("  a  \nb \t\n\n \n\nc\n\n", "  a\nb\n\nc"),
        ("a\ud83d\ude00b\ud800c", "a😀b\ufffdc"),
        ("e\xad\u0301", "é"),
    ],
    ids=["line ends", "NFC", "controls", "invisible", "white space", "surrogates", "composed once clean"],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_marks_beyond_thirty_on_one_character_are_dropped() -> None:
    """A million of them in turns would keep the standard library's sorting busy for hours."""
    text = normalise("a" + "\u0316\u0301" * 500_000 + "b")
    assert text[0] == "á"
    assert text[-1] == "b"
    assert len(text) == 31
    thirty = "q" + "\u0301" * 30
    assert normalise(thirty) == thirty


CHARACTERS = st.one_of(
    st.characters(),
    st.sampled_from([*"a \n\t\r\x00\xa0\xad\ufeff\u0301\u0327\u1100\u1161\ud800\udc00\u2028é\u0344\u0f73"]),
)


UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\xad\ufeff\ud800-\udfff]|[^\S\n](?:\n|\Z)|\n{3}|\A\n|\n\Z")


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(CHARACTERS, max_size=40).map("".join))
def test_normal_form_is_final(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)
    assert not UNWANTED.search(normal)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    with suppress(UnreadableFile):
        assert parse_bytes("a.txt", data).text.strip()
