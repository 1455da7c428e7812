"""What an evaluation found, as lines for a terminal and as the table of the README."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from citestream.evaluation.figures import Figure

BEGIN, END = "<!-- citestream eval: begin -->", "<!-- citestream eval: end -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """A part's figures, and the seconds that they took; why there are none, where it was skipped."""

    title: str
    figures: Sequence[Figure] = ()
    seconds: float = 0.0
    skipped: str = ""


def lines(measured: Measured) -> Iterator[str]:
    """A part for a terminal: a figure a line, its baselines behind it, and each guard that does not hold."""
    if measured.skipped:
        yield f"{measured.title}: skipped, {measured.skipped}"
        return
    yield f"{measured.title} ({measured.seconds:.0f} s)"
    for figure in measured.figures:
        yield f"  {_number(figure.ours):>7}  {figure.name}" + "".join(f"; {each}" for each in _baselines(figure))
        if not figure.holds:
            yield f"  FAILED   {_guards(figure)}"


def markdown(parts: Sequence[Measured], command: str) -> str:
    """The table, under a line that says when, where and by what command it was measured."""
    rows = [
        f"| {figure.name} | **{_number(figure.ours)}** | {'; '.join(_baselines(figure)) or '–'} |"
        for part in parts
        for figure in part.figures
    ]
    head = f"{date.today():%d %B %Y}, {_processor()}, Python {platform.python_version()}: `{command}`."
    return "\n".join([head, "", "| what | Citestream | beside it |", "|---|---|---|", *rows])


def replaced(text: str, table: str) -> str:
    """The text with the table between its two marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN} … {END} to put the table into")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"


def _baselines(figure: Figure) -> list[str]:
    return [f"{name} {_number(value)}" for name, value in figure.baselines.items()]


def _guards(figure: Figure) -> str:
    low = [] if figure.at_least is None else [f"at least {figure.at_least}"]
    high = [] if figure.at_most is None else [f"at most {figure.at_most}"]
    return f"must be {' and '.join([*low, *high])}"


def _processor() -> str:
    """The processor's name where the system tells it, and how many cores there are."""
    name = platform.machine()
    if sys.platform == "linux":
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = found[0].partition(":")[2].strip() if found else name
    return f"{os.cpu_count()} cores of {name}"
