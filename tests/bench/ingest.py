"""How fast documents get into the index, in how much memory, and how well they are found: SciFact on both engines.

The engine on AWS writes to a server on this machine that stands in for AWS (moto, and an S3 Vectors of the tests): its
documents a second count calls, not AWS's patience, and its words are neither stemmed nor rid of stop words. Both get
the same vectors, which the first engine computes. The data is public and not part of this repository.
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
from typing import Any

import numpy as np

from citestream.aws import Aws
from citestream.ingest.load import load
from citestream.retrieval import minilm
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.index import Index
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.retrieval.vector_store import VectorStore
from citestream.settings import load_settings
from citestream.stores import open_aws_index
from tests.aws import make_stores, serving_aws
from tests.bench.quality import DATA, judged, ndcg, write_corpus

KB = "scifact"
DEPTH = 40
Find = Callable[[str], Awaitable[Sequence[str]]]  # the documents' names for a question, best first
Report = dict[str, float]


class Recalling:
    """An embedder that keeps its vectors in a file, for the engine after this one, and the time that they took."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.id, self.dimensions, self.weight = embedder.id, embedder.dimensions, embedder.weight
        self.seconds = 0.0
        self._embedder = embedder
        self._path = path
        self._known: dict[str, Sequence[float]] = {}
        if path.exists():
            kept = np.load(path)
            self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    async def embed(self, texts: Sequence[str]) -> Vectors:
        started = time.perf_counter()
        names = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        if missing := {name: text for name, text in zip(names, texts, strict=True) if name not in self._known}:
            vectors = np.array(await self._embedder.embed(list(missing.values())), np.float32)
            self._known.update(zip(missing, vectors, strict=True))
        self.seconds += time.perf_counter() - started
        return [np.asarray(self._known[name]).tolist() for name in names]

    def keep(self) -> None:
        np.savez(self._path, texts=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


async def ingest(index: Index, embedder: Recalling, folder: Path, most: int) -> Report:
    files = write_corpus(folder)[:most]
    started = time.perf_counter()
    states = [outcome.state async for outcome in load(files, KB, index, embedder)]
    seconds = time.perf_counter() - started
    assert states == ["added"] * len(files)
    (kb,) = await index.knowledge_bases()
    return {
        "documents": len(files),
        "chunks": kb.chunk_count,
        "seconds": seconds,
        "embedding": embedder.seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def quality(find: Find) -> tuple[float, float]:
    """Mean nDCG@10, and the milliseconds of a question in the median."""
    scores, times = [], []
    for text, relevant in judged():
        started = time.perf_counter()
        names = await find(text)
        times.append((time.perf_counter() - started) * 1000)
        scores.append(ndcg(list(dict.fromkeys(name.removesuffix(".txt") for name in names)), relevant))
    return sum(scores) / len(scores), float(np.median(times))


def searching(index: Index) -> Find:
    async def find(text: str) -> Sequence[str]:
        return [passage.document_name for passage in await index.search(text, [KB], DEPTH)]

    return find


async def on_this_machine(embedder: Recalling, folder: Path, files: Path, most: int) -> Report:
    index = SqliteIndex(folder / "index.db", embedder)
    report = await ingest(index, embedder, files, most)
    embedder.keep()
    report["hybrid"], report["hybrid_ms"] = await quality(searching(index))
    await index.aclose()
    return report


async def on_aws(embedder: Recalling, folder: Path, files: Path, most: int) -> Report:
    with serving_aws() as server:
        os.environ.update(server.environ)
        settings = load_settings(make_stores(server).environ, data=folder)
        aws = Aws()
        index = open_aws_index(settings, embedder, aws)
        server.reset()
        report = await ingest(index, embedder, files, most)
        report["calls"] = sum(server.calls().values())
        report["hybrid"], report["hybrid_ms"] = await quality(searching(index))
        vectors = VectorStore(aws, settings.vector_bucket)
        (name,) = [each["indexName"] for each in await _indexes(aws, settings.vector_bucket)]

        async def by_vector(text: str) -> Sequence[str]:
            (vector,) = await embedder.embed([text])
            return [found.name for found in await vectors.query(name, vector, None, None)][:DEPTH]

        report["vectors"], report["vectors_ms"] = await quality(by_vector)
        await index.aclose()
    return report


async def _indexes(aws: Aws, bucket: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await aws.call("s3vectors", "list_indexes", vectorBucketName=bucket))["indexes"]
    return found


ENGINES = {"this machine": on_this_machine, "AWS": on_aws}


def measured(engine: str, folder: Path, most: int) -> Report:
    """In a process of its own, whose memory is its own."""
    command = [sys.executable, "-m", "tests.bench.ingest", "--engine", engine, "--folder", folder, "--documents", most]
    said = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    report: Report = json.loads(said.splitlines()[-1])
    return report


def row(engine: str, report: Report) -> str:
    storing = report["seconds"] - report["embedding"]
    calls = f"{report['calls'] / report['documents']:.1f} calls each" if "calls" in report else ""
    return (
        f"{engine:14} {report['documents']:6.0f} documents, {report['chunks']:6.0f} chunks: "
        f"{report['documents'] / storing:6.1f} a second without embedding, peak {report['megabytes']:5.0f} MB  {calls}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5183, help="ingest so many, the first")
    parser.add_argument("--folder", type=Path, help="keep everything in this folder")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (DATA / "scifact").is_dir():
        print(f"skipped: no SciFact in {DATA} (CITESTREAM_BENCH_DATA names another folder)")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if options.engine:
            run(options.engine, folder, Path(temporary), options.documents)
        else:
            compare(folder, options.documents)


def run(engine: str, folder: Path, files: Path, most: int) -> None:
    embedder = minilm.load()
    assert embedder is not None, "the embedder's weights are not installed"
    recalling = Recalling(embedder, folder / "vectors.npz")
    print(json.dumps(asyncio.run(ENGINES[engine](recalling, folder, files, most))))


def compare(folder: Path, most: int) -> None:
    reports = {engine: measured(engine, folder, most) for engine in ENGINES}
    here, aws = reports.values()
    for engine, report in reports.items():
        print(row(engine, report))
    embedding, whole = here["chunks"] / here["embedding"], here["documents"] / here["seconds"]
    print(f"{'embedding':14} {embedding:.1f} chunks a second; with it, {whole:.1f} documents a second on this machine")
    for name, report, key in (
        ("this machine, words and meaning", here, "hybrid"),
        ("AWS, words and meaning", aws, "hybrid"),
        ("AWS, meaning alone", aws, "vectors"),
    ):
        print(f"{name:34} nDCG@10 {report[key]:.4f}, {report[f'{key}_ms']:5.1f} ms a question")


if __name__ == "__main__":
    main()
