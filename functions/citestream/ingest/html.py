"""HTML: what a reader sees of it, block by block."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from citestream.ingest.blocks import Block, Composer
from citestream.ingest.parsed import Parsed, UnreadableFile, reading
from citestream.ingest.text import bom_encoding, strictly_decoded

_UNSEEN = re.compile(
    r"script|style|nav|template|noscript|svg|iframe|object|audio|video|canvas|select|textarea|datalist"
)
_BLOCK = re.compile(
    r"address|article|aside|blockquote|body|caption|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure"
    r"|footer|form|h[1-6]|header|hr|html|legend|li|main|ol|p|pre|section|summary|table|tbody|td|tfoot|th|thead"
    r"|title|tr|ul"
)
_HEADING = re.compile(r"h[1-6]")
_HIDDEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_SPACES_IN_A_ROW = re.compile(r" {2,}")
_SPACES_AT_BREAK = re.compile(r" ?\n ?")
_PIECE = 1 << 16

# Where a page may declare its encoding (HTML Standard, 4.2.5.4), and the codecs that it may declare: those of the
# Encoding Standard that Python has, and none of Python's other ones.
_DECLARED_WITHIN = 1024
_DECLARATION = re.compile(
    rb"""<meta\b[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml\b[^>]*?encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE
)
_CODEC = re.compile(
    r"utf-8|cp125\d|cp866|cp874|cp932|cp949|iso8859-\d+|koi8-[ru]|mac-roman|mac-cyrillic|big5|big5hkscs"
    r"|gb2312|gbk|gb18030|euc_jp|euc_kr|shift_jis|iso2022_jp|tis-620"
)
# What the Encoding Standard reads a declared encoding as.
_READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "utf-16": "utf-8", "utf-16-le": "utf-8", "utf-16-be": "utf-8"}


def parse_html(data: bytes) -> Parsed:
    from lxml import etree  # type: ignore[import-untyped]

    text = strictly_decoded(data, bom_encoding(data) or _declared_encoding(data))
    page = _Page()
    parser = etree.HTMLParser(target=page)
    with reading("broken HTML"):
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE])
        parser.close()
    return page.parsed()


def _declared_encoding(data: bytes) -> str:
    declaration = _DECLARATION.search(data, 0, _DECLARED_WITHIN)
    if declaration is None:
        return "utf-8"
    label = (declaration[1] or declaration[2]).decode()
    try:
        codec = codecs.lookup(label).name
    except LookupError:
        codec = ""
    codec = _READ_AS.get(codec, codec)
    if not _CODEC.fullmatch(codec):
        raise UnreadableFile(f"declares the unknown encoding {label!r}: save it as UTF-8")
    return codec


class _Page:
    """What lxml reports a page's elements to; of broken markup too, lxml ends every element that it starts."""

    def __init__(self) -> None:
        self._composer = Composer()
        self._line: list[str] = []
        self._title = ""
        self._unseen = 0  # elements open that aren't shown, counted from the outermost of them
        self._listings = 0  # <pre> elements open
        self._level = 0
        self._bullet = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._unseen or _is_unseen(tag, attributes):
            self._unseen += 1
            return
        if _BLOCK.fullmatch(tag):
            self._end_line(tag)
        if tag == "br":
            self._line.append("\n")
        elif tag == "pre":
            self._listings += 1
        elif not self._listings:
            self._open(tag)

    def end(self, tag: str) -> None:
        if self._unseen:
            self._unseen -= 1
            return
        if tag == "title":
            self._title = self._title or "".join(self._line)
            self._line.clear()
        if _BLOCK.fullmatch(tag):
            self._end_line(tag)
        if tag == "pre":
            self._listings -= 1
        elif not self._listings:
            self._close(tag)

    def data(self, text: str) -> None:
        if not self._unseen:
            self._line.append(text if self._listings else _SPACES.sub(" ", text))

    def close(self) -> None:
        self._end_line("html")

    def parsed(self) -> Parsed:
        return self._composer.parsed(self._title)

    def _open(self, tag: str) -> None:
        if tag == "li":
            self._bullet = "- "
        elif tag == "tr":
            self._composer.open_row()
        elif tag in ("td", "th"):
            self._composer.open_cell()
        elif _HEADING.fullmatch(tag):
            self._level = int(tag[1])

    def _close(self, tag: str) -> None:
        if tag == "li":
            self._bullet = ""
        elif tag == "tr":
            self._composer.close_row()
        elif _HEADING.fullmatch(tag):
            self._level = 0

    def _end_line(self, tag: str) -> None:
        if self._listings and tag != "pre":
            self._line.append("\n")  # a block within a listing is a line of it
            return
        text = "".join(self._line)
        self._line.clear()
        if not text.strip():
            return
        if self._listings:
            self._composer.add(Block(text, rigid=True))
            return
        text = _SPACES_AT_BREAK.sub("\n", _SPACES_IN_A_ROW.sub(" ", text)).strip()
        bullet = "" if self._level else self._bullet
        self._composer.add(Block(bullet + text, level=self._level, tight=bool(bullet)))
        self._level, self._bullet = 0, ""


def _is_unseen(tag: str, attributes: Mapping[str, str]) -> bool:
    if tag in ("html", "body"):  # what starts out hidden is shown by a script
        return False
    return (
        _UNSEEN.fullmatch(tag) is not None
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN.search(attributes.get("style", "")) is not None
    )
