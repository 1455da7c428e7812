"""Where sentences end, and where a stop ends none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.sentences import sentences

# Each is one text, its sentences set apart by ¦.
TEXTS = {
    "plain": "One. ¦Two! ¦Three? ¦Four",
    "closers": 'He said "Go." ¦Then (see below.) ¦**Bold.** ¦Cited.[1][23] ¦Last »so.« ¦End',
    "titles": "Dr. Smith met Mr. Jones vs. Prof. Miller. ¦They talked.",
    "initials": "J. R. R. Tolkien wrote it. ¦It sold.",
    "dotted": "Use a list, e.g. Python's, i.e. The one. ¦The U.S. Army came. ¦Done.",
    "references": "See Fig. 3, Sec. IV, pp. 5 and Eq. A1. ¦As Smith et al. (2019) said. ¦No. 5 lives.",
    "no is a word too": "She said no. ¦He went.",
    "months": "It was on Aug. 31 and Sept. 2. ¦Then it ended.",
    "numbers": "It costs 3.50 or v1.2.3 now. ¦In 2019. ¦That was late.",
    "lower case goes on": "Yahoo! is a firm, etc. and so on. ¦Wait … what? ¦Go to approx. five places.",
    "no capitals at all": "the tax was deferred. ¦a valuation was recorded.",
    "enumerators": "1. First point. ¦2. Second point.",
    "spaced ellipsis": "It went on . . . and on. ¦Then stopped.",
    "punctuation follows": "Truex Jr., the driver, won. ¦Who?! ¦Him.",
    "dot word": "We use it. ¦.NET runs. ¦![image](x.png) shows.",
    "german": "Das gilt z. B. am 3. Oktober, d. h. bald. ¦Siehe Abs. 2 und Nr. 5. ¦Ende.",
    "german titles": "Frau Dr. Müller kam bzw. Herr Prof. Weiß ging. ¦Gut.",
    "chinese": "今天晴。¦明天会下雨吗？¦会！！¦好",
    "japanese": "「行こう。」¦と言った。",
    "hindi": "यह वाक्य है। ¦दूसरा वाक्य।",
    "arabic": "هل هذا صحيح؟ ¦نعم.",
    "paragraphs": "No stop here\n\n¦Next paragraph\n \n¦Last",
    "hard wrapped": "A sentence over\ntwo lines. ¦The\nnext one.",
    "list": "Items:\n¦- one\n¦* two\n¦• three\n¦  1. four\n¦2) five",
    "quote and fence": "Text\n¦> quoted\n¦```\n¦code\n¦```\n¦rest",
    "headings": "# A heading\n¦Text below it\n¦## Another\n¦underlined\n---\n¦end",
    "table": "| a | b |\n¦|---|---|\n¦| 1 | 2 |\n¦after",
    "bare table": "a | b\n¦c | d\n¦after",
}


@pytest.mark.parametrize("name", TEXTS)
def test_sentences(name: str) -> None:
    marked = TEXTS[name]
    text = marked.replace("¦", "")
    expected = [part.strip() for part in marked.split("¦") if part.strip()]
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_only_the_span_asked_for_is_looked_at() -> None:
    text = "One. Two three. Four."
    assert [text[a:b] for a, b in sentences(text, 5, 12)] == ["Two thr"]
    assert [text[a:b] for a, b in sentences(text, 4)] == ["Two three.", "Four."]
    assert sentences(text, 4, 5) == []
    assert sentences("") == []


def test_a_stop_at_the_end_of_the_span_ends_a_sentence() -> None:
    text = "See Dr. Who"
    assert [text[a:b] for a, b in sentences(text, 0, 7)] == ["See Dr."]


ALPHABET = st.sampled_from([*'aZ1.!?…。। \n\t|#->*"”)][`$é\u0301', ". ", "\n\n", "Dr. ", "\n- ", "[1]", "z. B. "])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(ALPHABET, max_size=60).map("".join), st.integers(0, 20), st.integers(0, 80))
def test_sentences_cover_all_that_is_not_space_once(text: str, start: int, length: int) -> None:
    end = min(len(text), start + length)
    start = min(start, end)
    spans = sentences(text, start, end)
    covered = [index for a, b in spans for index in range(a, b)]
    assert covered == sorted(set(covered))
    assert {i for i in range(start, end) if not text[i].isspace()} <= set(covered) <= set(range(start, end))
    assert all(a < b and text[a:b] == text[a:b].strip() for a, b in spans)


@pytest.mark.parametrize(
    "text",
    [
        "." * 200_000 + "a",
        '."' * 100_000 + "a",
        "." + "[1]" * 60_000 + "x",
        "a." + " " * 200_000 + "b",
        ("\n" + " " * 500) * 400,
        "a" * 200_000 + ". b",
        "# " * 100_000,
        "a|" * 100_000,
    ],
    ids=["stops", "closed stops", "references", "spaces", "blank lines", "one word", "hashes", "pipes"],
)
def test_long_runs_take_linear_time(text: str) -> None:
    """Each takes some milliseconds; were one of them quadratic, the test would run into its timeout."""
    assert len(sentences(text)) <= 2
