"""What every parser returns, and what it raises instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class UnreadableFile(Exception):
    """The file can't be ingested; the message is the reason, for whoever put it there."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading ``text[start:end]``, markup included; ``level`` 1 is the outermost."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's normalised text, where its pages start (none where the format has no pages), and its headings."""

    text: str
    page_starts: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever a library raises over broken input into ``UnreadableFile``.

    The libraries promise no exception types here: hostile files get AssertionError, KeyError, RecursionError,
    struct.error and more out of them.
    """
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:
        raise UnreadableFile(f"{what}: {str(error) or type(error).__name__}") from error
