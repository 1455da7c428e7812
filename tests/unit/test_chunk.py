"""Chunks: whole sentences of one section and page, neither too long nor needlessly short."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.ingest.chunk import MAX_CHARACTERS, MAX_SECTION, PIECES, chunks
from citestream.ingest.parse import parse_bytes
from citestream.ingest.parsed import Heading, Parsed
from citestream.model import Chunk
from citestream.sentences import sentences

SENTENCE = "This sentence has ten words and says very little else. "  # 11 pieces with its full stop


def texts(parsed: Parsed) -> list[str]:
    return [parsed.text[chunk.start : chunk.end] for chunk in chunks(parsed)]


def words(text: str) -> int:
    return len(text.split())


def test_a_chunk_is_whole_sentences_of_some_170_words() -> None:
    parts = texts(Parsed(SENTENCE * 100))
    assert [words(part) for part in parts] == [200, 200, 200, 200, 200]
    assert all(part.startswith("This sentence") and part.endswith("else.") for part in parts)


@pytest.mark.parametrize("pieces", [PIECES // 2, PIECES, PIECES * 2])
def test_no_sentence_is_divided_that_fits(pieces: int) -> None:
    """Whatever the size, each chunk begins and ends where a sentence, a heading or a page does."""
    paragraph = "Dr. Ada, see p. 3, said so. It took 2.5 hours! Why? The rest follows (cf. Fig. 2) in part no. 4.\n\n"
    text = "".join(f"{'#' * (1 + i % 3)} Part {i}.\n\n{paragraph * (1 + i * i % 23)}" for i in range(12))
    parsed = parse_bytes("a.md", text.encode())
    parsed = Parsed(parsed.text, (0, parsed.text.index("Why?", len(text) // 2)), parsed.headings)
    found = chunks(parsed, pieces)
    spans = sentences(parsed.text, 0, parsed.page_starts[1]) + sentences(parsed.text, parsed.page_starts[1])
    assert {chunk.start for chunk in found} <= {start for start, _ in spans}
    assert {chunk.end for chunk in found} <= {end for _, end in spans}
    assert {heading.start for heading in parsed.headings} <= {chunk.start for chunk in found}
    assert pieces * 0.4 < max(words(parsed.text[chunk.start : chunk.end]) for chunk in found) < pieces


def test_a_short_text_is_one_chunk() -> None:
    assert chunks(Parsed(" Short.  Text. ")) == [Chunk(1, 14)]
    assert chunks(Parsed("")) == chunks(Parsed(" \n")) == []


def test_a_paragraph_ends_a_chunk_that_is_long_enough() -> None:
    paragraph = (SENTENCE * 15).strip()
    assert texts(Parsed(f"{paragraph}\n\n{paragraph}")) == [paragraph, paragraph]
    short = (SENTENCE * 5).strip()
    assert texts(Parsed(f"{short}\n\n{short}")) == [f"{short}\n\n{short}"]


def test_a_short_rest_is_evened_out() -> None:
    parts = texts(Parsed(SENTENCE * 22))
    assert [words(part) for part in parts] == [110, 110]


def test_a_short_rest_after_a_paragraph_joins_it() -> None:
    text = f"{(SENTENCE * 15).strip()}\n\nA page's footer."
    assert texts(Parsed(text)) == [text]


MARKDOWN = """Before all headings.

# Guide

## Install

Run it.

### Linux

Use apt.

## Use

# Index

Words.

