"""DOCX (ECMA-376, part 1): headings, paragraphs and tables in document order, then the notes.

The parts are taken as streams of XML events: that needs little memory however large they are, and sees what a
reader sees, inserted text and the contents of form fields included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from citestream.ingest.blocks import Block, Composer
from citestream.ingest.package import Elements, Package
from citestream.ingest.parsed import Parsed, UnreadableFile, reading

# Deleted and moved text, properties as they were, tab stops, and the second form of what comes in two.
_PASSED_OVER = frozenset(["del", "moveFrom", "pPrChange", "rPrChange", "tabs", "Fallback"])
_CHARACTERS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_HEADING_NAME = re.compile(r"heading ([1-9])", re.IGNORECASE)
_LEVELS = range(1, 10)  # an outline level of 10 is body text
_MAX_BASES = 20


def parse_docx(data: bytes) -> Parsed:
    with reading("broken DOCX"):
        package = Package(data)
        main = package.related().get("officeDocument", "")
        related = package.related(main)
        styles = _Styles()
        package.feed(related.get("styles", ""), styles)
        body = _Body(styles)
        if not package.feed(main, body):
            raise UnreadableFile("not a DOCX file: it holds no document")
        for notes in ("footnotes", "endnotes"):
            package.feed(related.get(notes, ""), body)
        return body.composer.parsed()


def _value(attributes: Mapping[str, str]) -> str:
    return next((value for name, value in attributes.items() if name.rpartition("}")[2] == "val"), "")


def _outline_level(attributes: Mapping[str, str]) -> int:
    value = _value(attributes)
    return int(value) + 1 if value.isdecimal() else 0


@dataclass(slots=True)
class _Style:
    level: int | None = None  # None: that of its base
    base: str = ""


_NO_STYLE = _Style(level=0)


class _Styles(Elements):
    """Which styles are those of headings: by outline level, name, or what they are based on."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        self._style = _Style()

    def opened(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "style":
            identifier = next((v for k, v in attributes.items() if k.rpartition("}")[2] == "styleId"), "")
            self._style = self._styles[identifier] = _Style()
        elif name == "name":
            heading = _HEADING_NAME.fullmatch(_value(attributes))
            self._style.level = int(heading[1]) if heading else 1 if _value(attributes) == "Title" else None
        elif name == "basedOn":
            self._style.base = _value(attributes)
        elif name == "outlineLvl":
            self._style.level = _outline_level(attributes)

    def level(self, identifier: str) -> int:
        for _ in range(_MAX_BASES):
            style = self._styles.get(identifier, _NO_STYLE)
            if style.level is not None:
                return style.level
            identifier = style.base
        return 0


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    text: list[str] = field(default_factory=list)


class _Body(Elements):
    def __init__(self, styles: _Styles) -> None:
        self.composer = Composer()
        self._styles = styles
        self._paragraphs: list[_Paragraph] = []  # those open: a text box is a paragraph within another
        self._passed_over = 0
        self._in_text = False

    def opened(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._passed_over or name in _PASSED_OVER:
            self._passed_over += 1
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name == "tr":
            self.composer.open_row()
        elif name == "tc":
            self.composer.open_cell()
        elif self._paragraphs:
            self._within_paragraph(self._paragraphs[-1], name, attributes)

    def closed(self, name: str) -> None:
        if self._passed_over:
            self._passed_over -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            paragraph = self._paragraphs.pop()
            level = paragraph.level if paragraph.level in _LEVELS else 0
            self.composer.add(Block("".join(paragraph.text), level=level))
        elif name == "tr":
            self.composer.close_row()

    def text(self, text: str) -> None:
        if self._in_text and not self._passed_over:
            self._paragraphs[-1].text.append(text)

    def _within_paragraph(self, paragraph: _Paragraph, name: str, attributes: Mapping[str, str]) -> None:
        if name == "t":
            self._in_text = True
        elif name == "pStyle":
            paragraph.level = self._styles.level(_value(attributes))
        elif name == "outlineLvl":
            paragraph.level = _outline_level(attributes)
        elif name in _CHARACTERS:
            paragraph.text.append(_CHARACTERS[name])
