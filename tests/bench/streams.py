"""Many streams at a time on the embedded server, what they take, how fast one is read again, and what the log costs.

The server is a process of its own, as ``citestream serve`` is, with a model that tells the time: each word says when
it was written. All streams wait for the last one to begin; from there on each has a frame at every beat.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from citestream.answer.answerer import Ending
from citestream.answer.history import Turn
from citestream.answer.pipeline import Pipeline
from citestream.app import create_local_app, open_engine
from citestream.model import Passage
from citestream.server import Server, make_config
from citestream.settings import PREFIX, load_settings
from tests.answers import Alone
from tests.bench import stream_log
from tests.bench.made_up import built, questions
from tests.bench.server import resident_mb

SETTINGS = {"MAX_ANSWERS": "10000", "COALESCE_SECONDS": "0", "ANSWER_SECONDS": "600"}
ASKED = re.compile(r"(\d+) streams, (\d+) words, every (\S+) s: .*")
FRAME = re.compile(rb"event: (\w+)\ndata: (.*)\n(?:retry: 1500\n)?id: \w+-(\d+)\n\n")
# A word as long as what is joined to a frame at 50 tokens a second: its number, and nanoseconds of the monotonic clock.
WORD = " {:06} {:020}."


class Metronome(Alone):
    """Answers with as many words as it is asked for, on the beat, and each of the streams a little later."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()
        self._all: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        found = ASKED.fullmatch(question)
        assert found is not None
        streams, words, pause = int(found[1]), int(found[2]), float(found[3])
        mine = self._begun[found[1]]
        self._begun[found[1]] += 1
        if mine + 1 == streams:
            self._all[found[1]].set()
        await self._all[found[1]].wait()
        beat = time.monotonic() + 1 + pause * (mine / streams)
        for n in range(words):
            await asyncio.sleep(beat + n * pause - time.monotonic())
            yield WORD.format(n, time.monotonic_ns())
        yield Ending("stop")

    async def aclose(self) -> None:
        pass


def serve() -> None:
    settings = load_settings()
    engine = open_engine(settings)
    engine = replace(engine, pipeline=Pipeline(engine.index, Metronome()))
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
        print(listening.getsockname()[1], flush=True)
        config = make_config(create_local_app(settings, engine), "127.0.0.1", 0)
        Server(config, engine.hub).run(sockets=[listening])


@contextmanager
def served(data: Path) -> Iterator[tuple[int, int]]:
    """Yields the server's port and process id."""
    line = [sys.executable, "-c", "from tests.bench.streams import serve; serve()"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {PREFIX + name: value for name, value in SETTINGS.items()} | {f"{PREFIX}DATA": str(data)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(line, env=environ, **pipes) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.terminate()


@dataclass
class Received:
    """A stream as it came: its bytes, and when each piece of them did, by where that ends."""

    data: bytearray = field(default_factory=bytearray)
    pieces: list[tuple[int, int]] = field(default_factory=list)

    def add(self, piece: bytes) -> None:
        self.data += piece
        self.pieces.append((len(self.data), time.monotonic_ns()))

    def delays(self, words: int) -> list[float]:
        """Milliseconds from each word's writing to its frame's last byte. Raises AssertionError for what is lost."""
        frames = list(FRAME.finditer(self.data))
        names = [frame[1] for frame in frames]
        assert names == [b"token"] * words + [b"done"], f"{len(frames)} frames of {words + 1}"
        assert [int(frame[3]) for frame in frames] == list(range(1, words + 2))
        pieces = iter(self.pieces)
        end, arrived = next(pieces)
        found = []
        for n, frame in enumerate(frames[:-1]):
            while end < frame.end():
                end, arrived = next(pieces)
            number, written = re.findall(rb"\d+", frame[2])
            assert int(number) == n
            found.append((arrived - int(written)) / 1e6)
        return found


async def stream(port: int, question: str) -> Received:
    body = httpx.Request("POST", "http://x", json={"query": question}).read()
    head = (
        "POST /api/v1/search HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    received = Received()
    while piece := await reader.read(65536):
        received.add(piece)
    writer.close()
    return received


async def many(port: int, pid: int, asked: Sequence[str], seconds: float) -> tuple[list[Received], float]:
    """What all of them got, and the server's memory in MB when the most of it had been written."""
    reading = [asyncio.create_task(stream(port, question)) for question in asked]
    most = 0.0
    while not all(each.done() for each in reading):
        await asyncio.sleep(seconds / 20)
        most = max(most, resident_mb(pid))
    return [each.result() for each in reading], most


def concurrent(port: int, pid: int, streams: int, words: int, pause: float) -> None:
    words_of = itertools.cycle(questions(20))
    # Half as many to half as many more: an answer's end, its citations and its score, takes the server some 4 ms.
    lengths = [words // 2 + n * words // streams for n in range(streams)]
    asked = [f"{streams} streams, {each} words, every {pause} s: {next(words_of)}" for each in lengths]
    asyncio.run(stream(port, f"1 streams, 1 words, every 0 s: {next(words_of)}"))  # now the index has been read
    before = resident_mb(pid)
    received, most = asyncio.run(many(port, pid, asked, words * pause))
    delays = [delay for each, length in zip(received, lengths, strict=True) for delay in each.delays(length)]
    p99 = statistics.quantiles(delays, n=100)[98]
    name = f"{streams} streams, {streams / pause:.0f} frames a second"
    print(f"{name:44} delay p50 {statistics.median(delays):6.1f} ms   p99 {p99:6.1f} ms   none of {len(delays)} lost")
    print(f"{'':44} {(most - before) * 1024 / streams:.0f} kB of memory each, {most:.0f} MB in all")


def replay(port: int, words: int, rounds: int) -> None:
    """Read an ended stream again, from its first event."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Accept": "text/event-stream"}) as client:
        first = client.post("/api/v1/search", json={"query": f"1 streams, {words} words, every 0 s: x"}, timeout=60)
        events = FRAME.findall(first.content)
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            again = client.get(first.headers["location"])
            times.append((time.perf_counter() - started) * 1000)
            assert FRAME.findall(again.content) == events
    milliseconds = statistics.median(times)
    name = f"{len(events)} events, read again"
    print(f"{name:44} p50 {milliseconds:6.1f} ms, {len(events) / milliseconds * 1000:,.0f} events a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--words", type=int, default=20, help="frames of each, on average")
    parser.add_argument(
        "--pauses", type=float, nargs="*", default=[1.0, 0.5, 0.25], help="seconds between a stream's frames"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="keep the index in this folder, for the next time")
    options = parser.parse_args()
    print("load of the machine: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))
    with tempfile.TemporaryDirectory() as folder:
        data = built(options.keep or Path(folder), 1_000, 1)
        for pause in options.pauses:
            with served(data) as (port, pid):
                concurrent(port, pid, options.streams, options.words, pause)
        with served(data) as (port, _):
            replay(port, 999, options.rounds)
    stream_log.report(options.rounds)


if __name__ == "__main__":
    main()
