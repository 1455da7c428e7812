"""Which of the passages that were found an answer is given: nothing twice, and several documents to compare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from citestream.model import Passage
from citestream.retrieval.words import words

#: How many passages to fetch for the choice: some five copies of each of the eight that an answer is given by default.
FETCHED = 40

# A passage repeats another where so much of it stands there, counted in runs of `_RUN` words. Of passages that are no
# copies, a tenth at most does in XQuAD, and two thirds in SciFact; of copies in which one word in 24 is misspelt, 0.75.
_REPEATED = 0.7
_RUN = 3
# What a passage's score counts for each that was chosen from its document before, where documents are compared: of what
# was tried on every other article of XQuAD the strongest that did not lose one answer in a hundred.
_AGAIN = 0.9
_DIGIT = re.compile(r"\d")
# Compiled with the first question, not while a function starts.
_COMPARES = r"""
    \b(?:
      differ(?:s|ences?)? | different(?:ly)?\s+from | compar(?:e[ds]?|ing|isons?) | versus | vs | both
    | unterschied(?:e[ns]?|s)? | unterscheide[nt] | im\s+(?:vergleich|gegensatz) | vergleich(?:e|en|t|bar)? | verglichen
    | différences?\s+entre | diff[èé]re(?:nt)?\s+de | compare[rz] | comparaisons? | comparée?s? | par\s+rapport\s+à
    | diferencias?\s+entre | comparar | comparación | comparad[oa]s? | en\s+contraste | frente\s+a(?:l)? | amb[oa]s
    )\b
"""


def select(question: str, passages: Sequence[Passage], top_k: int) -> list[Passage]:
    """At most ``top_k`` of the passages, which are in order, best first.

    One that says nearly what one before it says is left out, whatever documents the two are from; not so where it has a
    number that the other lacks, as versions of a document differ in these. Where the question compares, a document
    counts less each time that it was chosen from, and others of about its relevance come in; else the order stays.
    """
    again = _AGAIN if re.search(_COMPARES, question, re.VERBOSE | re.IGNORECASE) else 1.0
    rest = list(passages)
    chosen: list[Passage] = []
    contents: list[_Content] = []
    taken: Counter[str] = Counter()
    while rest and len(chosen) < top_k:
        best = max(rest, key=lambda each: each.score * again ** taken[each.document_id])  # the first of equals
        rest.remove(best)
        content = _content(best.text)
        if not any(content.repeats(other) for other in contents):
            chosen.append(best)
            contents.append(content)
            taken[best.document_id] += 1
    return chosen


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
