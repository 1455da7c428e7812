"""Producers that are killed, that stand still until others think them dead, and whose clocks are wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import pytest

from citestream.errors import StoreUnavailable
from citestream.streams.admission import RequestKey, request_key
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog
from tests.doomed_producer import JUMP, KILL, LIMITS, STOP, Fate, produce
from tests.faults import Place, entries_of, producing_answer, runs, side_by_side
from tests.faults import place as place
from tests.streams import entries

# Each process is a copy of one that has imported all of it.
_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload(["pytest", "boto3", "tests.bucket", "tests.doomed_producer"])
# A stream whose producer has not begun by then is begun by who has repeated the request.
_PATIENCE_SECONDS = 3.0


@pytest.fixture
async def log(place: Place) -> AsyncGenerator[StreamLog]:
    async with place.log() as log:
        yield log


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citestream.streams.keys._CLAIM_SECONDS", _PATIENCE_SECONDS)
    monkeypatch.setattr("citestream.streams.hub._LOOK_SECONDS", 0.1)


@contextmanager
def producer(place: Place, seed: int, kind: str) -> Iterator[BaseProcess]:
    begins = _PROCESSES.Event()
    process = _PROCESSES.Process(target=produce, args=(place, seed, kind, begins))
    process.start()
    try:
        begins.wait(60)
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


async def asked_again(hub: Hub, key: RequestKey, seed: int, process: BaseProcess) -> str:
    """The stream of the producer's request, for who repeats it; a new one, where that one did not come into being."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while process.is_alive() and time.monotonic() < until:
        try:
            if stream_id := await hub.stream_of(key):
                return stream_id
        except StoreUnavailable:  # it has its key, and does not begin
            continue
        await asyncio.sleep(0.01)
    return (await hub.admit(f"{seed}", producing_answer(seed), key=key)).stream_id


async def ended(process: BaseProcess, wake: signal.Signals | None = None) -> int | None:
    """How the process has ended, which is sent the signal until then."""
    while process.is_alive():
        if wake is not None and process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, wake)
        await asyncio.sleep(0.01)
    return process.exitcode


async def check(log: StreamLog, hub: Hub, seed: int, stream_id: str) -> str:
    """Read to the end: what was read is what is kept, is the answer as far as it goes, and its end says how it ended.

    The slots are free then. Returns the failure's code, or "".
    """
    read = await entries(hub, stream_id)
    assert read == await log.read(stream_id, 0)
    assert [entry.n for entry in read] == list(range(1, len(read) + 1))
    assert [entry.final for entry in read] == [False] * (len(read) - 1) + [True]
    whole = entries_of(seed, stream_id)
    failed = read[-1].event == "failure"
    assert (read[:-1] == whole[: len(read) - 1]) if failed else read == whole
    for n in range(LIMITS.answers):
        assert await log.admission.take_slot(f"{seed}", f"{n}", time.time() + 60, LIMITS.answers) is None
    for n in range(LIMITS.answers):
        await log.admission.release_slot(f"{seed}", f"{n}")
    return str(json.loads(read[-1].data)["code"]) if failed else ""


def possible(seed: int, kind: str) -> set[str]:
    """How the answer can end: in mid-stream, where that is where it is struck."""
    fate = Fate.of(seed, kind)
    # The first three calls are for the key, the slot and the record.
    if fate.moment == "before" and 3 < fate.at <= 3 + len(entries_of(seed, "")):
        return {"producer_lost"}
    return {"", "producer_lost"}


@runs(10, together=10)
async def test_a_killed_producers_answer_has_an_end(place: Place, log: StreamLog, seeds: list[int]) -> None:
    hub = Hub(log, LIMITS)

    async def run(seed: int) -> None:
        key = request_key(f"{seed}", "key", "question")
        with producer(place, seed, KILL) as process:
            stream_id = await asked_again(hub, key, seed, process)
            assert await check(log, hub, seed, stream_id) in possible(seed, KILL)
            assert await ended(process) in (0, -signal.SIGKILL)
            assert await hub.stream_of(key) == stream_id

    await side_by_side(seeds, run)


@runs(4, together=4)
async def test_a_producer_that_was_taken_for_dead_writes_no_more(
    place: Place, log: StreamLog, seeds: list[int]
) -> None:
    hub = Hub(log, LIMITS)

    async def run(seed: int) -> None:
        key = request_key(f"{seed}", "key", "question")
        with producer(place, seed, STOP) as process:
            stream_id = await asked_again(hub, key, seed, process)
            assert await check(log, hub, seed, stream_id) in possible(seed, STOP)
            kept = await log.read(stream_id, 0)
            assert await ended(process, signal.SIGCONT) == 0
            assert await log.read(stream_id, 0) == kept

    await side_by_side(seeds, run)


@runs(4, together=4)
async def test_a_clock_that_jumps_costs_an_answer_at_most(place: Place, log: StreamLog, seeds: list[int]) -> None:
    """By an hour at most, either way: a live producer may be taken for dead, and then its answer ends early."""
    hub = Hub(log, LIMITS)

    async def run(seed: int) -> None:
        key = request_key(f"{seed}", "key", "question")
        with producer(place, seed, JUMP) as process:
            stream_id = await asked_again(hub, key, seed, process)
            assert await check(log, hub, seed, stream_id) in ("", "producer_lost")
            assert await ended(process) == 0

    await side_by_side(seeds, run)
