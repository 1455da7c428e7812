"""Markdown: the text stays as written, only its headings are found."""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from citestream.ingest.normal import normalise
from citestream.ingest.parsed import Heading, Parsed
from citestream.ingest.text import decoded

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# YAML between two lines of dashes at the very start; the last line of it would read as an underlined heading.
_FRONT_MATTER = re.compile(r"---\n(?:.+\n)*?(?:---|\.\.\.)(?=\n|\Z)")
_LONGEST_TITLE = 500  # of what is looked at: inline markup can be made slow to parse


def parse_markdown(data: bytes) -> Parsed:
    text = normalise(decoded(data))
    return Parsed(text, headings=_headings(text))


def _headings(text: str) -> tuple[Heading, ...]:
    front = _FRONT_MATTER.match(text)
    blanked = front.end() if front else 0
    source = "\n" * text.count("\n", 0, blanked) + text[blanked:]
    line_starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    tokens = _block_parser().parse(source)
    headings = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map and inline.content:
            start, end = (line_starts[line] for line in opening.map)
            headings.append(Heading(start, end - 1, int(opening.tag[1]), _plain(inline.content)))
    return tuple(headings)


def _plain(source: str) -> str:
    """A heading's text without its marks: ``*emphasis*``, `` `code` ``, ``[links](…)``."""
    (inline,) = _inline_parser().parseInline(source[:_LONGEST_TITLE])
    words = "".join(token.content or " " for token in inline.children or () if token.nesting == 0)
    return " ".join(words.split())


@cache
def _block_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@cache
def _inline_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")
