"""How fast documents get into the index, in how much memory, and how well they are found: SciFact on both engines.

The engine on AWS writes to a server on this machine that stands in for AWS (moto, and an S3 Vectors of the tests): its
documents a second count calls, not AWS's patience. What AWS's analyzer of English does is not documented; the one here
is like Lucene's. moto copies a table for each transaction: the first documents alone are ingested, and the ranking is
measured over vectors that are put there straight away. Both engines get the same vectors. The data is public and not
part of this repository.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np

from citestream.aws import Aws
from citestream.evaluation.data import scifact
from citestream.evaluation.ranking import ndcg
from citestream.ingest.files import SourceFile
from citestream.ingest.load import load, read
from citestream.model import Document, document_id
from citestream.retrieval import minilm
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.fusion import fuse
from citestream.retrieval.index import Index
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.retrieval.vector_store import VectorStore, Version
from citestream.settings import load_settings
from citestream.stores import open_aws_index
from tests.aws import make_stores, serving_aws

DATA = Path(os.environ.get("CITESTREAM_BENCH_DATA", "../shared/data"))
KB = "scifact"
DEPTH = 40
Find = Callable[[str], Awaitable[Sequence[str]]]  # the documents' names for a question, best first
Report = dict[str, float]


class Recalling:
    """An embedder that keeps its vectors in a file, for the next run and engine, and the time that they took."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.id, self.dimensions, self.weight = embedder.id, embedder.dimensions, embedder.weight
        self.count, self.seconds = 0, 0.0
        self._embedder = embedder
        self._path = path
        self._known: dict[str, Sequence[float]] = {}
        if path.exists():
            kept = np.load(path)
            self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    async def embed(self, texts: Sequence[str]) -> Vectors:
        names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        if missing := {name: text for name, text in zip(names, texts, strict=True) if name not in self._known}:
            started = time.perf_counter()
            vectors = np.array(await self._embedder.embed(list(missing.values())), np.float32)
            self.seconds += time.perf_counter() - started
            self.count += len(missing)
            self._known.update(zip(missing, vectors, strict=True))
        return [np.asarray(self._known[name]).tolist() for name in names]

    def keep(self) -> None:
        np.savez(self._path, texts=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


async def ingest(index: Index, embedder: Recalling, files: Sequence[SourceFile]) -> Report:
    started = time.perf_counter()
    states = [outcome.state async for outcome in load(files, KB, index, embedder)]
    seconds = time.perf_counter() - started
    assert states == ["added"] * len(files)
    (kb,) = await index.knowledge_bases()
    return {
        "documents": len(files),
        "chunks": kb.chunk_count,
        "seconds": seconds,
        "embedded": embedder.count,
        "embedding": embedder.seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def on_this_machine(embedder: Recalling, folder: Path, files: list[SourceFile], few: int) -> Report:
    index = SqliteIndex(folder / "index.db", embedder)
    report = await ingest(index, embedder, files)
    embedder.keep()

    async def find(question: str) -> Sequence[str]:
        return [passage.document_name for passage in await index.search(question, [KB], DEPTH)]

    report["words and meaning"] = await quality(find)
    await index.aclose()
    return report


async def on_aws(embedder: Recalling, folder: Path, files: list[SourceFile], few: int) -> Report:
    with serving_aws() as server:
        os.environ.update(server.environ)
        settings = load_settings(make_stores(server).environ, data=folder)
        aws = Aws()
        index = open_aws_index(settings, embedder, aws)
        server.reset()
        report = await ingest(index, embedder, files[:few])
        report["calls"] = sum(server.calls().values())
        for analyzer, language in (("English", "en"), ("standard", "")):
            vectors = VectorStore(aws, make_stores(server).vector_bucket, language)
            await fill(vectors, embedder, files)
            report[f"words ({analyzer} analyzer) and meaning"] = await quality(
                searching(vectors, embedder, by_words=True)
            )
        report["meaning alone"] = await quality(searching(vectors, embedder, by_words=False))
        await aws.aclose()
    return report


async def fill(vectors: VectorStore, embedder: Recalling, files: Sequence[SourceFile]) -> None:
    await vectors.create(KB, embedder.dimensions, text_search=True)
    for file in files:
        text, chunks = read(file.path, file.name)
        document = Document(document_id(KB, file.name), file.name, KB, text)
        found = await embedder.embed([text[chunk.start : chunk.end] for chunk in chunks])
        await vectors.put(Version("v", KB, len(chunks)), document, 0, chunks, found)


def searching(vectors: VectorStore, embedder: Recalling, *, by_words: bool) -> Find:
    """What the index on AWS does but for the look at the documents' records."""

    async def find(question: str) -> Sequence[str]:
        (vector,) = await embedder.embed([question])
        found = await vectors.query(KB, vector, question if by_words else None, None)
        names = {each.key: each.name for each in found}
        words = {each.key: each.words for each in found if each.words is not None}
        meaning = {each.key: each.meaning for each in found if each.meaning is not None}
        weight = embedder.weight(question) if by_words else 1.0
        return [names[key] for key, _ in fuse(words, meaning, weight)[:DEPTH]]

    return find


async def quality(find: Find) -> float:
    scores = []
    for claim in scifact(DATA)[1]:
        names = dict.fromkeys(await find(claim.query))
        scores.append(ndcg([name in claim.relevant for name in names], len(claim.relevant)))
    return sum(scores) / len(scores)


def write_corpus(folder: Path) -> list[SourceFile]:
    texts, _ = scifact(DATA)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [SourceFile(folder / name, name) for name in texts]


ENGINES = {"this machine": on_this_machine, "AWS": on_aws}


def measured(engine: str, folder: Path, documents: int, few: int) -> Report:
    """In a process of its own, whose memory is its own."""
    options = {"engine": engine, "folder": folder, "documents": documents, "few": few}
    command = [sys.executable, "-m", "tests.bench.ingest", *(f"--{name}={value}" for name, value in options.items())]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    report: Report = json.loads(said.splitlines()[-1])
    return report


def tell(engine: str, report: Report) -> None:
    storing = report["seconds"] - report["embedding"]
    print(
        f"{engine:14} {report['documents']:6.0f} documents, {report['chunks']:6.0f} chunks:"
        f" {report['documents'] / storing:6.1f} documents a second without embedding, peak {report['megabytes']:.0f} MB"
    )
    if report["embedded"]:
        print(f"{'':14} embedding {report['embedded'] / report['embedding']:.1f} chunks a second")
    if "calls" in report:
        print(f"{'':14} {report['calls'] / report['documents']:.1f} calls of AWS a document")
    for name in (name for name in report if "meaning" in name):
        print(f"{'':14} nDCG@10 {report[name]:.4f}  {name}")


def run(engine: str, folder: Path, documents: int, few: int) -> None:
    embedder = minilm.load()
    assert embedder is not None, "the embedder's weights are not installed"
    recalling = Recalling(embedder, folder / "vectors.npz")
    with tempfile.TemporaryDirectory() as files:
        corpus = write_corpus(Path(files))[:documents]
        print(json.dumps(asyncio.run(ENGINES[engine](recalling, folder, corpus, few))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5183, help="ingest so many, the first")
    parser.add_argument("--few", type=int, default=300, help="ingest so many of them on AWS")
    parser.add_argument("--folder", type=Path, help="keep everything in this folder; vectors.npz in it is used again")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (DATA / "scifact").is_dir():
        print(f"skipped: no SciFact in {DATA} (CITESTREAM_BENCH_DATA names another folder)")
    elif options.engine:
        run(options.engine, options.folder, options.documents, options.few)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            for engine in ENGINES:
                folder = options.folder or Path(temporary)
                tell(engine, measured(engine, folder, options.documents, options.few))


if __name__ == "__main__":
    main()
