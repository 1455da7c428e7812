"""When this request must be over: on Lambda, where a process is killed at its deadline."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Deadline:
    """Times in seconds since 1970: when an answer ends, and, later, so that they see that end, when readers leave."""

    answer: float
    readers: float


def deadline_of(scope: Scope) -> Deadline | None:
    """The deadline that the server tells of, which then leaves it to us to keep; None where there is none."""
    told = scope.get("extensions", {}).get("lambda.deadline")
    if told is None:
        return None
    told["ends_itself"] = True
    end = told["at"] - told["grace"]
    return Deadline(end, end + told["grace"] / 3)
