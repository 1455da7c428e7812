"""The public data that answers are measured on, read from a folder; none of it is part of the product.

A data set is a folder below it: see the README for what each holds and where it comes from.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer stands in a document, word for word; ``spans`` are half-open, in code points."""

    text: str
    document: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents, each a text by its name, and questions about them."""

    documents: Mapping[str, str]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Judged:
    """A query and the names of the documents that are relevant to it."""

    query: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Passaged:
    """A question with the one passage it was asked of, which may not answer it."""

    question: str
    title: str
    text: str


def scifact(data: Path) -> tuple[dict[str, str], list[Judged]]:
    """The abstracts by name, each after its title, and the 300 claims of the test set."""
    folder = data / "scifact"
    texts = {
        f"{row['_id']}.txt": f"{row['title']}\n\n{' '.join(row['sentences'])}\n"
        for row in _lines(folder / "corpus.jsonl")
    }
    rows = [row for row in _lines(folder / "queries.jsonl") if row["split"] == "validation"]
    return texts, [Judged(row["text"], frozenset(f"{id}.txt" for id in row["cited"])) for row in rows]


def xquad(data: Path, language: str = "en") -> Corpus:
    """Each article is a document: its paragraphs with a blank line between them."""
    documents, questions = {}, []
    for article in json.loads((data / "xquad" / f"xquad.{language}.json").read_text("utf-8"))["data"]:
        name, text = f"{article['title']}.txt", ""
        for paragraph in article["paragraphs"]:
            for each in paragraph["qas"]:
                begins = [(len(text) + answer["answer_start"], len(answer["text"])) for answer in each["answers"]]
                spans = tuple((begin, begin + length) for begin, length in begins)
                questions.append(Question(each["question"], name, spans))
            text += paragraph["context"] + "\n\n"
        documents[name] = text
    return Corpus(documents, questions)


def chunking_evaluation(data: Path) -> Corpus:
    """Five long documents, with questions that have one or more excerpts each as their answer."""
    folder = data / "chunking_evaluation"
    # As it is, with its own line ends: offsets count them.
    documents = {path.name: path.read_bytes().decode("utf-8") for path in sorted(folder.glob("*.md"))}
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        questions = [
            Question(
                row["question"],
                f"{row['corpus_id']}.md",
                tuple((each["start_index"], each["end_index"]) for each in json.loads(row["references"])),
            )
            for row in csv.DictReader(file)
        ]
    return Corpus(documents, questions)


def clapnq(data: Path) -> tuple[list[Passaged], list[Passaged]]:
    """150 questions that their passage answers, and 150 that theirs does not."""
    answered, unanswered = (
        [_passaged(row) for row in _lines(data / "clapnq" / f"clapnq_half_a_{kind}.jsonl")]
        for kind in ("answerable", "unanswerable")
    )
    return answered, unanswered


def _passaged(row: Mapping[str, Any]) -> Passaged:
    (passage,) = row["passages"]
    return Passaged(row["input"], passage["title"], passage["text"])


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
