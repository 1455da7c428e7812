"""What runs with faults have in common: their seeds, an answer made up of each, and logs whose calls go astray.

The suite does a few runs of each test. FAULT_RUNS has it do so many times as many; FAULT_SEED has it do this one.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from citestream.model import Citation, Event, Sources, Token
from citestream.streams.entry import Entry, to_entry
from citestream.streams.log import StreamLog
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import KEEP, Produce, done

#: What is done around a call of a log, or of its keys and slots: given its name and the call.
Around = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]

_PIECES = ("Tokens ", "live ", "for an hour [1]", ".\n\n", "„größe“ ", "日本 ", "😀", "\u2028", "```py\n", '"\\" ')


# --- seeds


def times() -> int:
    """How many times as many runs are wanted."""
    return int(os.environ.get("FAULT_RUNS", "1"))


def runs(number: int, together: int = 1) -> pytest.MarkDecorator:
    """Parametrise a test by ``seeds``: each case is a list of them, whose runs may go side by side."""
    one = os.environ.get("FAULT_SEED")
    seeds = list(range(number * times())) if one is None else [int(one)]
    cases = [seeds[start : start + together] for start in range(0, len(seeds), together)]
    return pytest.mark.parametrize("seeds", cases, ids=[f"{case[0]}-{case[-1]}" for case in cases])


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """What fails within says how to do it again."""
    try:
        yield
    except Exception as error:
        test = os.environ["PYTEST_CURRENT_TEST"].partition("[")[0]
        error.add_note(f"seed {seed}; once more: FAULT_SEED={seed} pytest '{test}'")
        raise


async def side_by_side(seeds: Sequence[int], run: Callable[[int], Awaitable[None]]) -> None:
    """All of the runs, which leave no task behind."""
    before = asyncio.all_tasks()

    async def one(seed: int) -> None:
        with repeatable(seed):
            await run(seed)

    await asyncio.gather(*map(one, seeds))
    assert asyncio.all_tasks() == before


# --- answers


def answer(seed: int, stream_id: str) -> list[Event]:
    rng = random.Random(seed)
    tokens = [Token("".join(rng.choices(_PIECES, k=rng.randint(1, 3)))) for _ in range(rng.randint(1, 12))]
    citation = Citation(1, "d", "größe.md", "kb", "„Zitat“ 😀", 3, 12, None, "§ 1", 0.5, rng.random())
    return [Sources(("d",)), *tokens, citation, done(stream_id)]


def entries_of(seed: int, stream_id: str) -> list[Entry]:
    """What the log of this answer holds, where nothing has gone wrong."""
    return [to_entry(event, n) for n, event in enumerate(answer(seed, stream_id)[1:], start=1)]


def producing_answer(seed: int) -> Produce:
    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        rng = random.Random(seed)
        for event in answer(seed, stream_id):
            yield event
            await asyncio.sleep(rng.choice([0, 0, 0.001, 0.004]))

    return produce


# --- logs


# So that the clocks of two producers may be two hours apart.
_KEEP = 2 * KEEP + 60


@dataclass(frozen=True)
class Place:
    """Where a log is, for other processes too: a file, or a table."""

    path: Path
    table: str = ""
    environ: tuple[tuple[str, str], ...] = ()

    @asynccontextmanager
    async def log(self) -> AsyncGenerator[StreamLog]:
        """The log as one more process opens it."""
        if not self.table:
            file = SqliteStreamLog(self.path, _KEEP)
            yield file
            await file.aclose()
            return
        # Only where it is needed: to import boto3 takes as long as many runs.
        from citestream.streams.dynamo_log import DynamoStreamLog
        from tests.bucket import QuickAws

        aws = QuickAws()
        yield DynamoStreamLog(aws, self.table, _KEEP)
        await aws.aclose()


@pytest.fixture(params=["sqlite", "dynamodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "streams.db")
    table = request.getfixturevalue("aws_table")
    return Place(tmp_path, table, tuple(request.getfixturevalue("aws_server").environ.items()))


class _Interposed:
    def __init__(self, log: Any, around: Around) -> None:
        self._log = log
        self._around = around

    @property
    def admission(self) -> _Interposed:
        return _Interposed(self._log.admission, self._around)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._log, name)
        return lambda *arguments: self._around(name, lambda: call(*arguments))


def interposed(log: StreamLog, around: Around) -> StreamLog:
    """The log, each of whose calls ``around`` makes, or doesn't."""
    return cast(StreamLog, _Interposed(log, around))
