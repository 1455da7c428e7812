"""Which sentences of the passages answer a question, by the words they share with it, and whether any does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from citestream.answer.negation import contradict, denials
from citestream.answer.overlap import Weights, stems
from citestream.answer.quotation import plain, without_heading
from citestream.model import Passage
from citestream.sentences import sentences

_MOST_SENTENCES = 6
# What a sentence's score, 0 to 1, is made of: how much of the question stands in it, how much in it and in what it
# goes on from, its passage's score, and whether it has the number that is asked for. Set on one half of XQuAD's
# articles, English and German; without any of the last three, fewer best sentences hold the answer.
_ITSELF, _IN_CONTEXT, _PASSAGE, _NUMBER = 0.4, 0.2, 0.3, 0.1
# So much of the best sentence's score must another have. On those halves, 0.75 quotes 2 points more of the answers in
# a fifth more words, 0.85 loses 2.
_LEAST_OF_BEST = 0.8
# So much of the question must stand in a sentence with the one before it, or nothing answers: of those halves'
# questions 97 % are answered then in English, 95 % in German.
_LEAST_HELD = 0.31
# What a heading alone holds counts for a tenth there: what doesn't answer mostly stands under the same headings. More
# tells the questions apart less on every other one of CLAPnq.
_HEADING = 0.1
# A long question may be answered by what holds little of it, but three words that few of the passages have. So much
# rarity counts as all of the question: with 10, twice as many questions are answered from documents that don't.
_RARE_ENOUGH = 12.0
# What holds fewer terms tells nothing: a label, a heading; a whole sentence may be short, and so may a table's row.
_FEWEST = 4
_FEWEST_IN_A_SENTENCE = 2
_ENDED = re.compile(r"[.!?…。！？।][\"')\]”’»]*$")
_ASKS_FOR_NUMBER = re.compile(
    r"\b(?:when|how (?:many|much|long|old|far|fast|tall|high|deep|often|large|big)"
    r"|(?:what|which) (?:year|date|day|month|century|decade|percentage|percent|number|amount|age)"
    r"|wann|wie ?(?:viele?|lang|alt|weit|schnell|hoch|tief|oft|groß)"
    r"|welche[mnrs]? (?:Jahr|Datum|Tag|Monat|Jahrhundert|Jahrzehnt|Prozentsatz|Anzahl|Zahl|Alter))\b",
    re.IGNORECASE,
)
# What questions are worded with, and their answers are not.
_ASKING = frozenset(
    stems(
        "come came get got kind type sort much many name named called mean means happen happens happened show list"
        " describe explain"
    )
)
_GOES_ON = re.compile(
    r"(?:It|Its|He|His|She|Her|They|Their|This|That|These|Those|Both|Such|Er|Sie|Es|Dies(?:e[mnrs]?)?|Sein|Ihr)\b"
)
_NUMBER_IN = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage as it would be quoted; ``sources`` are the passages, from 1, that say it.

    ``position`` is its own in the first of them. ``held``, 0 to 1, is how much of the question stands in it, in the
    sentence before it, and, for less, in its heading.
    """

    text: str
    sources: tuple[int, ...]
    position: int
    terms: frozenset[str]
    score: float
    held: float

    @property
    def place(self) -> tuple[int, int]:
        return self.sources[0], self.position


def chosen(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    """The sentences that answer, at most six, in the order in which they are to be read; none where none does."""
    found = ranked(question, passages)
    if held(found) < _LEAST_HELD:
        return []
    floor = found[0].score * _LEAST_OF_BEST
    best: list[Sentence] = []
    for sentence in found:
        _take(sentence, best, is_new=sentence.score >= floor and len(best) < _MOST_SENTENCES)
    return _in_order(best)


def held(found: Sequence[Sentence]) -> float:
    """How much of the question stands in what holds most of it: low where nothing answers."""
    return max((each.held for each in found), default=0.0)


def ranked(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    """All sentences that say something, the one that answers best first."""
    read = [_read(passage) for passage in passages]
    asked = _Asked(question, Weights(frozenset().union(*(part.terms for part in parts)) for parts in read))
    found = [
        sentence
        for source, (passage, parts) in enumerate(zip(passages, read, strict=True), start=1)
        for sentence in asked.rated(source, passage, parts)
    ]
    return sorted(found, key=lambda each: (-each.score, each.place))


@dataclass(frozen=True, slots=True)
class _Part:
    """A sentence as it is read; one that is not ``whole`` is a heading or tells nothing by itself."""

    text: str
    terms: frozenset[str]
    whole: bool


def _read(passage: Passage) -> list[_Part]:
    parts = []
    for start, end in sentences(passage.text):
        quoted = passage.text[start:end]
        text = plain(without_heading(quoted, passage.section))
        found = stems(text)
        fewest = _FEWEST_IN_A_SENTENCE if _ENDED.search(text) or quoted.startswith("|") else _FEWEST
        whole = len(found) >= fewest and not quoted.startswith("#")
        # A heading by itself says nothing, but what follows goes on from it.
        parts.append(_Part(text, frozenset(found if text else stems(quoted)), whole))
    return parts


class _Asked:
    """What is asked for."""

    def __init__(self, question: str, weights: Weights) -> None:
        terms = frozenset(stems(question))
        self._terms = terms - _ASKING or terms
        self._weights = weights
        self._numbers = frozenset(_NUMBER_IN.findall(question))
        self._for_number = _ASKS_FOR_NUMBER.search(question) is not None

    def rated(self, source: int, passage: Passage, parts: Sequence[_Part]) -> Iterator[Sentence]:
        heading = frozenset(stems(passage.section or ""))
        before: frozenset[str] = frozenset()
        for position, part in enumerate(parts):
            context = part.terms | before
            if part.whole:
                around = self._held(context | heading)
                score = _ITSELF * self._held(part.terms) + _IN_CONTEXT * around
                score += _PASSAGE * passage.score + _NUMBER * self._has_number(part.text)
                held = (1 - _HEADING) * self._held(context) + _HEADING * around
                rare = self._weights.rarity(self._terms & context) / _RARE_ENOUGH
                yield Sentence(part.text, (source,), position, part.terms, score, min(1.0, max(held, rare)))
            before = part.terms

    def _held(self, terms: frozenset[str]) -> float:
        return self._weights.recall(self._terms, terms)

    def _has_number(self, text: str) -> bool:
        return self._for_number and not self._numbers.issuperset(_NUMBER_IN.findall(text))


def _in_order(best: Sequence[Sentence]) -> list[Sentence]:
    """The best first, but none that goes on from a sentence that is quoted too before that one."""
    found: list[Sentence] = []
    for sentence in best:
        run = [sentence]
        while _GOES_ON.match(run[0].text):
            source, position = run[0].place
            before = [each for each in best if each.place == (source, position - 1)]
            if not before:
                break
            run[:0] = before
        found += (each for each in run if each not in found)
    return found


def _take(sentence: Sentence, best: list[Sentence], *, is_new: bool) -> None:
    """Add the sentence, unless one of the best says all that it says; where it says all of that, too, its source.

    All that is: every word but stop words. Where one word differs it may be the one that matters.
    """
    for i, other in enumerate(best):
        if sentence.terms <= other.terms and not contradict(denials(other.text), denials(sentence.text)):
            if sentence.terms == other.terms and sentence.sources[0] not in other.sources:
                best[i] = replace(other, sources=other.sources + sentence.sources)
            return
    if is_new:
        best.append(sentence)
