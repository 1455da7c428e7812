"""Streams for tests: what a producer yields, what a reader gets of it, and the stores between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from citestream.aws import Aws
from citestream.model import Done, Event
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog, StreamRecord
from citestream.streams.production import Limits
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.aws import AwsServer

KEEP = 3600.0
LIMITS = Limits(answer=20, heartbeat=20, lease=10, cancel_poll=0.02, coalesce=0)

Produce = Callable[[str], AsyncGenerator[Event]]


def done(stream_id: str) -> Done:
    return Done(50, "stop", stream_id, {})


def producing(*steps: Event | asyncio.Event | Exception, end: bool = True) -> Produce:
    """Yields the events, waits where one is to be waited for, and raises the errors."""

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        for step in steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step
        if end:
            yield done(stream_id)

    return produce


async def entries(hub: Hub, stream_id: str, after: int = 0) -> list[Entry]:
    return [entry async for entry in hub.follow(stream_id, after) if entry is not None]


async def record_of(log: StreamLog, stream_id: str) -> StreamRecord:
    record = await log.get(stream_id)
    assert record is not None
    return record


class Store(Protocol):
    def log(self, keep: float = KEEP) -> StreamLog:
        """The log as one more process opens it."""
        ...

    async def fail(self) -> None: ...


class SqliteStore:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[SqliteStreamLog] = []

    def log(self, keep: float = KEEP) -> StreamLog:
        self._opened.append(SqliteStreamLog(self._path, keep))
        return self._opened[-1]

    async def fail(self) -> None:
        with closing(sqlite3.connect(self._path)) as file, file:
            for table in ("streams", "events", "keys", "slots"):
                file.execute(f"DROP TABLE {table}")

    async def aclose(self) -> None:
        for log in self._opened:
            await log.aclose()


class DynamoStore:
    def __init__(self, table: str, instances: tuple[Aws, Aws]) -> None:
        self._table = table
        self._instances = instances
        self._opened = 0

    def log(self, keep: float = KEEP) -> StreamLog:
        self._opened += 1
        return DynamoStreamLog(self._instances[self._opened % 2], self._table, keep)

    async def fail(self) -> None:
        await self._instances[0].call("dynamodb", "delete_table", TableName=self._table)


@pytest.fixture(scope="session")
def instances(aws_process: AwsServer) -> Iterator[tuple[Aws, Aws]]:
    """Two processes' ways to AWS; what takes long is to make them."""
    both = (Aws(), Aws())
    yield both
    for each in both:
        asyncio.run(each.aclose())


@pytest.fixture(params=["sqlite", "dynamodb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
    if request.param == "dynamodb":
        yield DynamoStore(request.getfixturevalue("aws_table"), request.getfixturevalue("instances"))
    else:
        sqlite = SqliteStore(tmp_path / "streams.db")
        yield sqlite
        await sqlite.aclose()


@pytest.fixture
def log(store: Store) -> StreamLog:
    return store.log()
