"""What a model writes beside its answer, row by row: what goes out of it. Each row's id is the rule it keeps."""

from __future__ import annotations

import pytest

from citestream.answer.aside import _DROPPED, _TABLE
from citestream.answer.aside_names import ALONE, HEADINGS
from citestream.answer.markers import Mark, Markers

PASSAGES = 4


def check(answer: str, expected: str, sources: list[int], invalid: int = 0) -> None:
    for pieces in ([answer], list(answer)):
        markers = Markers(PASSAGES)
        assert "".join([*map(markers.feed, pieces), markers.close()]) == expected
        assert markers.sources == sources
        assert markers.invalid == invalid


REASONING = {
    "before the answer, with the lines behind it": ("<think>\nSo [3]…\n</think>\n\nA [2].", "A [1].", [2]),
    "its markers count for nothing, nor do its made-up ones": ("<think>[3] [99]</think>A [2].", "A [1].", [2]),
    "by each of its names, in any case": (
        "<thinking>a</thinking><Reasoning>b</reasoning>\n<THOUGHT>c</thought>A [2].",
        "A [1].",
        [2],
    ),
    "as a block of its own between paragraphs": (
        "A [2].\n\n<think>[3]\n</think>\n\nB [1].",
        "A [1].\n\nB [2].",
        [2, 1],
    ),
    "between two lines": ("A [2].\n<think>[3]</think>\nB [1].", "A [1].\nB [2].", [2, 1]),
    "a blank line behind it stays one": ("A.\n<think>[3]</think>\n \n\nB.", "A.\n\nB.", []),
    "the line goes on behind it": ("<think>a</think>A [2].", "A [1].", [2]),
    "with other tags in it": ("<think><b>a</b> </thin </think >b</think>A.", "A.", []),
    "with the sign of one in it": ("<think>a < b <</think>A.", "A.", []),
    "an answer's last": ("A [2].\n\n<think>B [3].</think>\n", "A [1].", [2]),
    "never closed, there is no answer": ("<think>A [2].\n\nB.", "", []),
    "never closed behind text, that is all": ("A [2].\n\n<think>B.\n\nC.", "A [1].", [2]),
    "a closing tag alone is left out": ("</think>\n\nA [2].\n</thinking>\nB.", "A [1].\nB.", [2]),
    "in a line of text it is text": ("The <think>tag</think> [2].", "The <think>tag</think> [1].", [2]),
    "in inline code it is text": ("`<think>[1]</think>` [2]", "`<think>[1]</think>` [1]", [2]),
    "in fenced code it is text": ("```\n<think>[1]\n</think>\n```\n[2]", "```\n<think>[1]\n</think>\n```\n[1]", [2]),
    "in maths it is text": ("$$\n<think>\n$$ [2]", "$$\n<think>\n$$ [1]", [2]),
    "another tag is text": ("<thinker>a</thinker> [2]\n<b>b</b>", "<thinker>a</thinker> [1]\n<b>b</b>", [2]),
    "an unfinished tag is text": ("A.\n<think", "A.\n<think", []),
    "in a list, in a quotation": ("- <think>[3]</think>a [2]\n> <think>b</think>c", "- a [1]\n> c", [2]),
}

ECHOES = {
    "of a source": ('<source n="1" document="a.md">\nA [3] b.\n</source>\n\nA [2].', "A [1].", [2]),
    "of all sources": ('<source n="1">\na\n</source>\n\n<source n="2">\nb\n</source>\nA [2].', "A [1].", [2]),
    "in a list of them": ('<sources>\n<source n="1">a</source>\n</sources>\nA [2].', "A [1].", [2]),
    "behind the answer": ('A [2].\n\n<source n="2" page="3">\n[1] b\n</source>', "A [1].", [2]),
    "of the turns before": ('<turn by="user">\na [3]\n</turn>\n\nA [2].', "A [1].", [2]),
    "with the marker of another in it": ('<source n="1">‹source n="2"> [3]</source>A [2].', "A [1].", [2]),
    "an empty tag is left out alone": ('<source n="1"/>A [2].\n<source n="1" / b//>B.', "A [1].\nB.", [2]),
    "never closed, it goes on to the end": ('A [2].\n\n<source n="1">\nB.\n\nC.', "A [1].", [2]),
    "a closing tag alone is left out": ("A [2].\n</source>\nB.", "A [1].\nB.", [2]),
    "a tag of HTML is text": ('<source src="a.mp4"> [2]', '<source src="a.mp4"> [1]', [2]),
    "in fenced code it is text": ('```\n<source n="1">\n```\n[2]', '```\n<source n="1">\n```\n[1]', [2]),
}

HEADED = {
    "a word and a colon": "Sources:",
    "a word": "References",
    "bold": "**Sources:**",
    "a colon behind bold": "**Sources**:",
    "emphasis": "_Sources_:",
    "a heading": "## References",
    "a bold heading": "### **Sources**",
    "a heading that is closed": "## Sources ##",
    "in capitals": "SOURCES:",
    "a heading that is underlined": "Sources\n-------",
    "a heading that is doubly underlined": "Sources\n=======",
    "of one source": "Source:",
    "of two words": "Works cited:",
    "with spaces": "Sources :  ",
    "German": "Quellen:",
    "French": "Sources\u00a0:",
    "Spanish": "**Referencias:**",
    "Russian": "Источники:",
    "Chinese": "参考资料：",
    "Japanese": "**出典**",
    "behind a rule": "---\n\n**Sources:**",
    "behind a rule of stars": "***\n## Sources",
    "in a list": "- **Sources:**",
    "with Windows' line end": "Sources:\r",
}

