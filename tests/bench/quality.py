"""How well the index finds: nDCG@10 on SciFact, beside words alone, with the product's own parts and settings.

The data is public (claims CC BY 4.0, abstracts ODC-By) and not part of this repository.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from citestream.ingest.files import SourceFile
from citestream.ingest.load import load
from citestream.retrieval import minilm
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.sqlite_index import SqliteIndex

DATA = Path(os.environ.get("CITESTREAM_BENCH_DATA", "../shared/data"))


def write_corpus(folder: Path) -> list[SourceFile]:
    files = []
    for line in (DATA / "scifact" / "corpus.jsonl").open(encoding="utf-8"):
        each = json.loads(line)
        path = folder / f"{each['_id']}.txt"
        path.write_text(f"{each['title']}\n\n{' '.join(each['sentences'])}\n", "utf-8")
        files.append(SourceFile(path, path.name))
    return files


def judged() -> list[tuple[str, set[str]]]:
    rows = map(json.loads, (DATA / "scifact" / "queries.jsonl").open(encoding="utf-8"))
    return [(row["text"], set(map(str, row["cited"]))) for row in rows if row["split"] == "validation"]


def ndcg(found: Sequence[str], relevant: set[str], depth: int = 10) -> float:
    gain = sum(1 / math.log2(rank + 2) for rank, name in enumerate(found[:depth]) if name in relevant)
    best = sum(1 / math.log2(rank + 2) for rank in range(min(depth, len(relevant))))
    return gain / best


async def evaluate(index: SqliteIndex) -> float:
    scores = []
    for text, relevant in judged():
        passages = await index.search(text, ["scifact"], 40)
        names = list(dict.fromkeys(passage.document_name.removesuffix(".txt") for passage in passages))
        scores.append(ndcg(names, relevant))
    return sum(scores) / len(scores)


async def run(folder: Path, embedder: Embedder | None) -> None:
    (folder / "files").mkdir(exist_ok=True)
    files = write_corpus(folder / "files")
    index = SqliteIndex(folder / "index.db", embedder)
    started = time.perf_counter()
    count = 0
    async for outcome in load(files, "scifact", index, embedder):
        count += outcome.state in ("added", "updated")
    seconds = time.perf_counter() - started
    if count:
        print(f"ingested {count} files in {seconds:.0f} s: {count / seconds:.1f} a second")
    words = SqliteIndex(folder / "index.db", None)
    print(f"nDCG@10, {len(judged())} claims: words alone {await evaluate(words):.4f}", end="")
    print(f", words and meaning {await evaluate(index):.4f}" if embedder else " (no embedder is installed)")
    await words.aclose()
    await index.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="keep the index in this folder, for the next time")
    options = parser.parse_args()
    if not (DATA / "scifact").is_dir():
        print(f"skipped: no SciFact in {DATA} (CITESTREAM_BENCH_DATA names another folder)")
        return
    with tempfile.TemporaryDirectory() as folder:
        keep = options.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        asyncio.run(run(keep, minilm.load()))


if __name__ == "__main__":
    main()
