"""Whatever a model writes and however it is cut: what goes out can be read in one way only.

The readers here share nothing with the code they check. They read a whole answer by the contract's sentence: outside
code (fenced, or inline to the line's end), links, footnote definitions and maths, ``[`` 1 to 3 digits ``]`` is a
marker. Where that leaves something open, there is a reader for each way to take it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from citestream.answer.markers import Markers

PASSAGES = 4

LINE_START = r"(?:[ \t\r>]|(?:[-+*]|[0-9]+[.)])(?=[ \t\r]))*"
DEFINITIONS = {
    "none": [],
    "footnotes": [rf"^{LINE_START}\[\^[^\[\]\n`$\\<]+\]:[^\n]*"],
    "all": [rf"^{LINE_START}\[(?:\^[^\[\]\n`$\\<]+|\d{{1,3}})\]:[^\n]*"],
}
DESTINATIONS = {"to its closing": r"\([^)\n]*\)", "over lines": r"\([^)]*\)", "without white space": r"\([^\s)]*\)"}
UNCLOSED_MATHS = {"is none": "", "ends with its paragraph": r"|\n[ \t\r>]*(?=\n)|\Z", "ends with the text": r"|\Z"}
ESCAPED_BACKTICK = {"opens code": [], "is text": [r"\\`"]}
BARE_URL = {"is text": [], "is a link": [r"https?://(?:[^\s<>\[\]`$\\]|\[(?=\d{1,3}\]))+"]}

INLINE_CODE = r"(?P<ticks>`+)(?:[^\n]*?(?<!`)(?P=ticks)(?!`)|[^\n]*)"
AUTOLINK = r"<[A-Za-z][A-Za-z0-9+.-]+:[^\s<>`$\\]*>"
MATHS_DELIMITERS = [(r"\$\$", r"\$\$"), (r"\\\(", r"\\\)"), (r"\\\[", r"\\\]")]
FENCE = re.compile(rf"{LINE_START}(?:(?P<ticks>`{{3,}})[^`]*|(?P<tildes>~{{3,}}).*)", re.DOTALL)


@dataclass(frozen=True)
class Reader:
    definitions: str
    destination: str
    unclosed_maths: str
    escaped_backtick: str
    bare_url: str

    def tokens(self) -> re.Pattern[str]:
        link = f"(?P<link>{DESTINATIONS[self.destination]})?"
        end = UNCLOSED_MATHS[self.unclosed_maths]
        maths = [rf"{opening}.*?(?:{closing}{end})" for opening, closing in MATHS_DELIMITERS]
        kinds = [
            *DEFINITIONS[self.definitions],
            *ESCAPED_BACKTICK[self.escaped_backtick],
            INLINE_CODE,
            *maths,
            AUTOLINK,
            *BARE_URL[self.bare_url],
            r"(?P<open>\[)(?:(?P<number>\d{1,3})\])?" + link,
            r"(?P<close>\])" + link.replace("link", "link_behind"),
        ]
        return re.compile("|".join(kinds), re.MULTILINE | re.DOTALL)

    def read(self, answer: str) -> list[tuple[int, int]]:
        """The offsets and numbers of the markers."""
        found: list[tuple[int, int]] = []
        opened: list[int] = []  # for each open bracket, how many markers there were before it
        text, at, tokens = "".join(without_fences(answer)), 0, self.tokens()
        while match := tokens.search(text, at):
            at = match.end()
            if match["number"] and not match["link"]:
                found.append((match.start(), int(match["number"])))
            elif match["open"] and not match["number"]:
                at = match.start() + 1
                opened.append(len(found))
            elif match["close"] and not (opened and match["link_behind"]):
                at = match.start() + 1
                del opened[-1:]
            elif match["close"]:
                del found[opened.pop() :]
        return found


def without_fences(answer: str) -> Iterator[str]:
    """The answer, its fenced code replaced by as many spaces."""
    closing = None
    for line in re.findall(r"[^\n]*\n|[^\n]+", answer):
        opening = None if closing else FENCE.fullmatch(line)
        yield re.sub(r"[^\n]", " ", line) if closing or opening else line
        if opening:
            run = opening["ticks"] or opening["tildes"]
            closing = re.compile(rf"[ \t\r>]*{run}{run[0]}*[ \t\r]*\n?")
        elif closing and closing.fullmatch(line):
            closing = None


READERS = [
    Reader(*choice)
    for choice in itertools.product(DEFINITIONS, DESTINATIONS, UNCLOSED_MATHS, ESCAPED_BACKTICK, BARE_URL)
]
CONTRACT = Reader("all", "to its closing", "is none", "opens code", "is text")


def readers(answer: str) -> Iterator[Reader]:
    """The readers for whom an answer can be made clear.

    Who takes an escaped backtick for text disagrees with everybody else about all code behind it; and no two agree on
    a destination that holds code or maths.
    """
    code_in_destination = re.search(r"\]\([^)\n]*[`$\\]", answer)
    tangled = any(each in answer for each in ("``", "](")) and "\\`" in answer
    for reader in READERS:
        if tangled and reader.escaped_backtick == "is text":
            continue
        if code_in_destination and reader.destination != "to its closing":
            continue
        yield reader


MARKERS = [
    "[1]",
    "[2]",
    "[3]",
    "[4]",
    "[9]",
    " [9]",
    " [1]",
    "[1, 3]",
    "[2-4]",
    "[[1]]",
    "【2】",
    "［３］",
    "[^4]",
    "[^1^]",
]
PARTS = ["[", "]", "【", "】", "[^", "^", "1", "2", ",", ", ", " and ", "-", "–", "4:0†s", "†", ":", "0", "12"]
CODE = ["`", "``", "```", "~~~", "~", "\n```\n", "```py\n", "`a[1]`", "\\`"]
MATHS = ["$", "$$", "\\", "\\(", "\\)", "\\[", "\\]", "\\\\", "$$x[1]$$"]
LINKS = ["(", ")", "](", "(u)", "[a](b)", "http://x", "://", "<", ">", "<ab:", "<b>", "!", '"']
LINES = ["\n", "\n\n", "\r\n", "[1]: ", "[3]:", "[^n]: ", "- ", "> ", "1. ", "# ", "\t", "\u2028"]
ASIDES = [
    "\n<think>[1] [9]</think>",
    "<think>",
    "</think>",
    "\nSources:\n",
    "\nSource: ",
    "\n- ",
    "\n1. ",
    "\n[2] a",
    "\n**",
    "\n---\n",
    "\n## References\n",
    '\n<source n="1">',
    "/>",
    "</source>",
    "Sour",
    "ces",
]
WORDS = ["a", "word ", " ", "  ", ".", ". ", "é", "🚀", "١", "\u200b", "\u00a0", "\x0b", "_", "*", "{", "}", "="]

pieces = st.one_of(
    st.sampled_from(MARKERS),
    st.sampled_from([*MARKERS, *PARTS, *CODE, *MATHS, *LINKS, *LINES, *ASIDES, *WORDS]),
    st.text("[]()`$\\~:^<>!/\n 19a.,-", max_size=4),
)
answers = st.lists(pieces, max_size=24).map("".join)
many = settings(max_examples=200, deadline=None, derandomize=True)


def transduced(pieces: list[str], passages: int = PASSAGES) -> tuple[str, Markers]:
    markers = Markers(passages)
    return "".join([*map(markers.feed, pieces), markers.close()]), markers


def marks(markers: Markers) -> list[tuple[int, int]]:
    return [(mark.offset, mark.number) for mark in markers.marks]


@many
@given(answers, st.data())
def test_the_cutting_changes_nothing(answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    cut = [answer[start:end] for start, end in itertools.pairwise([0, *cuts, len(answer)])]
    expected, whole = transduced([answer])
    for pieces in (cut, list(answer)):
        out, markers = transduced(pieces)
        assert out == expected
        assert marks(markers) == marks(whole)
        assert (markers.sources, markers.invalid) == (whole.sources, whole.invalid)


@many
@given(answers, st.integers(0, PASSAGES))
def test_numbers_are_1_to_m_by_first_appearance_and_stand_where_marks_say(answer: str, passages: int) -> None:
    out, markers = transduced([answer], passages)
    assert all(out.startswith(f"[{number}]", offset) for offset, number in marks(markers))
    assert list(dict.fromkeys(number for _, number in marks(markers))) == [*range(1, len(markers.sources) + 1)]
    assert sorted(set(markers.sources)) == sorted(markers.sources)
    assert set(markers.sources) <= set(range(1, passages + 1))


@many
@given(answers)
def test_every_reader_finds_the_same_citations(answer: str) -> None:
    out, markers = transduced([answer])
    # Escaped backticks and maths on one line: see `readers`; here the contract's own sentence is not enough.
    assume("\\`" not in out or not any(opening in out for opening in ("$$", "\\(", "\\[")))
    written = marks(markers)
    for reader in readers(out):
        found = reader.read(out)
        assert set(written) <= set(found), reader
        # What one reader takes for a marker and another doesn't, shows what has been cited before.
        for offset, number in set(found) - set(written):
            assert any(earlier < offset and number == cited for earlier, cited in written), (reader, offset)


@many
@given(answers)
def test_what_went_out_goes_through_unchanged(answer: str) -> None:
    out, markers = transduced([answer])
    # A heading that stayed may head a list where what stood between them has been left out.
    assume(not re.search("source|references", out, re.IGNORECASE))
    again, same = transduced([out], len(markers.sources))
    assert again == out
    assert marks(same) == marks(markers)
    assert (same.sources, same.invalid) == ([*range(1, len(markers.sources) + 1)], 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("a [1] [2][3], [1234] [x] []", [(2, 1), (6, 2), (9, 3)]),
        ("`a[1]` ``b`[1]`` [2]\n`c[1]\n[3]", [(17, 2), (27, 3)]),
        ("```\n[1]\n```\n[2]\n~~~ x\n[1]\n```\n[1]", [(12, 2)]),
        ("$$[1]$$ \\([1]\\) \\[[1]\\] $[2]$", [(25, 2)]),
        ("[1](a) ![1](b) [c [1]](d) <ab:[1]> [2] (e)", [(35, 2)]),
        ("[^1]: a [1]\n[1]: b\n[2]", [(19, 2)]),
    ],
)
def test_the_contract_read_by_itself(answer: str, expected: list[tuple[int, int]]) -> None:
    assert CONTRACT.read(answer) == expected
