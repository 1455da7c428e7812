"""How well passages support a sentence that cites them, 0 to 1: a match of words, numbers and denials, not entailment.

Half of it is the recall of the sentence's terms, rare ones weighing more; half the recall of its pairs of neighbouring
terms, which a passage on the same subject that says something else has fewer of. A number or a date that no cited
passage holds, or a denial that stands on one side only, halves it: it is then 0.5 at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from citestream.answer.negation import Denials, contradict, denials
from citestream.answer.overlap import Weights
from citestream.answer.quantities import quantified
from citestream.model import Passage
from citestream.sentences import sentences

# Terms so near to each other are a pair, in either order: paraphrases move words and insert some.
_NEAR = 3
# What a sentence that contradicts its passages keeps of its support.
_CONTRADICTED = 0.5
# A sentence of a passage that holds so much of the claim speaks of the same, and may deny it.
_SAME = 0.75

_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """A text, read once: its terms, the pairs of them, its numbers in all readings."""

    terms: frozenset[str]
    pairs: frozenset[_Pair]
    exact: tuple[frozenset[str], ...]
    held: frozenset[str]


def read(text: str) -> Words:
    """The words of a text, in time linear in its length."""
    found = quantified(text)
    return Words(frozenset(found.terms), _pairs(found.terms), tuple(found.exact), frozenset(found.held))


@dataclass(frozen=True, slots=True)
class Supports:
    """Of a sentence: by all the passages that it cites together, and by each alone.

    Alone, what stands in a passage's excerpt counts in full, the rest of it half.
    """

    together: float
    alone: Mapping[int, float]


class Grounds:
    """The passages of an answer, as what its sentences stand on. Passages are counted from 0."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._words = [read(passage.text) for passage in passages]
        # A heading's numbers hold for what stands below it.
        self._held = [
            words.held | read(passage.section).held if passage.section else words.held
            for passage, words in zip(passages, self._words, strict=True)
        ]
        self._weights = Weights(words.terms for words in self._words)
        self._sentences: dict[int, list[tuple[frozenset[str], Denials]]] = {}

    def retrieval(self, question: str, cited: Iterable[int]) -> float:
        """How much of the question stands in these passages or their headings."""
        places = set(cited)
        found = set().union(*(self._words[place].terms for place in places))
        for section in {self.passages[place].section or "" for place in places}:
            found |= read(section).terms
        return self._weights.recall(read(question).terms, found)

    def supports(self, claim: str, excerpts: Mapping[int, Words]) -> Supports | None:
        """How well the passages support the claim that cites them; ``excerpts`` has the excerpt of each.

        None for a claim that cites nothing or has no words.
        """
        said = read(claim)
        if not excerpts or not said.terms:
            return None
        kept = self._kept(claim, said, excerpts)
        # What a number or a denial takes away is taken by all together: another passage may hold the number.
        return Supports(
            together=kept * self._match(said, [self._words[place] for place in excerpts]),
            alone={
                place: kept * (self._match(said, [excerpt]) + self._match(said, [self._words[place]])) / 2
                for place, excerpt in excerpts.items()
            },
        )

    def _match(self, said: Words, found: Sequence[Words]) -> float:
        recall = self._weights.recall(said.terms, set().union(*(words.terms for words in found)))
        if not said.pairs:
            return recall
        pairs = sum(1 for pair in said.pairs if any(pair in words.pairs for words in found))
        return (recall + pairs / len(said.pairs)) / 2

    def _kept(self, claim: str, said: Words, cited: Collection[int]) -> float:
        held = set().union(*(self._held[each] for each in cited))
        if any(readings.isdisjoint(held) for readings in said.exact):
            return _CONTRADICTED
        return _CONTRADICTED if self._denied(claim, said, cited) else 1.0

    def _denied(self, claim: str, said: Words, cited: Collection[int]) -> bool:
        """Whether the sentence that holds most of the claim denies what it says, or says what it denies."""
        own = denials(claim)
        near = [
            (recall, not contradict(own, denied))
            for place in cited
            for terms, denied in self._read_sentences(place)
            if (recall := self._weights.recall(said.terms, terms)) >= _SAME
        ]
        return bool(near) and not max(near)[1]

    def _read_sentences(self, place: int) -> list[tuple[frozenset[str], Denials]]:
        if place not in self._sentences:
            text = self.passages[place].text
            parts = [text[start:end] for start, end in sentences(text)]
            self._sentences[place] = [(read(part).terms, denials(part)) for part in parts]
        return self._sentences[place]


def mean(values: Sequence[float]) -> float:
    """0 where there are none. The standard library's takes 2 ms to import, before the first byte of a cold start."""
    return sum(values) / len(values) if values else 0.0


def _pairs(terms: Sequence[str]) -> frozenset[_Pair]:
    return frozenset(
        (term, other) if term < other else (other, term)
        for place, term in enumerate(terms)
        for other in terms[place + 1 : place + 1 + _NEAR]
    )
