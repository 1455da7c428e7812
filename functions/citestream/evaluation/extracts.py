"""What the answers without a model are worth: whether they quote what answers, in how many words.

The answerer's constants were fitted on one half of XQuAD's articles, English and German; what is reported is of the
other half, searched for among all articles, and of chunking_evaluation. Both were looked at while rules were chosen:
they are other data than was fitted, not unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from citestream.answer.choice import chosen
from citestream.answer.citations import Claim, cite
from citestream.answer.overlap import stems
from citestream.answer.pipeline import DEFAULT_TOP_K
from citestream.answer.quotation import plain
from citestream.answer.support import Grounds
from citestream.evaluation.data import Corpus, Question, chunking_evaluation, xquad
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.ingested import KB_ID, ingested, located
from citestream.ingest.normal import normalise
from citestream.model import Passage
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.selection import FETCHED, select
from citestream.retrieval.words import words
from citestream.sentences import sentences

# The part of the data that a quick run is content with.
_ARTICLES, _DOCUMENTS = 4, ("state_of_the_union.md",)
# Of texts that are longer than an answer in a word or two, how much is quoted is counted in runs of so many words.
_RUN = 3
#: How much of the first text, 0 to 1, stands in the second.
Share = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class _Guards:
    """The least of what is quoted, for each of the three sets; of the share answered; and of excerpts that hold the
    answer. The most of what is answered elsewhere."""

    quoted: tuple[float, float, float]
    answered: float
    elsewhere: float
    excerpts: float


# What was measured with a margin of some 0.03; of all and of the part.
_GUARDS = {
    False: _Guards((0.84, 0.81, 0.48), 0.92, 0.35, 0.94),
    True: _Guards((0.87, 0.79, 0.40), 0.88, 0.07, 0.95),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the passages that were found for it, the texts that answer it, and the sentences that we quote.

    ``elsewhere`` are those that we would quote if its document were not there.
    """

    question: Question
    passages: Sequence[Passage]
    gold: Sequence[str]
    answer: Sequence[str]
    elsewhere: Sequence[str]


async def measure(run: Run) -> Sequence[Figure]:
    english, german = [await _asked(_articles(run, language), run.embedder) for language in ("en", "de")]
    documents = await _asked(_documents(run), run.embedder)
    quoted = (
        ("XQuAD in English, answers quoted", english, whole),
        ("XQuAD in German, answers quoted", german, whole),
        ("chunking_evaluation, words of the excerpts quoted (in threes)", documents, in_runs),
    )
    guards = _GUARDS[run.subset]
    return [
        *(figure for each, low in zip(quoted, guards.quoted, strict=True) for figure in _quoted(*each, low)),
        _answered("XQuAD in English", english, guards.answered),
        _answered("XQuAD in German", german, guards.answered),
        _answered_elsewhere("XQuAD in English", english, guards.elsewhere),
        _answered_elsewhere("XQuAD in German", german, guards.elsewhere),
        _excerpts(english, guards.excerpts),
    ]


EXTRACTS = Part("Answers without a model", ("xquad", "chunking_evaluation"), measure)


def reported(name: str) -> bool:
    """Whether the article of that name is of the half that nothing was fitted on."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1


def whole(gold: str, text: str) -> float:
    return float(gold in text)


def in_runs(gold: str, text: str) -> float:
    """The share of the gold's runs of three words that are in the text; all its words are one run where it is short."""
    own = runs(gold)
    return len(own & runs(text)) / len(own) if own else whole(gold, text)


def runs(text: str) -> set[tuple[str, ...]]:
    """The text's words, three in a row each time."""
    found = words(text)
    return set(zip(*(found[start:] for start in range(_RUN)), strict=False))


def _articles(run: Run, language: str) -> Corpus:
    corpus = xquad(run.data, language)
    names = list(filter(reported, corpus.documents))
    return _part(corpus, names[:_ARTICLES], names) if run.subset else _part(corpus, corpus.documents, names)


def _documents(run: Run) -> Corpus:
    corpus = chunking_evaluation(run.data)
    return _part(corpus, _DOCUMENTS, _DOCUMENTS) if run.subset else corpus


def _part(corpus: Corpus, documents: Iterable[str], asked: Collection[str]) -> Corpus:
    kept = {name: corpus.documents[name] for name in documents}
    return Corpus(kept, [each for each in corpus.questions if each.document in kept and each.document in asked])


