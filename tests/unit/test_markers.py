"""Markers, row by row: what a model writes, what goes out, and what that cites. Each row's id is the rule it keeps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType

import pytest

from citestream.answer.markdown_places import TABLE
from citestream.answer.markers import Mark, Markers

PASSAGES = 8

Row = tuple[str, str, list[int]] | tuple[str, str, list[int], int]


def fed(pieces: Sequence[str], passages: int = PASSAGES) -> tuple[str, Markers]:
    markers = Markers(passages)
    return "".join([*map(markers.feed, pieces), markers.close()]), markers


def check(answer: str, expected: str, sources: list[int], invalid: int = 0) -> None:
    for pieces in ([answer], list(answer)):
        out, markers = fed(pieces)
        assert out == expected
        assert markers.sources == sources
        assert markers.invalid == invalid


NUMBERING = {
    "renumbered by first appearance": ("A [7], b [2], c [7].", "A [1], b [2], c [1].", [7, 2]),
    "the same passage twice has one number": ("A [3]. B [3].", "A [1]. B [1].", [3]),
    "two passages keep two numbers whatever their documents are": ("A [4][5].", "A [1][2].", [4, 5]),
    "adjacent ones stay adjacent": ("A [1][2]\n[3]\u200b[4]", "A [1][2]\n[3]\u200b[4]", [1, 2, 3, 4]),
    "first and last in the text": ("[2] starts, ends [1]", "[1] starts, ends [2]", [2, 1]),
    "nothing but markers": ("[3][1]", "[1][2]", [3, 1]),
    "no marker at all": ("Plain text, nothing else.", "Plain text, nothing else.", []),
    "an empty answer": ("", "", []),
    "before or after the full stop": ("One [2]. Two. [1]", "One [1]. Two. [2]", [2, 1]),
    "an index in prose is a marker": ("array[2] holds", "array[1] holds", [2]),
    "in maths with single dollars": ("$x_{[2]}$", "$x_{[1]}$", [2]),
    "in emphasis, tables, HTML": ("**[2]** | [3] | <sup>[2]</sup>", "**[1]** | [2] | <sup>[1]</sup>", [2, 3]),
    "in indented text": ("    a[2]", "    a[1]", [2]),
    "combining marks, right-to-left, emoji": ("e\u0301 [2] שלום [1] 👩‍🚀[2]", "e\u0301 [1] שלום [2] 👩‍🚀[1]", [2, 1]),
    "all kinds of line ends": ("a [2]\r\nb [1]\u2028c [2]", "a [1]\r\nb [2]\u2028c [1]", [2, 1]),
}

DIALECTS = {
    "comma": ("[1, 3]", "[1][2]", [1, 3]),
    "comma without a space": ("[3,1]", "[1][2]", [3, 1]),
    "space before the comma": ("[1 , 3]", "[1][2]", [1, 3]),
    "semicolon": ("[1; 3]", "[1][2]", [1, 3]),
    "and": ("[1 and 3]", "[1][2]", [1, 3]),
    "comma and and": ("[1, 2, and 3]", "[1][2][3]", [1, 2, 3]),
    "ampersand": ("[1 & 3]", "[1][2]", [1, 3]),
    "Chinese and Arabic commas": ("[1，2、3] [4،5؛6]", "[1][2][3] [4][5][6]", [1, 2, 3, 4, 5, 6]),
    "each number of a group once": ("[2, 2, 1, 2]", "[1][2]", [2, 1]),
    "range": ("[2-4]", "[1][2][3]", [2, 3, 4]),
    "range with an en dash": ("[2–4]", "[1][2][3]", [2, 3, 4]),
    "range with spaces": ("[2 — 4]", "[1][2][3]", [2, 3, 4]),
    "range of one": ("[2-2]", "[1]", [2]),
    "reversed range": ("[4-2]", "[1][2][3]", [2, 3, 4]),
    "ranges in a group": ("[1, 3-4; 6]", "[1][2][3][4]", [1, 3, 4, 6]),
    "double brackets": ("[[2]]", "[1]", [2]),
    "double brackets around a group": ("[[2, 3]]", "[1][2]", [2, 3]),
    "lenticular brackets": ("【2】", "[1]", [2]),
    "full-width brackets": ("［2］", "[1]", [2]),
    "double lenticular brackets": ("【【2】】", "[1]", [2]),
    "OpenAI's": ("【4:0†source】", "[1]", [4]),
    "OpenAI's with lines": ("【2†L1-L5】【3†my file.md】", "[1][2]", [2, 3]),
    "footnote": ("[^2]", "[1]", [2]),
    "Bing's": ("[^2^][^3^]", "[1][2]", [2, 3]),
    "footnotes in a group and a range": ("[^1, ^3] [^1^,^3^] [^4-^5]", "[1][2] [1][2] [3][4]", [1, 3, 4, 5]),
    "leading zeros": ("[01] [002]", "[1] [2]", [1, 2]),
    "Arabic-Indic digits": ("[٣]", "[1]", [3]),
    "full-width digits": ("[３]", "[1]", [3]),
    "Devanagari digits": ("[३]", "[1]", [3]),
    "a group longer than what is held": (f"[1, {'2, ' * 30}3]", "[1][2][3]", [1, 2, 3]),
    "a group of all, and none of them twice": (
        f"[{'1 and ^2^, 3 – 5; ' * 9}8]",
        "[1][2][3][4][5][6]",
        [1, 2, 3, 4, 5, 8],
    ),
    "a long group in double brackets": (f"[[{'4, ' * 30}2]]", "[1][2]", [4, 2]),
    "and in other ones": (f"【{'4、' * 60}2】", "[1][2]", [4, 2]),
    "no-break spaces": ("[1,\u00a03] [1\u202f–\u202f2]", "[1][2] [1][3]", [1, 3, 2]),
}

TEXT = {
    "four digits and more": "[2023] [1234] [0001] [1, 2023] [1-9999]",
    "a run of sixty digits": f"[{'1' * 60}] 【1:{'1' * 60}†a】",
    "negative, decimal, words": "[-1] [1.5] [abc] [1a] [a1] [v1]",
    "empty": "[] [,] [ ] [^] [^^] 【】",
    "task list": "- [ ] open\n- [x] done",
    "white space at the brackets": "[ 1 ] [1 ] [ 1]",
    "separators without a number": "[1,] [,1] [1,,2] [1;] [1 and] [1 &, 2] [-2] [1-]",
    "separated by space only, by other words": "[1 2] [1 or 2] [1/2] [1:2] [1+2]",
    "more than one dash": "[1-2-3] [1--3]",
    "raised to a power": "[2^3] [^1^2] [^1^ ^2]",
    "mixed brackets": "[1】 【1] ［1]",
    "over a line's end": "[1,\n2] [1\n] [\n1]",
    "superscript digits are no digits": "[¹] [²]",
    "no dagger": "【4:0】 [4:30]",
    "not closed": "[1 of them, [2 and",
    "never opened": "1] and 2]]",
    "a name longer than what is held": f"【1†{'a' * 60}】",
}

MADE_UP = {
    "out of range": ("A [9] b [99].", "A b.", [], 2),
    "zero": ("A [0][00] b.", "A b.", [], 2),
    "part of a group": ("A [1, 99].", "A [1].", [1], 1),
    "part of a range": ("A [7-9].", "A [1][2].", [7, 8], 1),
    "a range too long stands for its ends": ("A [1-999].", "A [1].", [1], 1),
    "a longest range": ("A [1-20].", "A [1][2][3][4][5][6][7][8].", [1, 2, 3, 4, 5, 6, 7, 8], 12),
    "among others": ("A [9][3][10][1].", "A [1][2].", [3, 1], 2),
    "counted once in a group, each time in the text": ("A [9, 9]. B [9].", "A. B.", [], 2),
    "in every dialect": ("A 【9】. B [^9]. C [[9]]. D 【9:1†x】. E [٩].", "A. B. C. D. E.", [], 5),
    "takes its space before punctuation": ("A [9], b [9]; c [9]! D [9]? (E [9])", "A, b; c! D? (E)", [], 5),
    "takes its space at the end": ("A [9]", "A", [], 1),
    "takes its space at a line's end": ("A [9]\nB [9]\r\n", "A\nB\r\n", [], 2),
    "takes its space before another": ("A [9] [10] b.", "A b.", [], 2),
    "leaves the space between words": ("A [9]b. A [9]: b. A [9] (b)", "A b. A : b. A (b)", [], 3),
    "leaves one side of none": ("A[9]b", "Ab", [], 1),
    "leaves two spaces alone": ("A  [9].", "A .", [], 1),
    "of a refusal": (
        "The documents do not answer this question. [9]",
        "The documents do not answer this question.",
        [],
        1,
    ),
    "leaves what cannot become a marker: outer number": ("[1[99]]", "[1  ]", [], 1),
    "leaves what cannot become a marker: inner number": ("[[9]1]", "[  1]", [], 1),
    "leaves what cannot become a marker: parts": ("[1[99]2] [1, [99]2]", "[1  2] [1,   2]", [], 2),
    "leaves what cannot become a group": ("[1[99], 2]", "[1  , 2]", [], 1),
    "leaves what cannot become a link": ("A [1][99](see b)", "A [1] (see b)", [1], 1),
    "leaves what cannot become a definition": ("[1][99]: b", "[1] : b", [1], 1),
    "leaves what cannot become double brackets": ("[[1][99]]", "[ [1] ]", [1], 1),
    "leaves what cannot become other code": ("`a`[99]`b`", "`a` `b`", [], 1),
    "closes the code whose closing fence it follows": ("```\na[1]\n``` [99] b [2]", "```\na[1]\n``` \n b [1]", [2], 1),
    "leaves what cannot become maths": ("$[99]$5 [1]", "$ $5 [1]", [1], 1),
}

LONG_GROUPS = {
    "of twenty": (f"A [{', '.join(map(str, range(1, 21)))}].", "A [1][2][3][4][5][6][7][8].", [*range(1, 9)], 12),
    "of made-up ones first": (f"A [{'9, ' * 30}2] b.", "A [1] b.", [2], 1),
    "of made-up ones alone": (f"A [{'9, ' * 30}10] b. C[{'9, ' * 30}9].", "A b. C.", [], 3),
    "that isn't closed is cited as far as it was held": (f"A [{'2, ' * 19}3, 4 of them", "A [1], 3, 4 of them", [2]),
    "that isn't closed at the end": (f"A [{'2, ' * 19}3", "A [1], 3", [2]),
    "that is not one in the end": (f"A [{'2, ' * 19}2023].", "A [1], 2023].", [2]),
    "half closed": (f"[[{'2, ' * 19}3] a]", "[1][2] a]", [2, 3]),
    "before a parenthesis is no link": (f"A [{'2, ' * 19}3](b)", "A [1][2] (b)", [2, 3]),
    "as long as what is held": (f"A [{'2, ' * 18}3] b [{'2,' * 28}3](c)", "A [1][2] b [1][2] (c)", [2, 3]),
    "after a bare URL": (f"http://a.b[{'2, ' * 19}3]", "http://a.b [1][2]", [2, 3]),
    "behind a closing fence": (f"```\na\n```[{'2, ' * 19}3]", "```\na\n```\n[1][2]", [2, 3]),
    "in code": (f"`[{'2, ' * 19}3]`", f"`[{'2, ' * 19}3]`", []),
}

NESTED = {
    "an unmatched outer bracket is text": ("[[2] and more]", "[ [1] and more]", [2]),
    "a third bracket is text": ("[[[2]]]", "[ [1]]", [2]),
    "of a run of brackets, all but two": ("a [[[[[[2]] 【【【3】】 [[[[b]", "a [[[[ [1] 【[2] [[[[b]", [2, 3]),
    "two in one pair": ("[[2], [3]]", "[ [1], [2]]", [2, 3]),
    "in brackets of another kind": ("[【2】] 【[3]】", "[ [1]] 【[2]】", [2, 3]),
    "after an opened one": ("[1 [2]", "[1 [1]", [2]),
}

CODE = {
    "inline": ("`a[1]` [2]", "`a[1]` [1]", [2]),
    "inline with two backticks": ("``a`[1]`` [2]", "``a`[1]`` [1]", [2]),
    "a longer run doesn't close": ("`a``[1]` [2]", "`a``[1]` [1]", [2]),
    "inline, not closed, to the line's end": ("`a[1] b [2]\nc [3]", "`a[1] b [2]\nc [1]", [3]),
    "inline, not closed, to the text's end": ("a `b[1]", "a `b[1]", []),
    "two backticks, not closed": ("``a` [1]\n[2]", "``a` [1]\n[1]", [2]),
    "three backticks in a line are inline": ("a ```b[1]``` [2]\n[3]", "a ```b[1]``` [1]\n[2]", [2, 3]),
    "three backticks and a backtick behind are inline": ("```b[1]``` [2]\n[3]", "```b[1]``` [1]\n[2]", [2, 3]),
    "every dialect stays": ("`【1】 [[2]] [1, 2] [99]`", "`【1】 [[2]] [1, 2] [99]`", []),
    "fenced": ("```py\na[1]\n```\n[2]", "```py\na[1]\n```\n[1]", [2]),
    "fenced with tildes": ("~~~ py `[1]\na[1]\n~~~\n[2]", "~~~ py `[1]\na[1]\n~~~\n[1]", [2]),
    "fenced, not closed, to the text's end": ("```\na[1]\n\nb [2]", "```\na[1]\n\nb [2]", []),
    "fenced, empty": ("```\n```\n[2]", "```\n```\n[1]", [2]),
    "a fence in a fence": ("````\n```\na[1]\n```\n````\n[2]", "````\n```\na[1]\n```\n````\n[1]", [2]),
    "tildes in backticks": ("```\n~~~\na[1]\n```\n[2]", "```\n~~~\na[1]\n```\n[1]", [2]),
    "backticks in tildes": ("~~~~\n```\n~~~\na[1]\n~~~~\n[2]", "~~~~\n```\n~~~\na[1]\n~~~~\n[1]", [2]),
    "a fence's line has nothing behind it": ("```\na[1]\n``` b\n[2]", "```\na[1]\n``` b\n[2]", []),
    "blanks behind a closing fence": ("```\na[1]\n``` \t\r\n[2]", "```\na[1]\n``` \t\r\n[1]", [2]),
    "a longer closing fence": ("```\na[1]\n`````\n[2]", "```\na[1]\n`````\n[1]", [2]),
    "a backtick after a closing fence": ("```\na\n``` `\n[2]", "```\na\n``` `\n[2]", []),
    "in a list": ("- a\n\n    ```\n    b[1]\n    ```\n- [2]", "- a\n\n    ```\n    b[1]\n    ```\n- [1]", [2]),
    "right in a list's item": ("1. ```\n   b[1]\n   ```\n2. [2]", "1. ```\n   b[1]\n   ```\n2. [1]", [2]),
    "in a quotation": ("> ```\n> b[1]\n> ```\n> [2]", "> ```\n> b[1]\n> ```\n> [1]", [2]),
    "tildes in a line, and two of them, are text": ("a ~~~ [2]\n~~b [3]~~", "a ~~~ [1]\n~~b [2]~~", [2, 3]),
    "a marker behind a closing fence closes it": ("```\na[1]\n```[2] b [1]", "```\na[1]\n```\n[1] b [2]", [2, 1]),
    "a definition's label behind one, too": ("```\na[1]\n``` [2]: b [1]", "```\na[1]\n``` \n b [1]", [1]),
    "a link behind a closing fence doesn't": ("```\na\n```[1](b)\n[2]", "```\na\n```[1](b)\n[2]", []),
    "one in brackets, too": ("```\na[1]\n```[[2] b", "```\na[1]\n```\n[ [1] b", [2]),
}

MATHS = {
    "dollars": ("$$x_{[1]}$$ [2]", "$$x_{[1]}$$ [1]", [2]),
    "dollars over lines": ("$$\nx[1]\n5\n$$\n[2]", "$$\nx[1]\n5\n$$\n[1]", [2]),
    "parentheses": ("\\(x[1]\\) [2]", "\\(x[1]\\) [1]", [2]),
    "brackets": ("\\[x[1]\\] [2]", "\\[x[1]\\] [1]", [2]),
    "brackets over lines, in a quotation": ("> \\[\n> x[1]\n> \\]\n[2]", "> \\[\n> x[1]\n> \\]\n[1]", [2]),
    "a backslash that is escaped opens none": ("a\\\\[1] \\\\(b [2]) c", "a\\\\ [1] \\\\ (b [2]) c", [1, 2]),
    "nor before other brackets": ("a\\\\[b] \\\\[[2]] \\\\【3】", "a\\\\ [b] \\\\ [1] \\\\ [2]", [2, 3]),
    "nor before what is made up": ("a\\\\[9](b c) \\\\[9][b] [2]", "a\\\\ (b c) \\\\ [b] [1]", [2], 2),
    "nor before a link": ("\\\\[1](b) [2]", "\\\\ [1](b) [1]", [2]),
    "a third backslash does": ("\\\\\\[1\\] [2]", "\\\\\\[1\\] [1]", [2]),
    "an escaped marker": ("\\[1\\] [2]", "\\[1\\] [1]", [2]),
    "other closings don't": ("$$a\\)[1]\\]$$ \\(a$[1]$\\) [2]", "$$a\\)[1]\\]$$ \\(a$[1]$\\) [1]", [2]),
    "a backslash and another": ("\\(a\\\\[1]\\) [2]", "\\(a\\\\[1]\\) [1]", [2]),
    "other escaped brackets are text": ("\\【1】 [2]", "\\【1】 [1]", [2]),
    "a single dollar is text": ("$5 [2] and $6 [1]", "$5 [1] and $6 [2]", [2, 1]),
    "not closed, it ends with the paragraph, and is closed there": ("$$a [1]\n\n[2]", "$$a [1]\n$$\n\n[1]", [2]),
    "and so for parentheses": ("\\(a [1]\n \n[2]", "\\(a [1]\n \\)\n\n[1]", [2]),
    "and without a number, as another one may follow": ("$$a\n\n[2] $$b", "$$a\n$$\n\n[1] $$b", [2]),
    "it ends at a fence": ("\\(a\n```\n[1]\n\n[1]\n```\n[2]", "\\(a\n\\)\n```\n[1]\n\n[1]\n```\n[1]", [2]),
    "it ends at a fence in a list": ("\\(a\n- ~~~\n[1]\n~~~\n[2]", "\\(a\n- \\)\n~~~\n[1]\n~~~\n[1]", [2]),
    "a line of it may be a number": ("$$\n5\n6 [1]\n$$ [2]", "$$\n5\n6 [1]\n$$ [1]", [2]),
    "not closed at the text's end, it is closed for a number": ("a \\(b [1]", "a \\(b [1]\\)", []),
    "even for its own": ("a \\[1] b", "a \\[1] b\\]", []),
    "or for what would else be a link": ("[[2] $$](a)", "[ [1] $$](a)$$", [2]),
    "and only for these": ("The PID is $$.", "The PID is $$.", []),
    "an only closing is text": ("a \\] [2] b \\) [1]", "a \\] [1] b \\) [2]", [2, 1]),
}

LINKS = {
    "a link's text": ("[1](http://a.b/c) [2]", "[1](http://a.b/c) [1]", [2]),
    "a relative link's, a fragment's, an empty one's": ("[1](/a) [2](#b) [3]()", "[1](/a) [2](#b) [3]()", []),
    "a group, a footnote as a link's text": ("[1, 3](a) [^1](a)", "[1, 3](a) [^1](a)", []),
    "a number that is made up": ("[99](http://a.b)", "[99](http://a.b)", []),
    "an image's": ("![1](a.png) [2]", "![1](a.png) [1]", [2]),
    "an exclamation is no image": ("Great![2]", "Great![1]", [2]),
    "double brackets become single ones": ("[[1]](http://a.b)", "[1](http://a.b)", []),
    "a parenthesis that no link has is kept off": ("[2](see b), [3]( x)", "[1] (see b), [2] ( x)", [2, 3]),
    "one that isn't closed, too": ("[2](http://a.b\n[3](c", "[1] (http://a.b\n[2] (c", [2, 3]),
    "one that holds a marker, too": ("[2]([3])", "[1] ([2])", [2, 3]),
    "a made-up marker before a parenthesis": ("A [99](see b)", "A (see b)", [], 1),
    "only square brackets make links": ("【2】(http://a.b)", "[1] (http://a.b)", [2]),
    "a destination too long to wait for": (f"[1](http://a.b/{'c' * 70}) [2]", f"[1](http://a.b/{'c' * 70}) [1]", [2]),
    "and never closed": (f"[1](http://a.b/{'c' * 70} [2]", f"[1](http://a.b/{'c' * 70}) [1]", [2]),
    "and never closed at the end": (f"[1](http://a.b/{'c' * 70}", f"[1](http://a.b/{'c' * 70})", []),
    "a destination with brackets": ("[a](b[1]) [c](d?e[0]=[2]&f) [3]", "[a](b[1]) [c](d?e[0]=[2]&f) [1]", [3]),
    "one with brackets that isn't closed": ("[a](b[1] c [2]", "[a](b[1]) c [1]", [2]),
    "one that a line's end cuts off": ("[a](b\n[2]", "[a](b)\n[1]", [2]),
    "brackets with a marker are no link": ("[see [2] b](http://a.b)", "[see [1] b] (http://a.b)", [2]),
    "nor are such around other brackets": ("[a [b] [2]](c) [d [e]](f[1])", "[a [b] [1]] (c) [d [e]](f[1])", [2]),
    "an image as a link's text": ("[![a](b[1])](c[1]) [2]", "[![a](b[1])](c[1]) [1]", [2]),
    "a stray bracket is no link": ("a](b [2])", "a] (b [1])", [2]),
    "one of an earlier paragraph is none": ("[a\n\nb](c [2])", "[a\n\nb] (c [1])", [2]),
    "text and a marker are no reference": ("[a][2]", "[a][1]", [2]),
    "an autolink": ("<http://a.b/[1]> [2]", "<http://a.b/[1]> [1]", [2]),
    "an autolink that isn't closed": ("<http://a.b/[1] [2]", "<http://a.b/[1]> [1]", [2]),
    "an autolink that isn't closed at the end": ("<http://a.b/[1]", "<http://a.b/[1]>", []),
    "an autolink's brackets are no link": ("<ab:c](d [2])", "<ab:c] (d [1])", [2]),
    "nor are those around one that isn't closed": ("[a <bc:d] e](f [2])", "[a <bc:d] e] (f [1])", [2]),
    "a tag, a comparison are no autolinks": ("<b>[2]</b> a<b [3] <a:[1]", "<b>[1]</b> a<b [2] <a:[3]", [2, 3, 1]),
    "any white space ends them": (
        "<ab:[1]\u2028 [a](b[1]\u00a0c [3](d\u3000",
        "<ab:[1]>\u2028 [a](b[1])\u00a0c [1] (d\u3000",
        [3],
    ),
    "a bare URL is kept off": ("See https://a.b:80/c[2].", "See https://a.b:80/c [1].", [2]),
    "one in what could be a footnote's label, too": ("[^http://a.b[2]: c", "[^http://a.b [1]: c", [2]),
    "a bare URL is kept off a link": ("https://a.b[1](c)", "https://a.b [1](c)", []),
    "a bare URL and a made-up one": ("See https://a.b[99].", "See https://a.b.", [], 1),
    "a bare URL as a link's text": ("[https://a.b/](https://a.b/[1])", "[https://a.b/](https://a.b/[1])", []),
}

DOUBTFUL = {
    "a definition's label is renumbered": ("[3]\n[3]: http://a.b", "[1]\n[1]: http://a.b", [3]),
    "a definition's label that is not cited is left out": ("[3]: http://a.b\n[2]", " http://a.b\n[1]", [2]),
    "what is behind a colon without a label is text": ("[3]: see [2]", " see [1]", [2]),
    "a made-up label is left out, and not counted": ("[99]: a\n  【99】: a", " a\n   a", []),
    "a label of several numbers is none": ("[2, 3]: a", "[1][2]: a", [2, 3]),
    "a label in a list, in a quotation": ("- [3]: a\n> 1. [3]: b", "-  a\n> 1.  b", []),
    "none behind emphasis, a number, a dash": (
        "**[2]:** a\n7 [3]: b\n-[4]: c",
        "**[1]:** a\n7 [2]: b\n-[3]: c",
        [2, 3, 4],
    ),
    "a colon in a line is none": ("As in [2]: a", "As in [1]: a", [2]),
    "in a definition is only what is cited": ("[2]\n[2]: [2] b [3]", "[1]\n[1]: [1] b", [2]),
    "code in a definition stays": ("[2]\n[^2]: `a[3]` [3]", "[1]\n[^1]: `a[3]`", [2]),
    "a link in a definition is none": ("[2]\n[^2]: [3](a) [2](b)", "[1]\n[^1]: (a) [1] (b)", [2]),
    "maths in a definition end with the line": ("[2]\n[2]: $$a\n[3]", "[1]\n[1]: $$a$$\n[2]", [2, 3]),
    "a footnote's label is renumbered": ("[^3]\n\n[^3]: a", "[1]\n\n[^1]: a", [3]),
    "a footnote's label that is not cited stays": ("[^3]: a [2]\n[2]", "[^3]: a\n[1]", [2]),
    "and is written as Markdown has it": ("[^3^]: a", "[^3]: a", []),
    "a footnote's made-up label stays": ("[^99]: a", "[^99]: a", []),
    "a named footnote's text": ("[2]\n[^a:b]: a [2] [3]\n[3]", "[1]\n[^a:b]: a [1]\n[2]", [2, 3]),
    "a named footnote in text": ("[^ab] [2]\n[^a [3]]: b [4]", "[^ab] [1]\n[^a [2]]: b [3]", [2, 3, 4]),
    "a link's title": ("[2] [a](b 'c [2] [3]') [3]", "[1] [a](b 'c [1] ') [2]", [2, 3]),
    "a link's title that isn't closed": ("[2] [a](b 'c [2] [3]\n[3]", "[1] [a](b 'c [1])\n[2]", [2, 3]),
    "an escaped backtick": ("[2] \\`a [2] [3]\n[3]", "[1] \\`a [1]\n[2]", [2, 3]),
    "two escaped backticks": ("\\`a\\` [3]", "\\`a\\` [1]", [3]),
    "an escaped backtick and another": ("[2] \\`a` [2]`[3]\n[3]", "[1] \\`a` [1]`\n[2]", [2, 3]),
    "a link behind them": ("[2] \\`a` [b](c) [2](d)", "[1] \\`a` [b] (c) [1] (d)", [2]),
    "a bracket behind them": ("\\`a\\b` c] d]] e", "\\`a\\b` c] d]] e", []),
}


@pytest.mark.parametrize(("answer", "expected", "sources"), NUMBERING.values(), ids=NUMBERING)
def test_numbering(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize(("answer", "expected", "sources"), DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_comes_out_as_single_markers(answer: str, expected: str, sources: list[int]) -> None:
    check(f"A {answer} b.", f"A {expected} b.", sources)


@pytest.mark.parametrize("answer", TEXT.values(), ids=TEXT)
def test_what_is_no_marker_stays(answer: str) -> None:
    check(answer, answer, [])


@pytest.mark.parametrize(("answer", "expected", "sources", "invalid"), MADE_UP.values(), ids=MADE_UP)
def test_a_made_up_marker(answer: str, expected: str, sources: list[int], invalid: int) -> None:
    check(answer, expected, sources, invalid)


@pytest.mark.parametrize("row", LONG_GROUPS.values(), ids=LONG_GROUPS)
def test_a_group_longer_than_what_is_held(row: Row) -> None:
    check(*row)


@pytest.mark.parametrize(("answer", "expected", "sources"), NESTED.values(), ids=NESTED)
def test_brackets_around_a_marker(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize(("answer", "expected", "sources"), CODE.values(), ids=CODE)
def test_code(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


@pytest.mark.parametrize("row", MATHS.values(), ids=MATHS)
def test_maths(row: Row) -> None:
    check(*row)


@pytest.mark.parametrize("row", LINKS.values(), ids=LINKS)
def test_links(row: Row) -> None:
    check(*row)


@pytest.mark.parametrize(("answer", "expected", "sources"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_where_readers_differ_stands_only_what_is_right_for_all(answer: str, expected: str, sources: list[int]) -> None:
    check(answer, expected, sources)


def test_marks_say_where_each_marker_begins_in_code_points() -> None:
    out, markers = fed(["🚀 [4", "][2, 99]. `a[1]` e\u0301", "[4]"])
    assert out == "🚀 [1][2]. `a[1]` e\u0301[1]"
    assert markers.marks == [Mark(2, 1), Mark(5, 2), Mark(19, 1)]
    assert (markers.sources, markers.invalid) == ([4, 2], 1)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["A", " b", " c"], ["A", " b", " c", ""]),
        (["A ", "b ", "[", "2", "]", "."], ["A", " b", "", "", "", " [1].", ""]),
        (["[", "[", "2", "]", "]", " "], ["", "", "", "", "", "[1]", " "]),
        (["[2][", "3]"], ["[1]", "", "[2]"]),
        (["[abc", " [20", "23", "]"], ["[abc", "", " [2023", "]", ""]),
        (["[2](", "s", "ee", " b)"], ["", "", "", "[1] (see b)", ""]),
        (["[1](", "a", ")", "b"], ["", "", "[1](a)", "b", ""]),
        (["`", "[", "1", "]", "` "], ["`", "[", "1", "]", "`", " "]),
        (["$", "$x[", "1]"], ["$", "$x[", "1]", "$$"]),
        (["", "a", ""], ["", "a", "", ""]),
        (["【4:0†so", "urce"], ["", "", "【4:0†source"]),
    ],
)
def test_only_what_may_become_a_marker_is_held_back(pieces: list[str], expected: list[str]) -> None:
    markers = Markers(PASSAGES)
    assert [*map(markers.feed, pieces), markers.close()] == expected


@pytest.mark.parametrize(
    "text", ["[1, " * 40, f"[1, {'1, ' * 90}", f"[1](http://a.b/{'c' * 90})", f"【1†{'a' * 90}】", "[" * 90, "[1" * 90]
)
def test_what_is_held_back_is_bounded(text: str) -> None:
    for end in range(len(text)):
        markers = Markers(PASSAGES)
        markers.feed(text[:end])
        assert len(markers.close()) <= 64


def test_nothing_follows_the_end() -> None:
    markers = Markers(PASSAGES)
    assert (markers.feed("a [2"), markers.close()) == ("a", " [2")
    with pytest.raises(ValueError, match="closed"):
        markers.feed("]")
    with pytest.raises(ValueError, match="closed"):
        markers.close()


def test_without_passages_every_number_is_made_up() -> None:
    out, markers = fed(["A [1], b [2]."], passages=0)
    assert (out, markers.sources, markers.invalid) == ("A, b.", [], 2)


def test_lone_surrogates_pass() -> None:
    check("\ud800 [2] \udfff", "\ud800 [1] \udfff", [2])


def test_every_place_of_the_table_leads_to_another() -> None:
    for place, row in TABLE.items():
        assert "" in row, place
        assert {move for move in row.values() if isinstance(move, str)} <= TABLE.keys(), place


def calls(text: str) -> int:
    """How many calls a text takes behind some other: time, measured without a clock."""
    count = 0

    def counting(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        fed(["A.\n", text])
    finally:
        sys.setprofile(before)
    return count


UNITS = [
    "[",
    "[1",
    "`",
    "[1, 1, ",
    "[1]",
    "[1](",
    "[1](a ",
    "[[1](",
    "$$[1]",
    "\\(",
    "\\[1]\n\n",
    "<ab:[",
    " ",
    "\n",
    "~",
]
UNITS += ["1, ", "[9, ", "Sources:\n", "Sources:\n- a\n", "Sources:\n[1", "- **Sources", "---\n", "list of sources "]
UNITS += [
    "- ",
    "**\n",
    "<think>",
    "</think>",
    "<thi",
    "</",
    "<",
    "<source n=",
    "<source n=1/>\n",
    "Sources\n<source n=1>",
]


@pytest.mark.parametrize("unit", UNITS)
def test_work_grows_as_the_text(unit: str) -> None:
    assert calls(unit * 800) < 2.1 * calls(unit * 400) + 100
