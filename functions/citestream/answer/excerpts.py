"""The excerpt of a citation: the part of its passage that best supports what cites it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from citestream.answer.overlap import Weights, stems
from citestream.graphemes import cut_before, divides
from citestream.sentences import Span, sentences

# An excerpt has at most so many sentences, and so many code points.
_MOST_SENTENCES = 3
_MOST_CHARACTERS = 700
# What a sentence that is longer by itself is cut into, at most: two in a row make an excerpt.
_PIECE = _MOST_CHARACTERS // 2
# A longer excerpt must support so much more for each sentence it adds.
_PRICE_OF_A_SENTENCE = 0.08


def best_span(text: str, wanted: Sequence[str], weights: Weights) -> Span:
    """The one to three sentences in a row of ``text`` that hold most of the wanted terms, the fewest that do.

    Never empty where the text has more than white space, and cut between words, or between characters at least.
    """
    parts = [piece for span in sentences(text) for piece in _pieces(text, *span)]
    best, best_gain = (0, min(len(text), _MOST_CHARACTERS)), -1.0
    for first in range(len(parts)):
        for last in range(first, min(first + _MOST_SENTENCES, len(parts))):
            start, end = parts[first][0], parts[last][1]
            if end - start > _MOST_CHARACTERS:
                break
            gain = weights.recall(wanted, stems(text[start:end])) - _PRICE_OF_A_SENTENCE * (last - first)
            if gain > best_gain:
                best, best_gain = (start, end), gain
    return best


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentence, or what it is cut into where it is too long; nothing begins or ends within a character."""
    start, end = _whole(text, start), _whole(text, end)
    while end - start > _MOST_CHARACTERS:
        cut = _cut(text, start, start + _PIECE)
        yield start, cut
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        yield start, end


def _whole(text: str, place: int) -> int:
    """The place, behind the character that it is within."""
    while divides(text, place):
        place += 1
    return place


def _cut(text: str, start: int, end: int) -> int:
    """The end of the last word up to ``end``, unless that is as long as half of what there is; then of a character."""
    half = (start + end) // 2
    cut = next((place for place in range(end, half, -1) if text[place].isspace()), end)
    return cut_before(text, start, len(text[start:cut].rstrip()) + start)