async def _asked(corpus: Corpus, embedder: Embedder) -> list[Asked]:
    found = []
    async with ingested(corpus.documents, embedder) as index:
        for each in corpus.questions:
            all_found = await index.search(each.text, [KB_ID], FETCHED)
            others = [passage for passage in all_found if passage.document_name != each.document]
            passages, instead = (select(each.text, some, DEFAULT_TOP_K) for some in (all_found, others))
            raw = corpus.documents[each.document]
            question = Question(each.text, each.document, tuple(located(raw, span) for span in each.spans))
            gold = [plain(normalise(raw[slice(*span)])) for span in each.spans]
            answer, elsewhere = ([said.text for said in chosen(each.text, some)] for some in (passages, instead))
            found.append(Asked(question, passages, gold, answer, elsewhere))
    return found


def _quoted(name: str, asked: Sequence[Asked], share: Share, at_least: float) -> Iterator[Figure]:
    length = fmean(_length(" ".join(one.answer)) for one in asked)

    def mean(texts: Iterable[str]) -> float:
        return fmean(share(gold, text) for one, text in zip(asked, texts, strict=True) for gold in one.gold)

    first = mean(_sentences(one.passages[:1])[0] for one in asked)
    yield Figure(
        name,
        mean(" ".join(one.answer) for one in asked),
        {
            "the top passage's first sentence": first,
            "its beginning, as long": mean(_cut(_sentences(one.passages[:1]), length) for one in asked),
            "sentences by words shared, as long": mean(_cut(_by_words_shared(one), length) for one in asked),
        },
        at_least,
    )
    yield Figure(
        f"{name}: by the first sentence",
        mean(one.answer[0] if one.answer else "" for one in asked),
        {"the top passage's": first, "by words shared": mean(_by_words_shared(one)[0] for one in asked)},
    )
    read = fmean(sum(_length(each.text) for each in one.passages) for one in asked)
    yield Figure(f"{name}: words an answer", length, {"the passages": read})


def _answered(name: str, asked: Sequence[Asked], at_least: float) -> Figure:
    share = fmean(bool(one.answer) for one in asked if _holding(one))
    return Figure(f"{name}, answered where the answer was found", share, at_least=at_least)


def _answered_elsewhere(name: str, asked: Sequence[Asked], at_most: float) -> Figure:
    share = fmean(bool(one.elsewhere) for one in asked)
    return Figure(f"{name}, answered where the document is missing", share, at_most=at_most)


def _excerpts(asked: Sequence[Asked], at_least: float) -> Figure:
    """A claim that is made of a question and its answer cites the passage that holds it."""
    hits, firsts = [], []
    for one in asked:
        if passage := _holding(one):
            claim = Claim(f"{one.question.text} {one.gold[0]}", (1,))
            (citation,) = cite([claim], [1], Grounds([passage])).citations
            ((start, end),) = one.question.spans
            hits.append(citation.char_start <= start and end <= citation.char_end)
            spans = sentences(passage.text)
            count = len(sentences(citation.excerpt))
            firsts.append(end <= passage.char_start + spans[:count][-1][1])
    baseline = {"as many sentences from the passage's beginning": fmean(firsts)}
    return Figure("XQuAD in English, excerpts that hold the answer", fmean(hits), baseline, at_least)


def _holding(one: Asked) -> Passage | None:
    """The passage with the answer, where it was found."""
    ((start, end),) = one.question.spans
    for each in one.passages:
        if each.document_name == one.question.document and each.char_start <= start and end <= each.char_end:
            return each
    return None


def _by_words_shared(one: Asked) -> list[str]:
    """The simplest choice of sentences: those that share most words with the question, in the order of passages."""
    wanted = set(stems(one.question.text))
    return sorted(_sentences(one.passages), key=lambda text: -len(wanted.intersection(stems(text))))


def _sentences(passages: Sequence[Passage]) -> list[str]:
    return [plain(each.text[start:end]) for each in passages for start, end in sentences(each.text)]


def _cut(texts: Sequence[str], length: float) -> str:
    return " ".join(" ".join(texts).split()[: round(length)])


def _length(text: str) -> int:
    return len(text.split())
