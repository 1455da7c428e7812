"""What was measured: a number beside its baselines, and what it must not fall below."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from citestream.retrieval.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, 0 to 1 unless its name says another unit, beside what simpler means reach on the same data.

    ``at_least`` and ``at_most`` are regression guards, set from measured values with some margin.
    """

    name: str
    ours: float
    baselines: Mapping[str, float] = field(default_factory=dict)
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        low = self.at_least is None or self.ours >= self.at_least
        return low and (self.at_most is None or self.ours <= self.at_most)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: where the data is, whether a fixed part of it is enough, the embedder, and where plots go."""

    data: Path
    subset: bool
    embedder: Embedder
    plots: Path


@dataclass(frozen=True, slots=True)
class Part:
    """Some figures that are measured together, and the folders of data that they need."""

    title: str
    needs: tuple[str, ...]
    measure: Callable[[Run], Awaitable[Sequence[Figure]]]
