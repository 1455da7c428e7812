"""What became of files: told at the end of an ingest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import click

from citestream.ingest.files import Found
from citestream.ingest.paths import printable

_STATES = ("added", "updated", "unchanged")
_SHOWN = 10


@dataclass
class Summary:
    """Of the ``found`` files how many came to which state, and pairs of a path and a reason for all others."""

    kb_id: str
    found: Found
    states: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def add(self, state: str, path: str, reason: str) -> None:
        """``state`` is added, updated, unchanged, or skipped with a reason."""
        if state == "skipped":
            self.skipped.append((path, reason))
        else:
            self.states[state] += 1

    @property
    def refused(self) -> list[tuple[str, str]]:
        return [*self.found.refused, *self.skipped]

    def show(self) -> None:
        for path, note in self.notes:
            click.echo(f"note on {path}: {printable(note)}", err=True)
        for path, reason in self.refused:
            click.echo(f"skipped {path}: {printable(reason)}", err=True)
        for path, reason in self.waiting[:_SHOWN]:
            click.echo(f"waiting {path}: {printable(reason)}", err=True)
        if len(self.waiting) > _SHOWN:
            click.echo(f"waiting {len(self.waiting) - _SHOWN} more", err=True)
        counts = [f"{self.states[state]} {state}" for state in _STATES] + [f"{len(self.refused)} skipped"]
        counts += [f"{len(self.waiting)} still waiting"] if self.waiting else []
        others = f" ({self.found.other_kinds} files of other kinds left out)" if self.found.other_kinds else ""
        click.echo(f"{self.kb_id}: {', '.join(counts)}{others}")
