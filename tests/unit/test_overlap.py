"""How much of one text stands in another."""

from __future__ import annotations

import pytest

from citestream.answer.overlap import Weights, stems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do the tokens expire?", ["token", "expir"]),
        ("policies policy policied", ["polic", "polic", "polic"]),
        ("15 minutes, v4.1", ["15", "minut", "v4", "1"]),
        ("Verteidiger, Verteidigungen", ["verteid", "verteid"]),
        ("1234567890 a1b2c3d4e5", ["1234567890", "a1b2c3d4e5"]),
        ("東京都", ["東京", "京都"]),
        ("is the a", []),
    ],
)
def test_stems(text: str, expected: list[str]) -> None:
    assert stems(text) == expected


def test_recall_weighs_rare_terms_more() -> None:
    weights = Weights([["common", "rare"], ["common"], ["common"]])
    assert weights.recall(["common", "rare"], ["rare"]) > 0.5 > weights.recall(["common", "rare"], ["common"])
    assert weights.recall(["common"], ["common", "x"]) == 1.0
    assert weights.recall([], ["x"]) == 0.0


def test_what_all_texts_have_is_not_rare() -> None:
    weights = Weights([["a", "b"], ["a"], ["a"], ["a"]])
    assert weights.rarity(["b", "b"]) == weights.rarity(["b"]) > 1.0
    assert weights.rarity(["a"]) == pytest.approx(0.105, abs=0.001)
    assert weights.rarity(["a", "b", "new"]) > weights.rarity(["a", "b"]) > weights.rarity(["b"])
    assert weights.rarity([]) == 0.0


class Counting(Weights):
    """Counts how often a term is weighed."""

    count = 0

    def __getitem__(self, term: str) -> float:
        self.count += 1
        return super().__getitem__(term)


def test_recall_is_of_the_same_terms_in_whatever_order_and_however_often() -> None:
    texts = [["a", "b", "c"], ["b", "c"], ["c"]]
    wanted, found = ["d", "c", "b", "a", "b"], ["c", "x", "a"]
    asked_once = Weights(texts).recall(wanted, found)
    weights = Weights(texts)
    for _ in range(2):
        for each in (wanted, sorted(wanted), set(wanted), frozenset(wanted)):
            assert weights.recall(each, iter(found)) == asked_once
    weight = Weights(texts).__getitem__
    whole = sum(map(weight, "abcd"))
    assert asked_once == pytest.approx((weight("a") + weight("c")) / whole)


def test_a_long_question_is_weighed_once() -> None:
    question = frozenset(map(str, range(2000)))
    weights = Counting([["1", "2"], ["3"]])
    for sentence in range(200):
        weights.recall(question, [str(sentence), "other", "words"])
    assert weights.count == 2000 + 200
