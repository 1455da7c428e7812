"""Time that passes when a test says so, for an event loop and for modules that ask ``time``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

_BEGINNING = 2_000_000_000.0
#: The modules of the streams that ask what time it is.
STREAMS = tuple(
    f"citestream.streams.{module}"
    for module in ("hub", "keys", "production", "sqlite_log", "sqlite_admission", "dynamo_log", "dynamo_admission")
)


@dataclass
class Clock:
    """Stands in for the module ``time``."""

    now: float = _BEGINNING

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        # Small, as the loop's must be: it takes 1e-9 s for the clock's resolution, and for nothing where that is lost.
        return self.now - _BEGINNING


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its timers go by the clock, whatever time other threads take for their work."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock_of_test = clock

    def time(self) -> float:
        return self._clock_of_test.monotonic()


@contextmanager
def told_by(clock: Clock, *modules: str) -> Iterator[None]:
    """Let these modules ask the clock."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(f"{module}.time", clock)
        yield


@dataclass
class Hurry:
    """Lets time pass at once for all event loops, besides what passes of itself.

    A loop in another thread notices when something else wakes it.
    """

    ahead: float = 0.0
    get_clock_info = staticmethod(time.get_clock_info)

    def __call__(self, seconds: float) -> None:
        self.ahead += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


_HURRY = Hurry()


@pytest.fixture
def hurry() -> Hurry:
    """What has passed has passed for good: the servers that outlive the test have set timers by it."""
    pytest.MonkeyPatch().setattr("asyncio.base_events.time", _HURRY)
    return _HURRY