ITEMS = {
    "numbers in brackets": "[1] a.md\n[2] b.md, page 3",
    "one": "[1] a.md",
    "made-up ones": "[9] a.md\n[99] b.md",
    "footnotes": "[^1]: a.md\n[^2]: b.md",
    "definitions": "[1]: http://a.b/c\n[2]: http://a.b/d",
    "other brackets": "【1】 a.md\n［2］ b.md\n[[3]] c.md\n[1, 2–3] d.md",
    "bullets": "- a.md\n* b.md [1]\n+ c.md\n• d.md",
    "numbers in bullets": "- [1] a.md\n- **[2]** b.md",
    "bold numbers": "**[1]** a.md",
    "ordinals": "1. a.md\n2) b.md\n10. c.md",
    "links": "- [a](http://a.b)\n1. <http://a.b>",
    "items of several lines": "[1] a.md\n    page 3 [2]\n\n    page 4\n\tpage 5\n[2] b.md",
    "blank lines between": "[1] a.md\n\n[2] b.md\n \n\n[3] c.md",
    "indented": "  [1] a.md\n   - [2] b.md",
    "quoted": "> [1] a.md\n> [2] b.md",
    "echoes": '<source n="1">\na\n</source>\n<source n="2"/>\n[3] c.md',
    "an item without text": "1.\n2. a.md",
}

LISTS = {
    "text behind it stays": ("A [2].\n\nSources:\n[2] a.md\n\nB [3].", "A [1].\n\nB [2].", [2, 3]),
    "text right behind it stays": ("A [2].\nSources:\n[2] a.md\nB [3].", "A [1].\nB [2].", [2, 3]),
    "a paragraph behind it stays one": ("A.\nSources:\n- a.md\n\nB.", "A.\n\nB.", []),
    "a line of one blank behind it is text": ("A.\nSources:\n- a.md\n B.", "A.\n B.", []),
    "a year behind it is text": ("A.\nSources:\n- a.md\n\n2023 was [2].", "A.\n\n2023 was [1].", [2]),
    "emphasis behind it is text": ("A.\nSources:\n- a.md\n**B** [2].", "A.\n**B** [1].", [2]),
    "other brackets behind it are text": ("A.\nSources:\n- a.md\n[b] [2]", "A.\n[b] [1]", [2]),
    "a quotation behind it is text": ("A.\nSources:\n- a.md\n> b [2]", "A.\n> b [1]", [2]),
    "a tag behind it is text": ("A.\nSources:\n- a.md\n<b>c", "A.\n<b>c", []),
    "a rule behind it is text": ("A.\nSources:\n- a.md\n\n---\nB.", "A.\n\n---\nB.", []),
    "an underlined heading of text is text": ("A.\n\nSources\n---\nB.", "A.\n\nSources\n---\nB.", []),
    "code behind it is text": ("A.\nSources:\n- a.md\n```\n- b[1]\n```", "A.\n```\n- b[1]\n```", []),
    "another behind it is left out, too": ("A.\n\nSources:\n- a.md\n\n## Quellen\n- b.md\nC.", "A.\n\nC.", []),
    "reasoning behind it is left out, too": ("A.\nSources:\n- a.md\n<think>b</think>\nC.", "A.\nC.", []),
    "in a line, behind what is cited": ("A [2].\n\nSources: [1] a.md, [2] b.md", "A [1].", [2]),
    "in a line, bold": ("A [2].\n\n**Sources:** [2], [3]\n\nB.", "A [1].\n\nB.", [2]),
    "in a line, and lines": ("A [2].\nSources: [1] a.md\n[2] b.md\nB.", "A [1].\nB.", [2]),
    "in a line, where nothing else is cited, it stays": ("A.\n\nSources: [2][3]", "A.\n\nSources: [1][2]", [2, 3]),
    "in a line, a single source cites": (
        "A [2].\nSource: [3]\n\nB.\nSource: [2]",
        "A [1].\nSource: [2]\n\nB.\nSource: [1]",
        [2, 3],
    ),
    "a heading with nothing behind it, at the end": ("A [2].\n\n**Sources:**\n\n", "A [1].", [2]),
    "an item's beginning at the end": ("A [2].\n\nSources:\n\n[1", "A [1].", [2]),
    "a heading's beginning at the end is text": ("A.\n\n**Sourc", "A.\n\n**Sourc", []),
    "a heading's word at the end is text": ("A.\n\nSources", "A.\n\nSources", []),
    "a rule's at the end is text": ("A.\n\n---\n", "A.\n\n---\n", []),
    "a rule in an answer is text": ("A.\n\n---\n\nB [2].\n- - -\n--\n\nC", "A.\n\n---\n\nB [1].\n- - -\n--\n\nC", [2]),
    "two rules are text": ("A.\n***\n***\nSources:\n- b\nC.", "A.\n***\nC.", []),
    "a paragraph that begins so is text": (
        "A.\n\nSources: the team says [2].",
        "A.\n\nSources: the team says [1].",
        [2],
    ),
    "a heading of a paragraph is text": ("A.\n\n## Sources\n\nThe team [2].", "A.\n\n## Sources\n\nThe team [1].", [2]),
    "a heading of other brackets is text": ("A.\nSources:\n[a] b\n[20", "A.\nSources:\n[a] b\n[20", []),
    "a longer heading is text": ("A.\n\n## Sources of heat\n- sun [2]", "A.\n\n## Sources of heat\n- sun [1]", [2]),
    "a shorter word is text": ("A.\n\n**List:**\n- sun [2]", "A.\n\n**List:**\n- sun [1]", [2]),
    "an answer's first is its answer": ("**Sources:**\n- sun [2]\n- wind", "**Sources:**\n- sun [1]\n- wind", [2]),
    "behind reasoning alone, too": ("<think>a</think>\nSources:\n- sun [2]", "Sources:\n- sun [1]", [2]),
    "in fenced code it is text": (
        "```yaml\nsources:\n  - a[1]\n```\n[2]",
        "```yaml\nsources:\n  - a[1]\n```\n[1]",
        [2],
    ),
    "in a line of text it is text": ("A [2]. Sources:\n- b [3]", "A [1]. Sources:\n- b [2]", [2, 3]),
    "too many lines below its heading are text": (
        f"A.\nSources:{60 * chr(10)}- b [2]",
        f"A.\nSources:{60 * chr(10)}- b [1]",
        [2],
    ),
}


