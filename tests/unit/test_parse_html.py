"""HTML: what a reader sees, in blocks."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import Parsed, UnreadableFile


def parsed(source: str) -> Parsed:
    return parse_bytes("a.html", source.encode())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>a <b> b</b>c\n d<p>e", "a bc d\n\ne"),
        ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc"),
        ("a<br>b <br/> c", "a\nb\nc"),
        ("<ul><li>a<li><p>b</p><p>c</p><li><ul><li>d</ul></ul>e", "- a\n- b\n\nc\n\n- d\n\ne"),
        ("<ol><li></li></ol>a", "a"),
        ("<pre>\n a  b\n  c</pre>d", " a  b\n  c\n\nd"),
        ("<pre>a<div>b</div><h1>c</h1><table><tr><td>d</table></pre>e", "a\nb\n\nc\n\nd\n\ne"),
        ("caf&eacute; &#8364; &amp;lt; &nbsp;x &unknown;", "café € &lt;  x &unknown;"),
        ("<!-- no -->a<?php no ?><![CDATA[no]]>b", "ab"),
        ("<dl><dt>a<dd>b</dl><figure><figcaption>c</figcaption></figure>", "a\n\nb\n\nc"),
        ("plain text, no element", "plain text, no element"),
    ],
    ids=["inline", "nested", "break", "list", "item", "listing", "in a listing", "entities", "comment", "dl", "plain"],
)
def test_blocks(source: str, text: str) -> None:
    assert parsed(source).text == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<table><tr><th>a<th>b<tr><td><p>c<p>d<td>e<br>f</table>g", "a | b\nc d | e f\n\ng"),
        ("<table><tr><td><td>b<tr><td> <td></table>c", "| b\n\nc"),
        ("<table><tr><td><p>one cell<p>is a frame</table>", "one cell\n\nis a frame"),
        ("<table><tr><td>menu<td><h2>H</h2><p>a<p>b</table>", "menu\n\nH\n\na\n\nb"),
        ("<table><tr><td>1<td><pre>x  y</pre></table>", "1\n\nx  y"),
        ("<table><tr><td>a<td><table><tr><td>b<td>c</table>d<td>e</table>f", "a\n\nb | c\n\nd\n\ne\n\nf"),
        ("<table><td>a<td>b</table>", "a\n\nb"),
    ],
    ids=["data", "empty cells", "one cell", "heading", "listing", "nested", "no row"],
)
def test_tables(source: str, text: str) -> None:
    """Rows of data are lines; tables for the layout are not seen."""
    assert parsed(source).text == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>no</script>",
        "<style>no</style>",
        "<nav><div>no</div><br><img></nav>",
        "<template><p>no</template>",
        "<noscript>no</noscript>",
        "<svg><title>no</title><text>no</text></svg>",
        "<select><option>no</select>",
        "<div hidden>no<p>no</div>",
        "<span aria-hidden=true>no</span>",
        "<p style='color: red; Display : none'>no</p>",
        "<i style=visibility:hidden>no</i>",
    ],
)
def test_what_is_not_shown_is_left_out(hidden: str) -> None:
    assert parsed(f"<p>a{hidden}<p>b").text == "a\n\nb"


def test_a_page_that_a_script_would_show_is_read() -> None:
    assert parsed("<html hidden><body style='display:none'><p>a").text == "a"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<h1> A <i>b</i></h1>c<h3>D</h3>", [(1, "A b"), (3, "D")]),
        ("<title>T &amp; U</title><h2>A</h2>", [(1, "T & U"), (2, "A")]),
        ("<title>T</title><h1>A</h1>", [(1, "A")]),
        ("<title>T</title><title>U</title><title> </title>a", [(1, "T")]),
        ("<title> </title>a", []),
        ("<h1></h1><h2>A<div>b</div></h2>c", [(2, "A")]),
        ("<h2><svg><title>no</title></svg>A</h2><li><h3>B</h3>", [(2, "A"), (3, "B")]),
    ],
    ids=["levels", "title", "title and h1", "two titles", "blank title", "one block", "in others"],
)
def test_headings(source: str, expected: list[tuple[int, str]]) -> None:
    page = parsed(source)
    assert [(heading.level, heading.title) for heading in page.headings] == expected
    assert [page.text[heading.start : heading.end] for heading in page.headings] == [title for _, title in expected]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<p>é".encode(), "é"),
        (codecs.BOM_UTF8 + "<meta charset=latin1><p>é".encode(), "é"),
        ("\ufeff<p>é".encode("utf-16-le"), "é"),
        ("<meta charset='ISO-8859-1'><p>é “quoted”".encode("cp1252"), "é “quoted”"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">日本'.encode("shift_jis"), "日本"),
        ("<?xml version='1.0' encoding='koi8-r'?><p>да".encode("koi8-r"), "да"),
        ("<meta charset=utf-16><p>é".encode(), "é"),
    ],
    ids=["utf-8", "BOM", "BOM of utf-16", "latin", "http-equiv", "xml", "utf-16 that can't be"],
)
def test_encodings(data: bytes, text: str) -> None:
    assert parse_bytes("a.htm", data).text == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<p>caf\xe9 ole", "not UTF-8 (byte 0xE9 at offset 6): save it as UTF-8"),
        (b"<meta charset=gbk><p>\xff", "not GBK (byte 0xFF at offset 21): save it as UTF-8"),
        (b"<meta charset=klingon>a", "declares the unknown encoding 'klingon': save it as UTF-8"),
        (b"<meta charset=unicode_escape>a", "declares the unknown encoding 'unicode_escape': save it as UTF-8"),
        (b"<meta charset=zlib>a", "declares the unknown encoding 'zlib': save it as UTF-8"),
        (b"<script>only()</script>", "empty: no text in it"),
        (codecs.BOM_UTF8, "empty: no text in it"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile) as refusal:
        parse_bytes("a.html", data)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("element", ["<div>", "<b>", "<table><tr><td>", "<ul><li>", "<pre>", "<svg>", "<h1>"])
def test_deep_nesting_is_harmless(element: str) -> None:
    assert parsed(f"<p>before</p>{element * 10_000}deep").text.startswith("before")


def test_entities_of_a_document_type_are_not_known() -> None:
    source = "<!DOCTYPE html [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'><!ENTITY f SYSTEM 'file:///etc/passwd'>]><p>&b;&f;"
    text = parsed(source).text
    assert text.endswith("&b;&f;")
    assert "aaaa" not in text


ELEMENTS = ["p", "div", "table", "tr", "td", "ul", "li", "h1", "pre", "nav", "br", "title", "b", "script", "p hidden"]
MARKUP = st.one_of(
    st.sampled_from([f"<{element}>" for element in ELEMENTS]),
    st.sampled_from([f"</{element}>" for element in ELEMENTS]),
    st.sampled_from(["text", " ", "&amp;", "<!-- -->"]),
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(MARKUP, max_size=30).map("".join))
def test_any_order_of_tags_is_read(source: str) -> None:
    page = parsed("<p>first</p>" + source)
    assert "first" in page.text
    for heading in page.headings:
        assert " ".join(page.text[heading.start : heading.end].split()) == heading.title
