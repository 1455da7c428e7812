"""When this request must be over: on Lambda, where a process is killed at its deadline."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

# A reader that comes back to a stream leaves later than an answer ends, so that it sees the end of one of its own.
_READER_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Deadline:
    """Times in seconds since 1970: when an answer ends, and when its readers leave."""

    answer: float
    readers: float


def deadline_of(scope: Scope) -> Deadline | None:
    """The deadline that the server tells of, which then leaves it to us to keep; None where there is none."""
    told = scope.get("extensions", {}).get("lambda.deadline")
    if told is None:
        return None
    told["ends_itself"] = True
    end = told["at"] - told["grace"]
    return Deadline(end, min(end + _READER_SECONDS, told["at"]))
