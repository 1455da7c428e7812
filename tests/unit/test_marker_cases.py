"""What can go wrong with markers between a model and a reader, case by case.

A row that is about the text says what comes out of it; its id is the rule. What is about other parts of the program
is tested where these are: such a row says by which test.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from citestream.answer.markers import Mark, Markers

TESTS = Path(__file__).parent.parent
PASSAGES = 8

# case → rule → what a model writes, what goes out, the passages that are cited, how many numbers are made up
CASES: dict[str, dict[str, tuple[str, str, list[int], int]]] = {
    "a marker torn between tokens": {
        "is one marker, wherever it is torn": ("A [1, 3]【2】[[4]] b.", "A [1][2][3][4] b.", [1, 3, 2, 4], 0),
        "a bracket that closes one and opens another in one token": ("A [2][3] b.", "A [1][2] b.", [2, 3], 0),
        "what stands in the token behind it stays": ("A [2]. b [3].\nc", "A [1]. b [2].\nc", [2, 3], 0),
    },
    "a marker at the stream's beginning and end": {
        "is one": ("[2] a [3]", "[1] a [2]", [2, 3], 0),
        "one that is never finished is text, and not lost": ("A [1", "A [1", [], 0),
        "nor is a group that is never finished": ("A [1, 2", "A [1, 2", [], 0),
    },
    "a group": {
        "is one marker for each number": ("[1, 3] [1,3]", "[1][2] [1][2]", [1, 3], 0),
        "by any separator": ("[1 , 3] [1; 4] [1 and 5]", "[1][2] [1][3] [1][4]", [1, 3, 4, 5], 0),
        "of any length": (f"[{', '.join(map(str, range(1, 21)))}]", "[1][2][3][4][5][6][7][8]", [*range(1, 9)], 12),
    },
    "a range": {
        "is one marker for each number, by any dash": ("[1-3] [4–5]", "[1][2][3] [4][5]", [1, 2, 3, 4, 5], 0),
        "over more than twenty stands for its ends": ("[1-999] [1-999999]", "[1] [1-999999]", [1], 1),
        "in the wrong order counts upwards": ("[3-1]", "[1][2][3]", [1, 2, 3], 0),
    },
    "another dialect": {
        "double brackets": ("[[1]]", "[1]", [1], 0),
        "lenticular and full-width brackets, single and double": ("【1】［2］【【3】】", "[1][2][3]", [1, 2, 3], 0),
        "OpenAI's: the first number is the passage": ("【4:0†source】", "[1]", [4], 0),
        "a footnote's reference, Bing's": ("[^1] [^2^]", "[1] [2]", [1, 2], 0),
        "digits of any script": ("[١] [１] [१]", "[1] [1] [1]", [1], 0),
        "leading zeros": ("[01] [007]", "[1] [2]", [1, 7], 0),
    },
    "a number that no passage has": {
        "goes with its space, and is counted": ("A [99].", "A.", [], 1),
        "leaves the others of its group": ("A [1, 99].", "A [1].", [1], 1),
        "leaves the others of its sequence": ("A [1][2][99][3].", "A [1][2][3].", [1, 2, 3], 1),
        "zero is one": ("A [0].", "A.", [], 1),
    },
    "what looks like a marker": {
        "a negative number, a fraction, a word, nothing, a comma": ("[-1] [1.5] [abc] [] [,]",) * 2 + ([], 0),
        "a huge number": ("[12345678901234567890]",) * 2 + ([], 0),
        "sixty digits, open or closed, cost no more than other text": (f"[{'1' * 60}] [{'1' * 60}",) * 2 + ([], 0),
        "a year": ("[2023]",) * 2 + ([], 0),
        "a list's box": ("- [ ] a\n- [x] b",) * 2 + ([], 0),
    },
    "numbers": {
        "a passage cited again keeps its number": ("A [3]. B [5]. C [3].", "A [1]. B [2]. C [1].", [3, 5], 0),
        "gaps are closed, by first appearance": ("A [7], b [2], c [7].", "A [1], b [2], c [1].", [7, 2], 0),
    },
    "code": {
        "fenced": ("```\na[1]\n```\n[2]", "```\na[1]\n```\n[1]", [2], 0),
        "inline": ("`a[1]` [2]", "`a[1]` [1]", [2], 0),
        "fenced by tildes": ("~~~\na[1]\n~~~\n[2]", "~~~\na[1]\n~~~\n[1]", [2], 0),
        "fenced and never closed, to the end": ("[2]\n```\na[1]\n\nb[3]", "[1]\n```\na[1]\n\nb[3]", [2], 0),
    },
    "a link": {
        "its text is no marker": ("[1](http://a.b) [2]", "[1](http://a.b) [1]", [2], 0),
        "nor is an image's": ("![1](a.png) [2]", "![1](a.png) [1]", [2], 0),
        "a definition's label is renumbered with what it defines": ("[2]\n[2]: http://a", "[1]\n[1]: http://a", [2], 0),
        "a definition of what is not cited loses its label": ("[1]: http://a\n[2]", " http://a\n[1]", [2], 0),
    },
    "maths": {
        "between double dollars": ("$$x_{[1]}$$ [2]", "$$x_{[1]}$$ [1]", [2], 0),
        "with single dollars is text: they are money more often": ("$x_{[2]}$ $5", "$x_{[1]}$ $5", [2], 0),
        "a quotation's numbers are left to the answerer; in text they are markers": ("“a [12] b”", "“a b”", [], 1),
        "an escaped bracket opens maths": ("\\[1\\] [2]", "\\[1\\] [1]", [2], 0),
        "an escaped backslash opens none: all readers are told by a space": ("a\\\\[2]", "a\\\\ [1]", [2], 0),
        "what is cut off is closed, or readers would differ on what comes next": (
            "\\(a [1]\n\n[2]",
            "\\(a [1]\n\\)\n\n[1]",
            [2],
            0,
        ),
    },
    "what is none of the answer": {
        "reasoning: its markers don't count, true or made up": ("<think>[1] [99]</think>\n\nA [2].", "A [1].", [2], 0),
        "a list of sources of the model's own": ("A [2].\n\n**Sources:**\n[2] a.md\n[99] b.md", "A [1].", [2], 0),
        "an echo of the prompt's sources": ('<source n="1" document="a">\n[3]\n</source>\nA [2].', "A [1].", [2], 0),
    },
    "sentences": {
        "a marker before or behind the full stop stays there": ("A [2]. B. [3]", "A [1]. B. [2]", [2, 3], 0),
        "adjacent ones stay as they are, whatever is between": (
            "[2][3] [4]\n[5]\u200b[6]",
            "[1][2] [3]\n[4]\u200b[5]",
            [2, 3, 4, 5, 6],
            0,
        ),
        "no marker at all": ("A.", "A.", [], 0),
        "nothing but markers": ("[2][3]", "[1][2]", [2, 3], 0),
        "nothing": ("", "", [], 0),
        "a refusal keeps its citations": ("The documents don't say [2].", "The documents don't say [1].", [2], 0),
    },
    "characters": {
        "astral, combining, right to left": ("👩‍🚀 e\u0301 שלום [2] 𝒳[3]", "👩‍🚀 e\u0301 שלום [1] 𝒳[2]", [2, 3], 0),
        "line ends of all kinds": ("a\r\n[2]\nb\u2028[3]\u2029\x85c", "a\r\n[1]\nb\u2028[2]\u2029\x85c", [2, 3], 0),
    },
}

ELSEWHERE = {
    "for a marker there is exactly one citation, in its order": (
        "integration/test_torn_answers.py::test_markers_are_those_of_the_contract"
    ),
    "a number that no passage has is treated alike in stream and JSON": (
        "integration/test_torn_answers.py::test_a_torn_answer"
    ),
    "two passages of a document keep two numbers, each with its own place": (
        "integration/test_torn_answers.py::test_two_passages_of_one_document_are_two_citations"
    ),
    "copies of a passage are given once": "unit/test_selection.py::test_what_a_better_passage_says_is_left_out",
    "numbers inside quoted source text are left out": (
        "unit/test_quotation.py::test_quoted_text_opens_nothing_and_holds_no_marker"
    ),
    "a document's text ends no source and begins none": (
        "unit/test_prompt.py::test_no_text_ends_its_source_or_begins_another"
    ),
    "what a document tells a model to cite, it can't": (
        "integration/test_injections.py::test_what_an_obedient_model_is_told_and_what_comes_out"
    ),
    "a marker before or behind the full stop belongs to the same sentence": (
        "unit/test_citations.py::test_a_marker_belongs_to_the_sentence_it_follows"
    ),
    "a refusal has a low confidence, with markers or without": (
        "unit/test_pipeline.py::test_a_refusal_is_told_as_one_and_its_markers_have_their_citations"
    ),
    "what is held back is bounded": "unit/test_markers.py::test_what_is_held_back_is_bounded",
    "what may not become a marker is not held back": (
        "unit/test_markers.py::test_only_what_may_become_a_marker_is_held_back"
    ),
    "the tokens together are the JSON answer": (
        "integration/test_sse_streaming.py::test_the_json_answer_is_the_stream_put_together"
    ),
    "line ends in a token stay on the frame's one line": (
        "unit/test_sse.py::test_json_is_one_line_of_unescaped_utf8_whatever_the_text"
    ),
    "a character torn between a provider's bytes is whole": "integration/test_torn_answers.py::test_a_torn_answer",
    "a torn surrogate pair is whole": "unit/test_unicode_joiner.py::test_no_way_to_tear_a_text_changes_it",
    "empty pieces, none, usage alone, no choices": "integration/test_litellm.py::test_endings",
    "an excerpt is verbatim where its offsets say": (
        "unit/test_pipeline.py::test_an_excerpt_is_verified_in_the_document_as_it_is_now"
    ),
    "an excerpt begins and ends between whole characters": (
        "unit/test_excerpts.py::test_no_excerpt_begins_or_ends_within_a_character"
    ),
    "ligatures, soft hyphens, words broken at a line's end are resolved before offsets count": (
        "unit/test_parse_pdf.py::test_ligatures_and_soft_hyphens_are_resolved"
    ),
    "no-break spaces and line ends, too": "unit/test_parse_text.py::test_normal_form",
    "a turn's markers before the question are stripped": (
        "unit/test_history.py::test_answers_lose_their_markers_and_nothing_else"
    ),
    "a replay has the same ids, and nothing twice": (
        "integration/test_sse_streaming.py::test_sse_reconnection_resumes_from_last_event"
    ),
    "a citation comes after its token": "integration/test_sse_streaming.py::test_sse_events_streamed_in_correct_order",
    "an answer that is cancelled ends with a failure, once": (
        "integration/test_streams_http.py::test_delete_stops_the_answer_and_the_model"
    ),
    "so does one that takes too long": (
        "integration/test_streams_http.py::test_an_answer_that_takes_too_long_ends_and_the_model_with_it"
    ),
    "no other model begins anew once something was seen": (
        "integration/test_fallbacks.py::test_nobody_else_is_asked_once_something_was_seen"
    ),
    "who may not read a source any more reads no replay": (
        "unit/test_resume_access.py::test_what_counts_is_the_documents_list_as_it_is_now"
    ),
    "a document's removal leaves its answers' replays": (
        "unit/test_resume_access.py::test_what_has_been_removed_is_no_obstacle"
    ),
    "an excerpt of what has been replaced meanwhile is what stands there now": (
        "unit/test_pipeline.py::test_an_excerpt_that_stands_there_no_more_gives_way_to_what_does"
    ),
}


@pytest.mark.parametrize(
    ("answer", "expected", "sources", "invalid"),
    [pytest.param(*row, id=f"{case}: {rule}") for case, rows in CASES.items() for rule, row in rows.items()],
)
def test_a_case(answer: str, expected: str, sources: list[int], invalid: int) -> None:
    for width in range(1, len(answer) + 2):
        markers = Markers(PASSAGES)
        pieces = [answer[at : at + width] for at in range(0, len(answer), width)]
        assert "".join([*map(markers.feed, pieces), markers.close()]) == expected
        assert (markers.sources, markers.invalid) == (sources, invalid)


def test_the_other_cases_are_tested_where_they_are_said_to_be() -> None:
    for test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.MULTILINE), test


def test_offsets_count_code_points() -> None:
    markers = Markers(PASSAGES)
    out = markers.feed("👩‍🚀 e\u0301 [2], [9] 𝒳 [3]") + markers.close()
    assert markers.marks == [Mark(7, 1), Mark(14, 2)]
    assert [out[mark.offset : mark.offset + 3] for mark in markers.marks] == ["[1]", "[2]"]
