"""What the stream log costs: time for each frame, and write units of DynamoDB for an answer."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from citestream.aws import Aws
from citestream.model import Event, Token
from citestream.streams.admission import Claim, request_key
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog, StreamRecord
from citestream.streams.production import Limits
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.aws import make_stores, serving_aws
from tests.stalling import Process, Reader, Traffic
from tests.streams import done
from tests.virtual_time import Clock, VirtualLoop, told_by

MODULES = ("hub", "keys", "production", "dynamo_log", "dynamo_admission")
TICK_SECONDS = 1 / 128
TEXT = "thirty characters, or nearly. "


class NoLog:
    """Keeps nothing, and knows every stream as one that goes on."""

    @property
    def admission(self) -> NoAdmission:
        return NoAdmission()

    async def create(self, record: StreamRecord) -> None: ...

    async def get(self, stream_id: str) -> StreamRecord | None:
        return None

    async def note_sources(self, stream_id: str, producer: str, document_ids: Sequence[str]) -> None: ...

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None: ...

    async def read(self, stream_id: str, after: int) -> Sequence[Entry]:
        return []

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None: ...

    async def request_cancel(self, stream_id: str) -> None: ...

    async def aclose(self) -> None: ...


class NoAdmission:
    async def claimed(self, key: str) -> Claim | None:
        return None

    async def claim(self, key: str, claim: Claim, stale: str | None = None) -> Claim:
        return claim

    async def withdraw(self, key: str, stream_id: str) -> None: ...

    async def take_slot(self, owner: str, stream_id: str, until: float, limit: int) -> float | None:
        return None

    async def renew_slot(self, owner: str, stream_id: str, until: float) -> None: ...

    async def release_slot(self, owner: str, stream_id: str) -> None: ...


async def answered(hub: Hub, frames: int, pause: float) -> tuple[float, list[float]]:
    """Seconds for each frame, and from each token's making to its reader, of one answer."""
    made: list[float] = []

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        for _ in range(frames):
            await asyncio.sleep(pause)
            made.append(time.perf_counter())
            yield Token(TEXT)
        yield done(stream_id)

    started = time.perf_counter()
    admitted = await hub.admit("me", produce)
    arrived = [time.perf_counter() async for entry in hub.follow(admitted.stream_id) if entry]
    took = (time.perf_counter() - started) / frames
    return took, [arrival - token for arrival, token in zip(arrived[:-1], made, strict=True)]


async def compared(folder: Path, rounds: int) -> None:
    """Answers with and without the log, by turns."""
    logs: tuple[StreamLog, StreamLog] = (SqliteStreamLog(folder / "streams.db", 60), NoLog())
    hubs = [Hub(log, Limits(coalesce=0, heartbeat=60)) for log in logs]
    for frames, pause, what in ((300, 0.005, "one answer, a frame each 5 ms"), (2000, 0.0, "as fast as it goes")):
        runs = [[await answered(hub, frames, pause) for hub in hubs] for _ in range(rounds + 1)][1:]
        delays = [[statistics.median(way) * 1000 for _, way in run] for run in runs]
        p99 = [[statistics.quantiles(way, n=100)[98] * 1000 for _, way in run] for run in runs]
        took = [[seconds * 1000 for seconds, _ in run] for run in runs]
        for name, pairs in (("delay p50", delays), ("delay p99", p99), ("time a frame", took)):
            if pause or name == "time a frame":
                told = [statistics.median(column) for column in zip(*pairs, strict=True)]
                more = statistics.median(with_log - without for with_log, without in pairs)
                print(f"{f'{what}, {name}':44} {told[0]:6.3f} ms, without a log {told[1]:6.3f}: {more:+.3f}")
    for hub in hubs:
        await hub.aclose()


def write_units(seconds: float, tokens_a_second: int) -> None:
    """Count what one answer asks of DynamoDB; its time passes as fast as it can."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, serving_aws() as server:
        for name, value in server.environ.items():
            patch.setenv(name, value)
        table = make_stores(server).table
        server.reset()
        with (
            told_by(clock, *(f"citestream.streams.{name}" for name in MODULES)),
            asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
        ):
            events = runner.run(_one_answer(clock, table, seconds, tokens_a_second))
        calls = server.calls()
    writes = sum(count for call, count in calls.items() if call.split(".")[1] in ("PutItem", "UpdateItem"))
    others = writes - events
    what = f"DynamoDB, {seconds:.0f} s at {tokens_a_second} tokens a second"
    print(f"{what:44} {writes} write units ({events} events, {others} others), {calls['dynamodb.Query']} reads")


async def _one_answer(clock: Clock, table: str, seconds: float, tokens_a_second: int) -> int:
    aws, traffic = Aws(), Traffic()
    limits = replace(Limits(), answer=seconds + 60)
    process = Process(DynamoStreamLog(aws, table, 60), limits, traffic)

    async def produce(stream_id: str) -> AsyncGenerator[Event]:
        began = clock.now
        for n in range(round(seconds * tokens_a_second)):
            await asyncio.sleep(began + n / tokens_a_second - clock.now)
            yield Token("word ")
        yield done(stream_id)

    admitting = asyncio.create_task(process.hub.admit("me", produce, key=request_key("me", "key", "question")))
    await traffic.settled()
    reader = Reader(process, (await admitting).stream_id, 0)
    while not reader.ended:
        clock.now += TICK_SECONDS
        await traffic.settled()
    await process.aclose()
    await aws.aclose()
    return len(reader.read)


def report(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compared(Path(folder), rounds))
    write_units(60, 50)
    write_units(8, 50)
