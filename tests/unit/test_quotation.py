"""Sentences of documents as they are quoted."""

from __future__ import annotations

import pytest

from citestream.answer.quotation import marked, plain, without_heading


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("See [the guide](https://x.example/a) now", "See the guide now"),
        ("As shown [12], and [3, 4] and [^2]", "As shown , and and"),
        ("Run `make run` with **care**", "Run make run with care"),
        ("- an item\n  on two lines", "an item on two lines"),
        ("costs $$5 or \\(x\\) [TODO]", "costs 5 or x (TODO)"),
        ("```\ncode\n```", "code"),
        ("**<think>** it is < 5", "‹think> it is < 5"),
        ("- > <think> it is", "> ‹think> it is"),
        ("1. 2) <think> it is", "2) ‹think> it is"),
        ("a \\\\[x", "a \\x"),
        ("a \\**(b", "a \\ (b"),
        ("a \\`[b", "a \\ (b"),
        ("$**$b", "$ $b"),
        ("~~**~ b", "~ ~~ b"),
    ],
)
def test_quoted_text_opens_nothing_and_holds_no_marker(quoted: str, shown: str) -> None:
    assert plain(quoted) == shown


def test_takes_time_linear_in_the_lines() -> None:
    # Of another order, it would take longer than a test may.
    assert plain("\n" * 200_000 + "- an item") == "an item"


@pytest.mark.parametrize(
    ("text", "sources", "shown"),
    [
        ("It is red.", (1,), "It is red [1]."),
        ("Is it red?!", (2, 3), "Is it red [2][3]?!"),
        ("今天晴。", (1,), "今天晴 [1]。"),
        ("an item", (4,), "an item [4]."),
    ],
)
def test_markers_go_before_the_full_stop(text: str, sources: tuple[int, ...], shown: str) -> None:
    assert marked(text, sources) == shown


@pytest.mark.parametrize(
    ("quoted", "section", "shown"),
    [
        ("Refunds\nYou get them.", "Guide > Refunds", "You get them."),
        ("2 Pay\n2.1 Refunds\nYou get them.", "Guide > 2 Pay > 2.1 Refunds", "You get them."),
        ("Refunds\nYou get them.", "Guide", "Refunds\nYou get them."),
        ("Refunds\nYou get them.", None, "Refunds\nYou get them."),
        ("Refunds", "Refunds", ""),
        ("Refunds are paid at once.", "Refunds", "Refunds are paid at once."),
        ("Refundable\nfares are dear.", "Refund", "Refundable\nfares are dear."),
    ],
)
def test_a_heading_that_runs_into_a_sentence_is_left_out(quoted: str, section: str | None, shown: str) -> None:
    assert without_heading(quoted, section) == shown
