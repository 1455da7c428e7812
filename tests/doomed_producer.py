"""A producer in a process of its own, which something happens to: it is killed, it stands still, its clock jumps."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any

from citestream.streams.admission import request_key
from citestream.streams.hub import Hub
from citestream.streams.production import Limits
from tests.faults import Place, interposed, producing_answer

LIMITS = Limits(answer=20, heartbeat=20, lease=0.8, cancel_poll=0.05, coalesce=0)
KILL, STOP, JUMP = "kill", "stop", "jump"
# More calls of the log than most answers make.
_CALLS = 24
_HOUR = 3600.0


@dataclass(frozen=True)
class Fate:
    """At a call of its log, the ``at``-th, before, while or after that is done."""

    kind: str
    at: int
    moment: str
    delay: float
    hours: float

    @classmethod
    def of(cls, seed: int, kind: str) -> Fate:
        rng = random.Random(f"fate {seed}")
        moment = rng.choice(["before", "during", "during", "after"])
        return cls(kind, rng.randint(1, _CALLS), moment, rng.uniform(0, 0.004), rng.uniform(-1, 1))

    def strike(self) -> None:
        if self.kind == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            real, seconds = time.time, self.hours * _HOUR
            time.time = lambda: real() + seconds


def produce(place: Place, seed: int, kind: str, begins: Event) -> None:
    """Answer one request, and end: by itself, or as is fated."""
    signal.alarm(100)  # whoever has started this may be gone
    os.environ.update(place.environ)
    asyncio.run(_produce(place, seed, Fate.of(seed, kind), begins))


async def _produce(place: Place, seed: int, fate: Fate, begins: Event) -> None:
    calls = 0

    async def around(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal calls
        calls += 1
        if calls != fate.at:
            return await call()
        if fate.moment == "before":
            fate.strike()
        elif fate.moment == "during":
            threading.Timer(fate.delay, fate.strike).start()
        found = await call()
        if fate.moment == "after":
            fate.strike()
        return found

    async with place.log() as log:
        await log.admission.claimed("")  # what takes a while the first time
        begins.set()
        hub = Hub(interposed(log, around), LIMITS)
        key = request_key(f"{seed}", "key", "question")
        await hub.admit(f"{seed}", producing_answer(seed), key=key)
        await hub.drain(grace=20)
