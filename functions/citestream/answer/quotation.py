"""Sentences of documents as plain text, so that nothing in a quotation opens code, maths or a link, or looks like a
marker."""

from __future__ import annotations

import re

_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_NUMBERED = re.compile(r"\[\^?\d[\d\s,;–-]*\]|【[^】]*】|[［］]")
_MARKUP = re.compile(r"`+|~{3,}|\$\$|\\[()\[\]]|^[^\S\n]*(?:#{1,6}|[-*+•>]|\d{1,3}[.)])\s+|\*\*|__", re.MULTILINE)
# What came together only when what stood between has been taken out.
_OPENING = re.compile(r"\\(?=[()])|\$(?=\$)|~(?=~~)")
# At an answer's beginning, a tag may open what models think to themselves.
_FIRST_TAG = re.compile(r"((?:\d+[.)]|[^\w<])*)<")


def plain(text: str) -> str:
    """The text of a quotation: no markup, no bracketed numbers, one line."""
    text = _LINK.sub(r"\1", text)
    text = _MARKUP.sub("", _NUMBERED.sub("", text))
    text = " ".join(text.replace("[", "(").replace("]", ")").split())
    if text[:1] == text[-1:] == "|":  # a table's row
        text = text[1:-1].strip()
    text = _OPENING.sub(r"\g<0> ", text)
    tag = _FIRST_TAG.match(text)
    return f"{tag[1]}‹{text[tag.end() :]}" if tag else text


def without_heading(quoted: str, section: str | None) -> str:
    """Where no full stop or blank line parts them, headings run into the first sentence below them.

    Nothing is left of headings alone.
    """
    headings = section.split(" > ") if section else ()
    while quoted and quoted.partition("\n")[0] in headings:
        quoted = quoted.partition("\n")[2]
    return quoted


def marked(text: str, sources: tuple[int, ...]) -> str:
    """The text with its sources' markers before the full stop, where writers put them."""
    body = text.rstrip(".!?…。！？")
    return f"{body} {''.join(f'[{source}]' for source in sources)}{text[len(body) :] or '.'}"
