"""What the choice among the found passages does: where texts are there several times, and where two are compared.

Versions and comparisons are made here, of XQuAD's English articles and questions. The finance corpus of
chunking_evaluation repeats itself as it is; an answer is told there by its words, as any copy of it will do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, count

from citestream.evaluation.data import Corpus, Question, chunking_evaluation
from citestream.evaluation.extracts import runs
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.ranking import HYBRID, OURS, Search, ways
from citestream.evaluation.retrieval import Asked, articles, holds, mean
from citestream.model import Passage
from citestream.retrieval.embedder import Embedder

_TOP_K = 8
_VERSIONS = range(1, 4)
_PREAMBLE = (
    "This version was read again by its editors, who mended the spelling where readers had told them of mistakes."
    " Nothing else was meant to change. Whoever finds more is asked to write to the same address as before.\n\n"
)
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_ONE_IN = 12  # of those is misspelt
_ASKED_OF_VERSIONS = 3  # one in so many questions: each answer is there four times
_COMPARISONS = ("What is the difference between {} and {}?", "Compare {} with {}.", "{} versus {}: what is alike?")
_REPETITIVE = "finance.md"


async def measure(run: Run) -> Sequence[Figure]:
    corpus = articles(run, "en")
    figures = [*await _of_versions(corpus, run.embedder), *await _of_comparisons(corpus, run.embedder)]
    # The guards are what was measured, of all as of the part, less some 0.03.
    return figures if run.subset else [*figures, *await _of_repetitions(run, run.embedder)]


SELECTION = Part("Selection", ("xquad", "chunking_evaluation"), measure)


async def _of_versions(corpus: Corpus, embedder: Embedder) -> list[Figure]:
    texts = {**corpus.documents, **dict(_versions(corpus.documents))}
    questions = corpus.questions[::_ASKED_OF_VERSIONS]
    name = "XQuAD, each article in four versions"
    async with ways(texts, embedder) as searches:
        answered = await _both_ways(searches, list(map(_answered, questions)))
        copies = await _both_ways(searches, list(map(_copies, questions)))
    return [
        Figure(f"{name}: answer among {_TOP_K} passages", *answered, at_least=0.96),
        Figure(f"{name}: passages with it among these (best is 1)", *copies, at_most=1.9),
    ]


async def _of_comparisons(corpus: Corpus, embedder: Embedder) -> list[Figure]:
    # What a document counts less was chosen with the other half of the articles.
    pairs = list(combinations(list(corpus.documents)[1::2], 2))
    asked: defaultdict[str, list[Question]] = defaultdict(list)
    for question in corpus.questions:
        asked[question.document].append(question)
    by_title = [_comparison(*pair, _COMPARISONS[i % len(_COMPARISONS)]) for i, pair in enumerate(pairs)]
    by_question = [_double(*(asked[each][i % len(asked[each])] for each in pair)) for i, pair in enumerate(pairs)]
    async with ways(corpus.documents, embedder) as searches:
        titles, questions = await _both_ways(searches, by_title), await _both_ways(searches, by_question)
    return [
        Figure(f"comparisons of XQuAD's articles: both among {_TOP_K} passages", *titles, at_least=0.97),
        Figure(f"comparisons of what they answer: both answers among {_TOP_K} passages", *questions, at_least=0.94),
    ]


async def _of_repetitions(run: Run, embedder: Embedder) -> list[Figure]:
    corpus = chunking_evaluation(run.data)
    asked = [_worded(each, corpus.documents) for each in corpus.questions if each.document == _REPETITIVE]
    name = "reports that repeat each other: answers' words in"
    async with ways({_REPETITIVE: corpus.documents[_REPETITIVE]}, embedder) as searches:
        of_all, of_half = [await _both_ways(searches, asked, top_k) for top_k in (_TOP_K, _TOP_K // 2)]
    return [
        Figure(f"{name} {_TOP_K} passages", *of_all, at_least=0.95),
        Figure(f"{name} {_TOP_K // 2} passages", *of_half, at_least=0.91),
    ]


async def _both_ways(
    searches: Mapping[str, Search], asked: Sequence[Asked], top_k: int = _TOP_K
) -> tuple[float, dict[str, float]]:
    return await mean(searches[OURS], asked, top_k), {HYBRID: await mean(searches[HYBRID], asked, top_k)}


def _versions(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each text thrice more: misspelt here and there, and every other one after a preamble, which shifts its chunks."""
    for name, text in texts.items():
        for version in _VERSIONS:
            yield f"{version}/{name}", _preamble(version) + _misspelt(text, count(version))


def _preamble(version: int) -> str:
    return _PREAMBLE * (version % 2)


def _misspelt(text: str, number: Iterator[int]) -> str:
    """With the second and third letter of some words swapped, so that all stays in its place."""

    def spelling(word: re.Match[str]) -> str:
        letters = word.group()
        return letters if next(number) % _ONE_IN else f"{letters[0]}{letters[2]}{letters[1]}{letters[3:]}"

    return _LONG_WORD.sub(spelling, text)


def _alike(question: Question) -> list[Question]:
    """The question of each version."""
    ((start, end),) = question.spans
    shifts = {f"{version}/{question.document}": len(_preamble(version)) for version in _VERSIONS}
    moved = [replace(question, document=name, spans=((start + shift, end + shift),)) for name, shift in shifts.items()]
    return [question, *moved]


def _answered(question: Question) -> Asked:
    versions = _alike(question)
    return Asked(question.text, lambda found: float(any(holds(each, one) for each in found for one in versions)))


def _copies(question: Question) -> Asked:
    versions = _alike(question)
    return Asked(question.text, lambda found: float(sum(holds(each, one) for each in found for one in versions)))


def _comparison(one: str, other: str, wording: str) -> Asked:
    def worth(found: Sequence[Passage]) -> float:
        return float({one, other} <= {passage.document_name for passage in found})

    return Asked(wording.format(_title(one), _title(other)), worth)


def _double(one: Question, other: Question) -> Asked:
    def worth(found: Sequence[Passage]) -> float:
        return float(all(any(holds(passage, each) for passage in found) for each in (one, other)))

    return Asked(f"Compare: {one.text} {other.text}", worth)


def _worded(question: Question, documents: Mapping[str, str]) -> Asked:
    """Worth the share of the answer's runs of three words that are in the passages."""
    wanted = _runs(documents[question.document][slice(*span)] for span in question.spans)

    def worth(found: Sequence[Passage]) -> float:
        return len(wanted & _runs(passage.text for passage in found)) / len(wanted)

    return Asked(question.text, worth)


def _runs(texts: Iterable[str]) -> set[tuple[str, ...]]:
    return set().union(*map(runs, texts))


def _title(name: str) -> str:
    return name.removesuffix(".txt").replace("_", " ")
