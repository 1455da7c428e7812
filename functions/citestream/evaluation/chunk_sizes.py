"""How large a chunk should be: what of the gold excerpts is in the chunks that are found, with ours and other sizes.

As the makers of the data define it, and counted in characters: recall is the share of the excerpts that is in the
retrieved chunks; IoU is what of the excerpts is in them, over what either of the two has. Theirs is a fixed number of
chunks, 5. As that lets large chunks have more to read, recall is also told of the first 8,000 characters retrieved,
about what an answer is given by default. Copies count as the data does: an excerpt is in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from citestream.evaluation.data import Corpus, Question, Span, chunking_evaluation
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.ingested import KB_ID, located
from citestream.ingest.chunk import PIECES, chunks
from citestream.ingest.parse import parse_bytes
from citestream.model import Document, Passage, document_id
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.sqlite_index import SqliteIndex

_OTHERS = {"half as large": PIECES // 2, "twice as large": PIECES * 2}
_CHUNKS = 5
_BUDGET = 8_000
# Enough of the smallest chunks for the budget.
_DEPTH = 60
# What was measured less 0.03, less 0.01 for the IoU; of all documents, and of the part.
_GUARDS = {False: (0.845, 0.043, 0.898), True: (0.944, 0.037, 0.957)}
_PART = "state_of_the_union.md"


@dataclass(frozen=True, slots=True)
class Overlap:
    """The characters of excerpts, those of what was retrieved, and those that are in both."""

    gold: int
    retrieved: int
    both: int

    @property
    def recall(self) -> float:
        return self.both / self.gold

    @property
    def iou(self) -> float:
        return self.both / (self.gold + self.retrieved - self.both)


async def measure(run: Run) -> Sequence[Figure]:
    corpus = _corpus(run)
    ours = await _means(corpus, PIECES, run.embedder)
    others = {f"chunks {size}": await _means(corpus, pieces, run.embedder) for size, pieces in _OTHERS.items()}
    return [
        Figure(f"chunking_evaluation, {name}", value, {size: means[name] for size, means in others.items()}, at_least)
        for (name, value), at_least in zip(ours.items(), _GUARDS[run.subset], strict=True)
    ]


CHUNKS = Part("Chunks", ("chunking_evaluation",), measure)


def overlap(question: Question, retrieved: Iterable[tuple[str, Span]]) -> Overlap:
    """Of the question's excerpts and the retrieved spans, each with its document's name; these don't overlap."""
    gold = {place for span in question.spans for place in range(*span)}
    spans = list(retrieved)
    here = [span for name, span in spans if name == question.document]
    both = sum(any(start <= place < end for start, end in here) for place in gold)
    return Overlap(len(gold), sum(end - start for _, (start, end) in spans), both)


def within(budget: int, found: Iterable[Passage]) -> Iterator[tuple[str, Span]]:
    """What is read of the passages in order until there were so many characters: of the last one its beginning."""
    for passage in found:
        if budget <= 0:
            return
        end = min(passage.char_end, passage.char_start + budget)
        yield passage.document_name, (passage.char_start, end)
        budget -= end - passage.char_start


def _corpus(run: Run) -> Corpus:
    corpus = chunking_evaluation(run.data)
    documents = {name: text for name, text in corpus.documents.items() if not run.subset or name == _PART}
    questions = [
        Question(each.text, each.document, tuple(located(documents[each.document], span) for span in each.spans))
        for each in corpus.questions
        if each.document in documents
    ]
    return Corpus(documents, questions)


async def _means(corpus: Corpus, pieces: int, embedder: Embedder) -> dict[str, float]:
    of_chunks, in_budget = [], []
    with TemporaryDirectory() as folder:
        index = SqliteIndex(Path(folder, "index.db"), embedder)
        await _fill(index, corpus.documents, pieces, embedder)
        for question in corpus.questions:
            found = await index.search(question.text, [KB_ID], _DEPTH)
            of_chunks.append(overlap(question, map(_place, found[:_CHUNKS])))
            in_budget.append(overlap(question, within(_BUDGET, found)))
        await index.aclose()
    return {
        f"recall of {_CHUNKS} chunks": fmean(each.recall for each in of_chunks),
        f"IoU of {_CHUNKS} chunks": fmean(each.iou for each in of_chunks),
        f"recall in {_BUDGET:,} characters": fmean(each.recall for each in in_budget),
    }


async def _fill(index: SqliteIndex, documents: Mapping[str, str], pieces: int, embedder: Embedder) -> None:
    for name, raw in documents.items():
        parsed = parse_bytes(name, raw.encode())
        parts = chunks(parsed, pieces)
        vectors = await embedder.embed([parsed.text[part.start : part.end] for part in parts])
        await index.put(Document(document_id(KB_ID, name), name, KB_ID, parsed.text), "", parts, vectors)


def _place(passage: Passage) -> tuple[str, Span]:
    return passage.document_name, (passage.char_start, passage.char_end)
