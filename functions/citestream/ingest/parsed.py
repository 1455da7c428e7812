"""What every parser returns."""

from __future__ import annotations

from dataclasses import dataclass


class UnreadableFile(Exception):
    """The file can't be ingested; the message is the reason, for whoever put it there."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading that starts at ``start`` in the text; ``level`` 1 is the outermost."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's normalised text, where its pages start (none where the format has no pages), and its headings."""

    text: str
    page_starts: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
