"""How fast Lambda takes a streamed response: a bucket of bytes, filled up in steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds between two refills.
_STEP = 0.125


@dataclass(frozen=True)
class Pace:
    """The first ``burst`` bytes are free, then ``rate`` bytes a second. Lambda's are 6 MiB and 2 MiB."""

    burst: int = 6 * 1024 * 1024
    rate: int = 2 * 1024 * 1024


class Bucket:
    """One response's allowance. It starts full; times are seconds of one monotonic clock."""

    def __init__(self, pace: Pace, now: float) -> None:
        self._pace = pace
        self._level = float(pace.burst)
        self._filled = now

    def take(self, size: int, now: float) -> float:
        """Take ``size`` bytes out; the seconds to wait before they may pass."""
        steps = math.floor((now - self._filled) / _STEP)
        self._filled += steps * _STEP
        self._level = min(self._pace.burst, self._level + steps * _STEP * self._pace.rate) - size
        if self._level >= 0:
            return 0.0
        missing_steps = math.ceil(-self._level / (_STEP * self._pace.rate))
        return self._filled + missing_steps * _STEP - now