# End
"""


def test_sections() -> None:
    parsed = parse_bytes("a.md", MARKDOWN.encode())
    found = [(chunk.section, parsed.text[chunk.start : chunk.end]) for chunk in chunks(parsed)]
    assert found == [
        (None, "Before all headings."),
        ("Guide > Install", "# Guide\n\n## Install\n\nRun it."),
        ("Guide > Install > Linux", "### Linux\n\nUse apt."),
        ("Index", "## Use\n\n# Index\n\nWords."),
        ("End", "# End"),
    ]


def test_all_chunks_of_a_long_section_name_it() -> None:
    parsed = parse_bytes("a.md", f"# A\n\n{SENTENCE * 100}".encode())
    assert [chunk.section for chunk in chunks(parsed)] == ["A"] * 6


def test_levels_that_are_skipped_or_start_deep() -> None:
    source = "### Deep\n\na\n\n# Top\n\nb\n\n#### Far below\n\nc\n\n## Between\n\nd"
    parsed = parse_bytes("a.md", source.encode())
    assert [chunk.section for chunk in chunks(parsed)] == ["Deep", "Top", "Top > Far below", "Top > Between"]


def test_a_long_section_path_is_cut() -> None:
    parsed = Parsed("Title text", headings=(Heading(0, 5, 1, "t" * 299 + " u"),))
    assert chunks(parsed) == [Chunk(0, 10, None, "t" * 299 + "…")]
    assert len("t" * 299 + "…") == MAX_SECTION


def test_pages_end_chunks() -> None:
    text = "One starts here and\n\ngoes on. Two.\n\nThree."
    parsed = Parsed(text, page_starts=(0, 21, 36, 36))
    found = [(chunk.page, text[chunk.start : chunk.end]) for chunk in chunks(parsed)]
    assert found == [(1, "One starts here and"), (2, "goes on. Two."), (4, "Three.")]


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("word " * 2_000, 220 * 5),
        ("x" * 10_000, MAX_CHARACTERS),
        ("黑豹队的防守只丢了三百零八分" * 200, 220),
        ("黑豹队的防守。" * 200, 220),
        ("ขอต้อนรับสู่ประเทศไทย" * 200, 660),
        ("1234567890 " * 1_000, 605),
        ("€ % & " * 500, 440),
        ("a.  " + " " * 3_000 + "b.", 2),
    ],
    ids=["no full stop", "one word", "chinese", "chinese sentences", "thai", "digits", "signs", "gap"],
)
def test_what_is_long_without_sentences_or_spaces_is_cut(text: str, longest: int) -> None:
    parts = texts(Parsed(text))
    assert max(map(len, parts)) <= longest
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_whole_words_where_there_are_any() -> None:
    parts = texts(Parsed("unbroken " * 500))
    assert all(set(part.split()) == {"unbroken"} for part in parts)


@pytest.mark.parametrize(
    "character",
    ["e\u0301\u0323", "👩🏽\u200d🔬", "❤\ufe0f", "न\u0947", "🇩🇪"],
    ids=["marks", "joined emoji", "variation", "vowel sign", "flag"],
)
def test_no_cut_within_a_character(character: str) -> None:
    for shift in range(len(character)):
        parts = texts(Parsed("x" * shift + character * 600))
        assert len(parts) > 1
        assert all(part.startswith(character) for part in parts[1:])


def test_a_character_longer_than_a_chunk_is_cut_all_the_same() -> None:
    assert [len(part) for part in texts(Parsed("a" + "\u0301" * 2_999))] == [2_000, 1_000]


PARTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [SENTENCE, "\n\n", "\n", " ", "x" * 300, "黑" * 150, "e\u0301" * 80, "word " * 90, " " * 700, "a. "]
    ),
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(PARTS, max_size=25).map("".join),
    st.lists(st.integers(0, 3_000), max_size=4),
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 9), st.integers(1, 6)), max_size=5),
)
def test_chunks_cover_all_that_is_not_space_once(
    text: str, pages: list[int], places: list[tuple[int, int, int]]
) -> None:
    page_starts = (0, *sorted(min(page, len(text)) for page in pages)) if pages else ()
    headings = tuple(
        Heading(start, min(start + length, len(text)), level, "T")
        for start, length, level in sorted(places)
        if start < len(text)
    )
    found = chunks(Parsed(text, page_starts, headings))
    covered = [index for chunk in found for index in range(chunk.start, chunk.end)]
    assert covered == sorted(set(covered))
    assert {i for i, char in enumerate(text) if not char.isspace()} <= set(covered)
    for chunk in found:
        part = text[chunk.start : chunk.end]
        assert part
        assert part == part.strip()
        assert len(part) <= MAX_CHARACTERS
        assert (chunk.page is None) == (not pages)
    assert found == chunks(Parsed(text, page_starts, headings))


@pytest.mark.parametrize(
    "text", ["a. " * 100_000, "a\u0301" * 100_000, "\n\na" * 100_000, "a " * 100_000 + " " * 200_000]
)
def test_long_texts_take_linear_time(text: str) -> None:
    """Each takes less than a second; were one of them quadratic, the test would run into its timeout."""
    assert len(chunks(Parsed(text))) > 100
