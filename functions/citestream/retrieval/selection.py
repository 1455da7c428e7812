"""Which of the passages that were found an answer is given: nothing twice, and several documents to compare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from citestream.model import Passage
from citestream.retrieval.words import words

#: How many passages to fetch for the choice: some five copies of each of the eight that an answer is given by default.
FETCHED = 40

# A passage repeats another where so much of it stands there, counted in runs of `_RUN` words.
_REPEATED = 0.7
_RUN = 3
# What a passage's score counts for each that was chosen from its document before, where documents are compared.
_AGAIN = 0.9
_DIGIT = re.compile(r"\d")
_COMPARES = re.compile(
    r"""\b(?:
      differences?\s+between | differ(?:s|ent|ently)?\s+from | compar(?:e[ds]?|ing|isons?) | versus | vs | both
    | unterschied(?:e[ns]?|s)? | unterscheide[nt] | im\s+(?:vergleich|gegensatz) | vergleich(?:e|en|t|bar)? | verglichen
    | différences?\s+entre | diff[èé]re(?:nt)?\s+de | compare[rz]? | comparaisons? | comparée?s? | par\s+rapport\s+à
    | diferencias?\s+entre | comparar | comparación | comparad[oa]s? | en\s+contraste | frente\s+a(?:l)? | amb[oa]s
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def select(question: str, passages: Sequence[Passage], top_k: int) -> list[Passage]:
    """At most ``top_k`` of the passages, which are in order, best first.

    One that says nearly what a better one says is left out, whatever documents the two are from; not so where it has a
    number that the other lacks, as versions of a document differ in these. Where the question compares, a document
    counts less each time that it was chosen from, and others of about its relevance come in; else the order stays.
    """
    if not _COMPARES.search(question):
        return _distinct(passages, top_k)
    return _spread(_distinct(passages, len(passages)), top_k)


@dataclass(frozen=True, slots=True)
class _Content:
    """What of a passage tells whether it repeats another: its runs of words, and its numbers."""

    runs: frozenset[tuple[str, ...]]
    numbers: frozenset[str]

    def repeats(self, other: _Content) -> bool:
        if not self.numbers <= other.numbers:
            return False
        return len(self.runs & other.runs) >= _REPEATED * len(self.runs)


def _content(text: str) -> _Content:
    found = words(text)
    runs = zip(*(found[start:] for start in range(min(_RUN, len(found)))), strict=False)
    return _Content(frozenset(runs), frozenset(filter(_DIGIT.search, found)))


def _distinct(passages: Iterable[Passage], most: int) -> list[Passage]:
    chosen: list[Passage] = []
    contents: list[_Content] = []
    for passage in passages:
        if len(chosen) == most:
            break
        content = _content(passage.text)
        if not any(content.repeats(other) for other in contents):
            chosen.append(passage)
            contents.append(content)
    return chosen


def _spread(passages: Sequence[Passage], most: int) -> list[Passage]:
    rest = list(passages)
    chosen: list[Passage] = []
    taken: Counter[str] = Counter()
    while rest and len(chosen) < most:
        best = max(rest, key=lambda each: each.score * _AGAIN ** taken[each.document_id])  # the first of equals
        rest.remove(best)
        chosen.append(best)
        taken[best.document_id] += 1
    return chosen