@pytest.mark.parametrize(("answer", "expected", "sources"), REASONING.values(), ids=REASONING)
def test_reasoning(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize(("answer", "expected", "sources"), ECHOES.values(), ids=ECHOES)
def test_an_echo_of_the_prompt(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize("heading", HEADED.values(), ids=HEADED)
def test_a_list_of_sources_is_left_out_by_its_heading(heading: str) -> None:
    check(f"A [2].\n\n{heading}\n[2] a.md\n[1] b.md\n", "A [1].", [2])


@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS)
def test_and_by_its_items(items: str) -> None:
    check(f"A [2].\n\nSources:\n{items}", "A [1].", [2])
    check(f"A [2].\n\nSources:\n\n{items}\nB [3].", "A [1].\n\nB [2].", [2, 3])


@pytest.mark.parametrize(("answer", "expected", "sources"), LISTS.values(), ids=LISTS)
def test_where_a_list_of_sources_begins_and_ends(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize("heading", sorted(HEADINGS))
def test_every_heading_is_known_whole_and_in_capitals(heading: str) -> None:
    for each in (heading, heading.capitalize(), heading.upper()):
        check(f"A [2].\n{each}:\n[1] a.md", "A [1].", [2])
    in_line = f"A [2].\n{heading}: [2]"
    check(in_line, in_line.replace("[2]", "[1]") if heading in ALONE else "A [1].", [2])


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["<", "think", ">", "a</think", ">", "\n\n", "A"], ["", "", "", "", "", "", "A", ""]),
        (["So", " it", " is."], ["So", " it", " is.", ""]),
        (["A.", "\n\n", "So", "u", "l"], ["A.", "", "", "", "\n\nSoul", ""]),
        (["A.", "\n\nSources:\n", "[2", "]", " a", "\n", "x"], ["A.", "", "", "", "", "", "\n\nx", ""]),
        (["A.\n", "- ", "x"], ["A.", "", "\n- x", ""]),
        (["A.\n", "\n"], ["A.", "", "\n\n"]),
    ],
)
def test_only_what_may_be_left_out_is_held_back(pieces: list[str], expected: list[str]) -> None:
    markers = Markers(PASSAGES)
    assert [*map(markers.feed, pieces), markers.close()] == expected


@pytest.mark.parametrize(
    "unit", ["Sources:\n\n", "## ", "list of sources list of ", "\n", "**Sources**:  \n \n", "<source n"]
)
def test_what_is_held_back_is_bounded(unit: str) -> None:
    text = "A.\n" + unit * 40
    markers, sent = Markers(PASSAGES), 0
    for at, char in enumerate(text, start=1):
        sent += len(markers.feed(char))
        assert at - sent <= 64
    assert sent + len(markers.close()) > len(text) - 64


def test_marks_count_what_goes_out() -> None:
    markers = Markers(PASSAGES)
    out = markers.feed("<think>[1]</think>\nA [2].\n\nSources:\n[2] a\n\nB [3].") + markers.close()
    assert out == "A [1].\n\nB [2]."
    assert markers.marks == [Mark(2, 1), Mark(10, 2)]


def test_every_phase_of_the_table_leads_to_another() -> None:
    moves = {move for row in _TABLE.values() for move in row.values() if isinstance(move, str)}
    assert moves <= _TABLE.keys()
    assert _TABLE.keys() >= _DROPPED
