"""Markdown: the text as written, and its headings by CommonMark's rules."""

from __future__ import annotations

import pytest

from citestream.ingest.parse import parse_bytes

FRONT_MATTER = """---
title: Guide
# a comment
tags: [a, b]
---

# Guide
"""


def headings(source: str) -> list[tuple[int, str, str]]:
    """Level, title, and the heading as it stands in the text."""
    parsed = parse_bytes("a.md", source.encode())
    return [(h.level, h.title, parsed.text[h.start : h.end]) for h in parsed.headings]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# One #\n\ntext\n## Two", [(1, "One", "# One #"), (2, "Two", "## Two")]),
        ("Big\n===\ntext\n\nSmall\nstill\n---\n", [(1, "Big", "Big\n==="), (2, "Small still", "Small\nstill\n---")]),
        ("```\n# code\n```\n~~~\n# code\n~~~\n    # code\n", []),
        ("text\n\n> # quoted\n\n- # item\n", []),
        ("#hashtag\n\n####### seven\n\n#\n", []),
        (
            "# `code` *em* [link](http://x) ![alt](y) &amp; \\* a<br>b",
            [(1, "code em link alt & * a<br>b", "# `code` *em* [link](http://x) ![alt](y) &amp; \\* a<br>b")],
        ),
        (FRONT_MATTER, [(1, "Guide", "# Guide")]),
        ("---\n\n# After a rule\n\n---\n", [(1, "After a rule", "# After a rule")]),
        ("---\ntitle: x", []),
        ("\r\n# A\r\n\r\n\r\n\r\n# B\r\n", [(1, "A", "# A"), (1, "B", "# B")]),
    ],
    ids=["atx", "setext", "code", "nested", "none", "markup", "front matter", "rule", "open", "normalised"],
)
def test_headings(source: str, expected: list[tuple[int, str, str]]) -> None:
    assert headings(source) == expected


def test_the_text_stays_as_written() -> None:
    source = FRONT_MATTER + "\n* *item*\n\n| a | b |\n|---|---|\n\n```\n  code\n```"
    assert parse_bytes("a.markdown", source.encode()).text == source


@pytest.mark.parametrize(
    "source",
    ["# " + "![" * 100_000, "> " * 5_000 + "a", "[" * 100_000, "[a\n" * 10_000, "- a\n" * 10_000, "`" * 100_000],
    ids=["images", "quotes", "brackets", "references", "items", "ticks"],
)
def test_markup_made_to_be_slow_is_not(source: str) -> None:
    assert parse_bytes("a.md", source.encode()).text == source.strip("\n")
