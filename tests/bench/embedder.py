"""How fast the offline embedder is, and what it takes: `python tests/bench/embedder.py`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from time import perf_counter

from citestream.retrieval.minilm import MiniLM, load

PROSE = """
the policy of a team says that every backup is kept for thirty days and restored once a quarter by someone who did
not write it employees carry over five days of annual leave unless illness made it impossible to take them before
March an incident is declared as soon as customers notice reviewed within a week and its report sent to engineers
"""

# What a process that asks one question goes through, the interpreter's own start apart.
FRESH = """
from time import perf_counter
start = perf_counter()
from citestream.retrieval.minilm import load
import asyncio
embedder = load()
asyncio.run(embedder.embed(["How many days of leave can I carry over?"]))
milliseconds = (perf_counter() - start) * 1000
import json, resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
try:
    pages = int(open("/proc/self/statm").read().split()[1])
    resident = pages * resource.getpagesize() / 1024 / 1024
except OSError:
    resident = peak
print(json.dumps([milliseconds, resident, peak]))
"""


def text(words: int, seed: int) -> str:
    prose = PROSE.split()
    return " ".join(prose[(seed + place * place) % len(prose)] for place in range(words))


def fresh(times: int) -> list[list[float]]:
    runs = [subprocess.run([sys.executable, "-c", FRESH], capture_output=True, check=True) for _ in range(times)]
    return [json.loads(run.stdout) for run in runs]


async def queries(embedder: MiniLM, count: int) -> list[float]:
    """Milliseconds of each of ``count`` queries of 5 to 12 words."""
    durations = []
    for seed in range(count):
        query = [text(5 + seed % 8, seed)]
        start = perf_counter()
        await embedder.embed(query)
        durations.append((perf_counter() - start) * 1000)
    return durations


async def chunks_a_second(embedder: MiniLM, count: int, words: int) -> float:
    chunks = [text(words, seed) for seed in range(count)]
    start = perf_counter()
    await embedder.embed(chunks)
    return count / (perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="fresh processes (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--chunks", type=int, default=120, help="default: %(default)s")
    parser.add_argument("--words", type=int, default=170, help="of a chunk (default: %(default)s)")
    options = parser.parse_args()

    embedder = load()
    if embedder is None:
        sys.exit("numpy or the weights are not installed")
    print(f"{embedder.id}, numpy {version('numpy')}, Python {platform.python_version()}")
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    starts = fresh(options.starts)
    milliseconds, resident, peak = (statistics.median(column) for column in zip(*starts, strict=True))
    print(f"cold: {milliseconds:.0f} ms from import to first vector, median of {options.starts} fresh processes")
    print(f"resident: {resident:.0f} MB after it, {peak:.0f} MB at the peak")
    asyncio.run(queries(embedder, 20))
    durations = statistics.quantiles(asyncio.run(queries(embedder, options.queries)), n=100)
    print(f"query of 5 to 12 words: {durations[49]:.1f} ms p50, {durations[98]:.1f} ms p99 of {options.queries}")
    rate = asyncio.run(chunks_a_second(embedder, options.chunks, options.words))
    print(f"chunks of {options.words} words: {rate:.1f} a second over {options.chunks} in one call")


if __name__ == "__main__":
    main()
