"""A store that fails at any call, before or after it has done what it was asked: once, for a while, or for good."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from citestream.errors import StoreUnavailable
from citestream.model import Event
from citestream.streams.admission import Admission
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog
from citestream.streams.production import Limits
from tests.faults import answer, entries_of, interposed, producing_answer, runs, side_by_side
from tests.hub_client import Client, check
from tests.streams import Produce, entries

LIMITS = Limits(answer=20, heartbeat=0.1, lease=2, cancel_poll=0.1, coalesce=0)
CALLS = sorted(
    name
    for protocol in (StreamLog, Admission)
    for name, call in vars(protocol).items()
    if inspect.iscoroutinefunction(call) and name != "aclose"
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citestream.streams.keys._CLAIM_SECONDS", 0.6)
    monkeypatch.setattr("citestream.streams.keys._PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("citestream.streams.hub._LOOK_SECONDS", 0.05)


@dataclass
class Fault:
    """The calls of this name fail, from the ``first`` to the ``last`` one; ``done`` when their work is done."""

    name: str
    first: int
    last: float
    done: bool
    met: Counter[str] = field(default_factory=Counter)
    hits: int = 0

    @classmethod
    def of(cls, seed: int) -> Fault:
        rng = random.Random(f"fault {seed}")
        name = rng.choice(["append", "append", "read", "get", *CALLS])
        first = rng.randint(1, 12 if name in ("append", "read", "get") else 2)
        return cls(name, first, first + rng.choice([0, 0, 1, 3, float("inf")]), rng.random() < 0.5)

    async def around(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.met[name] += 1
        if name != self.name or not self.first <= self.met[name] <= self.last:
            return await call()
        self.hits += 1
        if self.done:
            await call()
        raise StoreUnavailable(f"call {self.met[name]} of {name}")

    @property
    def for_good(self) -> bool:
        return self.last == float("inf")


async def faulty_run(seed: int, fault: Fault, log: StreamLog, *, until_met: bool = False) -> None:
    """One answer under this fault, which ends when the fault was met, if that is wanted; ``log`` is without it."""
    here, there = (Hub(interposed(log, fault.around), LIMITS) for _ in range(2))
    client = Client(seed, producing_until(fault, seed) if until_met else producing_answer(seed), here, there)
    try:
        stream_id = await client.ask()
    except StoreUnavailable:
        assert fault.for_good
    else:
        readers = [asyncio.create_task(client.read(stream_id, hub)) for hub in (here, there)]
        if fault.name == "request_cancel" or (seed % 3 == 0 and not until_met):
            await client.stop(stream_id)
        collected = await asyncio.gather(*readers)
        await here.drain(grace=20)
        for read in collected:
            check(read, await log.read(stream_id, 0), entries_of(seed, stream_id), whole=not fault.for_good)
        # When the store is back, whoever comes finds the end.
        assert (await entries(Hub(log, LIMITS), stream_id))[-1].final
    assert not await slots_taken(log, f"{seed}")


def producing_until(fault: Fault, seed: int) -> Produce:
    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        *begin, end = answer(seed, stream_id)
        for event in begin:
            yield event
        while not fault.hits:
            await asyncio.sleep(0.01)
        yield end

    return produce


async def slots_taken(log: StreamLog, owner: str) -> bool:
    """Whether slots are still taken after as long as a crash may keep them."""
    until = time.monotonic() + 2 * LIMITS.lease
    while await log.admission.take_slot(owner, "the only one", time.time() + 60, 1) is not None:
        if time.monotonic() > until:
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("store", "done"), [("sqlite", False), ("sqlite", True), ("dynamodb", True)], indirect=["store"]
)
async def test_any_call_may_fail(log: StreamLog, done: bool) -> None:
    async def run(at: int) -> None:
        fault = Fault(CALLS[at], 1, 1, done)
        ends_with_it = fault.name in ("release_slot", "withdraw", "request_cancel")
        create = Fault("create", 1, 1, done=False) if fault.name == "withdraw" else fault
        await faulty_run(at, fault, interposed(log, create.around), until_met=not ends_with_it)
        assert fault.hits == 1

    await side_by_side(range(len(CALLS)), run)


async def test_a_stream_whose_beginning_was_not_confirmed_does_not_keep_its_key(log: StreamLog) -> None:
    """Its record is there, and nobody produces it: who repeats the request gets an answer and not that one's end."""
    fault = Fault("create", 1, 1, done=True)
    hub = Hub(interposed(log, fault.around), LIMITS)
    client = Client(1, producing_answer(1), hub, hub)
    stream_id = await client.ask()
    assert fault.hits == 1
    assert await client.read(stream_id, hub) == entries_of(1, stream_id)


@runs(10, together=10)
async def test_calls_may_fail_for_any_time(log: StreamLog, seeds: list[int]) -> None:
    async def run(seed: int) -> None:
        await faulty_run(seed, Fault.of(seed), log)

    await side_by_side(seeds, run)
