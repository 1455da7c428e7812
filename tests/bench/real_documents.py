"""Real documents, real questions: the five corpora of chunking_evaluation, 50 of their questions, each excerpt checked.

The data is public and not part of this repository. Also tells how often the answer holds the words that its authors
marked as the answer (share of the marked characters, by whole sentences).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import tempfile
import time
from pathlib import Path

from citestream.answer.extractive import ExtractiveAnswerer
from citestream.answer.pipeline import Pipeline, Question
from citestream.ingest.files import find_files
from citestream.ingest.load import load
from citestream.model import Citation, Done, Results
from citestream.retrieval import minilm
from citestream.retrieval.sqlite_index import SqliteIndex

FOLDER = Path(os.environ.get("CITESTREAM_BENCH_DATA", "../shared/data"), "chunking_evaluation")


def questions(count: int) -> list[tuple[str, str, list[str]]]:
    """Evenly drawn: the question, its corpus, and the passages that answer it."""
    with (FOLDER / "questions_df.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    step = len(rows) // count
    chosen = rows[: step * count : step]
    return [
        (row["question"], row["corpus_id"], [each["content"] for each in json.loads(row["references"])])
        for row in chosen
    ]


async def run(folder: Path, count: int) -> None:
    embedder = minilm.load()
    index = SqliteIndex(folder / "index.db", embedder)
    started = time.perf_counter()
    async for outcome in load(find_files([str(FOLDER / "*.md")]).files.values(), "corpora", index, embedder):
        if outcome.state == "skipped":
            raise SystemExit(f"{outcome.file.path}: {outcome.reason}")
    (kb,) = await index.knowledge_bases()
    print(f"ingested {kb.document_count} files, {kb.chunk_count} chunks, in {time.perf_counter() - started:.0f} s")
    verbatim, cited, answered, held, in_passages = 0, 0, 0, 0, 0
    asked = questions(count)
    for text, _, references in asked:
        pipeline = Pipeline(index, ExtractiveAnswerer())
        events = [event async for event in pipeline.events(Question(text, ("corpora",), results=True), "s")]
        citations = [event for event in events if isinstance(event, Citation)]
        passages = [each for event in events if isinstance(event, Results) for each in event.results]
        for citation in citations:
            document = await index.document(citation.document_id)
            cited += 1
            verbatim += document is not None and (
                document.text[citation.char_start : citation.char_end] == citation.excerpt != ""
            )
        done = events[-1]
        answered += isinstance(done, Done) and done.finish_reason == "stop"
        wanted = {word for reference in references for word in reference.lower().split()}
        excerpts = {word for citation in citations for word in citation.excerpt.lower().split()}
        held += len(wanted & excerpts) > len(wanted) / 2
        in_passages += all(any(" ".join(r.split()) in " ".join(p.text.split()) for p in passages) for r in references)
    await index.aclose()
    print(
        f"{len(asked)} questions: {answered} answered, {cited} citations, {verbatim} of them verbatim in their document"
    )
    print(
        f"over half of the marked words in the cited excerpts: {held}; "
        f"all marked spans whole in one passage: {in_passages}"
    )
    if verbatim != cited:
        raise SystemExit("an excerpt is not in its document")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=50)
    options = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"skipped: nothing in {FOLDER} (CITESTREAM_BENCH_DATA names another folder)")
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), options.questions))


if __name__ == "__main__":
    main()
