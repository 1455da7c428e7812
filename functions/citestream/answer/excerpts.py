"""The excerpt of a citation: the part of its passage that best supports what cites it."""

from __future__ import annotations

from collections.abc import Sequence

from citestream.answer.overlap import Weights, stems
from citestream.sentences import sentences

# An excerpt has at most so many sentences, and so many code points.
_MOST_SENTENCES = 3
_MOST_CHARACTERS = 700
# A longer excerpt must support so much more for each sentence it adds.
_PRICE_OF_A_SENTENCE = 0.08


def best_span(text: str, wanted: Sequence[str], weights: Weights) -> tuple[int, int]:
    """The one to three sentences in a row of ``text`` that hold most of the wanted terms, the fewest that do."""
    spans = [_cut(span) for span in sentences(text)]
    best, best_gain = _cut((0, len(text))), -1.0
    for first in range(len(spans)):
        for last in range(first, min(first + _MOST_SENTENCES, len(spans))):
            start, end = spans[first][0], spans[last][1]
            if end - start > _MOST_CHARACTERS:
                break
            gain = weights.recall(wanted, stems(text[start:end])) - _PRICE_OF_A_SENTENCE * (last - first)
            if gain > best_gain:
                best, best_gain = (start, end), gain
    return best


def _cut(span: tuple[int, int]) -> tuple[int, int]:
    return span[0], min(span[1], span[0] + _MOST_CHARACTERS)
