"""How long a search takes, by the number of chunks: words, meaning and both, the query's embedding included."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from citestream.retrieval.index import Principals
from citestream.settings import load_settings
from citestream.stores import open_embedder, open_index
from tests.bench.made_up import built, questions

BOUND_MS = 40.0


async def measure(data: Path, kb_ids: list[str], count: int, principals: Principals = None) -> list[float]:
    settings = load_settings({}, data=data)
    index = open_index(settings, open_embedder(settings))
    times = []
    for question in questions(count + 5):
        started = time.perf_counter()
        assert await index.search(question, kb_ids, 8, principals)
        times.append((time.perf_counter() - started) * 1000)
    await index.aclose()
    return times[5:]  # the first ones read the vectors


def report(name: str, times: list[float]) -> float:
    median = statistics.median(times)
    print(f"{name:44} p50 {median:6.1f} ms   p99 {statistics.quantiles(times, n=100)[98]:6.1f} ms")
    return median


def by_knowledge_bases(folder: Path, chunks: int, count: int) -> None:
    for kbs, asked in ((10, ["kb3"]), (10, [f"kb{i}" for i in range(10)]), (1, ["kb0"])):
        times = asyncio.run(measure(built(folder, chunks, kbs), asked, count))
        report(f"{chunks:7} chunks, {len(asked):2} of {kbs:2} knowledge bases", times)


def by_readers(folder: Path, chunks: int, count: int, restricted: int) -> None:
    half = frozenset(f"reader{i}" for i in range(0, restricted, 2))
    for which, principals in (("none of", None), ("half of", half), ("all", frozenset[str]())):
        times = asyncio.run(measure(built(folder, chunks, 1, restricted), ["kb0"], count, principals))
        report(f"{chunks:7} chunks, {which} {restricted} documents withheld", times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--restricted", type=int, default=0, help="time readers of so many documents, each for another")
    parser.add_argument("--keep", type=Path, help="keep the indexes in this folder, for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for chunks in options.chunks:
            if options.restricted:
                by_readers(options.keep or Path(folder), chunks, options.questions, options.restricted)
            else:
                by_knowledge_bases(options.keep or Path(folder), chunks, options.questions)
    print(f"wanted: p50 under {BOUND_MS:.0f} ms at 100,000 chunks")


if __name__ == "__main__":
    main()
