"""Streams, their readers, keys and slots against a model of what must hold, whatever happens in whatever order.

Two processes share a log. They stall and go on, are lost and replaced; time passes when a rule says so.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from citestream.answer.answerer import AnswerError
from citestream.errors import StoreUnavailable
from citestream.model import Token
from citestream.streams.admission import Claim, KeyReused, RequestKey, TooManyAnswers, request_key
from citestream.streams.entry import Entry, to_entry
from citestream.streams.hub import Admitted
from citestream.streams.keys import Keys
from citestream.streams.log import Fenced, StreamLog, StreamRecord
from citestream.streams.production import Limits
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.aws import Stores
from tests.faults import times
from tests.stalling import Process, Reader, Told, Traffic
from tests.streams import DynamoStore, done
from tests.virtual_time import STREAMS, Clock, VirtualLoop, told_by

T = TypeVar("T")

LIMITS = Limits(answer=30, heartbeat=1000, retention=6, lease=4, cancel_poll=1, coalesce=0, token_bytes=900, answers=2)
KEEP = 20.0
# What the protocol of keys says: a claim without a stream is its process's crash from then on; who waits for the
# stream gives up before, within half a second of its patience.
CLAIM_SECONDS, PATIENCE_SECONDS = 15.0, 4.0

at = st.integers(0, 1)
which = st.integers(0, 4)
owners = st.sampled_from(["me", "me", "me", "you"])
keys = st.sampled_from([None, "k", "l"])
requests = st.sampled_from(["question", "question", "another"])


@dataclass(eq=False)
class Stream:
    """What must hold of a stream, by what was done to it."""

    number: int
    stream_id: str
    owner: str
    process: Process
    source: Told
    began: float
    pushed: list[str] = field(default_factory=list)
    ends: set[str] = field(default_factory=set)
    # As last seen in the log.
    entries: list[Entry] = field(default_factory=list)
    record: StreamRecord | None = None
    late: bool = False  # its lease has run out once: it may be taken for lost
    told_to_end: bool = False
    crashed: bool = False
    gone: bool = False

    @property
    def ended(self) -> bool:
        return self.gone or bool(self.entries and self.entries[-1].final)

    @property
    def kept_from(self) -> float:
        assert self.record is not None
        return self.record.lease_until if self.record.ended_at is None else self.record.ended_at


class Streams(RuleBasedStateMachine):
    def __init__(self, open_log: Callable[[], StreamLog], prefix: str) -> None:
        super().__init__()
        self.clock = Clock()
        self.context = ExitStack()
        self.context.enter_context(told_by(self.clock, *STREAMS))
        self.runner = self.context.enter_context(asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock)))
        self.open_log, self.prefix = open_log, prefix
        self.logs = [open_log()]
        self.log = self.logs[0]
        self.traffic = Traffic()
        self.processes = [self.new_process(), self.new_process()]
        self.lost: list[Process] = []
        self.all: dict[str, Stream] = {}
        self.reading: list[Reader] = []
        self.claims: dict[str, Claim] = {}

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.context.close()
        super().teardown()

    async def close(self) -> None:
        for reader in self.reading:
            await reader.leave()
        for process in (*self.processes, *self.lost):
            await process.aclose()
        for log in self.logs:
            await log.aclose()

    # --- what happens

    @initialize()
    def begin(self) -> None:
        self.start(0, "me", "k", "question", followed=True)

    @rule(at=at, owner=owners, key=keys, request=requests, followed=st.booleans())
    def start(self, at: int, owner: str, key: str | None, request: str, *, followed: bool) -> None:
        process, source = self.processes[at], Told()
        if not process.awake:
            return
        owner = f"{self.prefix}{owner}"
        asked = None if key is None else request_key(owner, key, request)
        expected = self.expected(owner, asked)
        outcome, detail = self.run(self.admitted(process, owner, source, asked))
        assert outcome in expected
        if outcome == "joined":
            assert asked is not None
            assert detail == self.claims[asked.name].stream_id
        if outcome != "new":
            return
        if asked is not None:
            self.claims[asked.name] = Claim(detail, asked.digest, self.clock.now)
        stream = self.all[detail] = Stream(len(self.all), detail, owner, process, source, self.clock.now)
        if followed:
            self.see()
            for each in (0, 1):
                self.follow(stream, each, 0.0)

    async def admitted(self, process: Process, owner: str, source: Told, key: RequestKey | None) -> tuple[str, str]:
        try:
            admitted: Admitted = await self.in_time(process.hub.admit(owner, source, key=key))
        except TooManyAnswers as error:
            return "too many" if 0 < error.seconds <= LIMITS.lease else "no end of waiting", ""
        except KeyReused:
            return "reused", ""
        except StoreUnavailable:
            return "unavailable", ""
        return "new" if admitted.is_new else "joined", admitted.stream_id

    @rule(owner=owners, key=keys.filter(bool), request=requests)
    def claim_and_crash(self, owner: str, key: str, request: str) -> None:
        asked = request_key(f"{self.prefix}{owner}", key, request)
        if self.standing(asked) == {"no"}:
            stream_id = f"never begun {self.clock.now}"
            assert self.run(Keys(self.log, LIMITS.retention).claim(asked, stream_id)) == stream_id
            self.claims[asked.name] = Claim(stream_id, asked.digest, self.clock.now)

    @rule(which=which, text=st.text(min_size=1, max_size=3))
    def say(self, which: int, text: str) -> None:
        stream = self.pick(which)
        # While its process stalls one text waits to be written; the next ones would wait with the model.
        if not stream.told_to_end and (stream.process.awake or len(stream.pushed) <= len(stream.entries)):
            stream.pushed.append(text)
            stream.source.tell(Token(text))
            self.run(self.traffic.settled())

    @rule(which=which, how=st.sampled_from(["done", "done", "upstream_error", "internal_error"]))
    def end(self, which: int, how: str) -> None:
        self.let_end(self.pick(which), how)

    def let_end(self, stream: Stream, how: str) -> None:
        if not stream.told_to_end:
            errors: dict[str, Exception] = {
                "upstream_error": AnswerError("upstream_error", "It broke.", retryable=True),
                "internal_error": ZeroDivisionError(),
            }
            stream.told_to_end = True
            stream.ends.add(how)
            stream.source.tell(errors[how] if how in errors else done(stream.stream_id))
            self.run(self.traffic.settled())

    @rule(which=which, at=at)
    def cancel(self, which: int, at: int) -> None:
        stream = self.pick(which)
        process = self.processes[at]
        if process.awake and not stream.ended:
            stream.ends.add("cancelled")
            self.run(process.hub.cancel(stream.stream_id))
            self.run(self.pass_seconds(int(process is not stream.process)))
            self.run(self.traffic.settled())
            self.see()
            assert stream.ended or not stream.process.awake, "who is asked to stop stops within a second"

    @rule(which=which, back=st.integers(0, 3))
    def write_what_stands(self, which: int, back: int) -> None:
        stream = self.pick(which)
        if stream.entries and not stream.gone:
            n = max(1, len(stream.entries) - back)
            with pytest.raises(Fenced):
                self.run(self.log.append(stream.stream_id, "a stranger", to_entry(Token("no"), n)))

    @rule(at=at, seconds=st.sampled_from([0, 1, 5]))
    def stall(self, at: int, seconds: int) -> None:
        self.processes[at].stall()
        self.time_passes(seconds)

    @rule(at=at)
    def wake(self, at: int) -> None:
        self.processes[at].wake()
        self.run(self.traffic.settled())

    @rule(at=at)
    def crash(self, at: int) -> None:
        process = self.processes[at]
        process.stall()
        self.run(self.leave_all(lambda reader: reader.process is process))
        for stream in self.all.values():
            stream.crashed |= stream.process is process
        self.lost.append(process)
        self.processes[at] = self.new_process()

    @rule(which=which, at=at, share=st.sampled_from([0.0, 0.0, 0.5, 1.0]))
    def read(self, which: int, at: int, share: float) -> None:
        self.follow(self.pick(which), at, share)

    def follow(self, stream: Stream, at: int, share: float) -> None:
        process = self.processes[at]
        if process.awake and not stream.gone:
            self.reading.append(self.run(self.reader(process, stream, round(share * len(stream.entries)))))

    @rule(which=which)
    def leave(self, which: int) -> None:
        if self.reading:
            reader = self.reading[which % len(self.reading)]
            self.run(self.leave_all(lambda each: each is reader))

    @rule(seconds=st.sampled_from([1, 1, 2, 5, 8, 21]))
    def time_passes(self, seconds: int) -> None:
        self.run(self.pass_seconds(seconds))
        self.see()
        held = {stream_id: stream.entries for stream_id, stream in self.all.items()}
        self.run(self.pass_seconds(0, 0.5))  # who follows looks again after 0.4 s at the latest
        self.see()
        for reader in self.reading:
            self.has_read(reader, held[reader.stream_id])
        for stream in self.all.values():
            if not stream.ended:
                followed = any(each.process.awake and each.stream_id == stream.stream_id for each in self.reading)
                lost = stream.crashed and stream.kept_from + 1.5 <= self.clock.now
                assert not (seconds and followed and lost), "a lost producer's stream is sealed within a second"
                assert self.clock.now < stream.began + LIMITS.answer + 1 or not stream.process.awake

    @precondition(lambda self: len(self.all) > 2)
    @rule()
    def all_ends(self) -> None:
        """Nothing that is over holds a slot, and what is over for long enough is gone."""
        for process in self.processes:
            process.wake()
        for stream in self.all.values():
            self.let_end(stream, "done")
        self.run(self.pass_seconds(round(LIMITS.lease)))
        for owner in {stream.owner for stream in self.all.values()}:
            self.run(self.slots_are_free(owner))
        self.start(0, "sweeper", None, "question", followed=False)
        self.let_end(self.pick(0), "done")
        now = self.clock.now
        self.see()
        for stream in self.all.values():
            assert stream.gone or stream.kept_from + KEEP >= now

    # --- what must hold

    @invariant()
    def see(self) -> None:
        for stream in self.all.values():
            if not stream.gone:
                self.look_at(stream)
        for reader in self.reading:
            stream = self.all[reader.stream_id]
            if not stream.gone:
                assert reader.read == stream.entries[reader.after : reader.after + len(reader.read)]
                assert stream.ended or not reader.ended
            if reader.process is stream.process:
                self.has_read(reader, stream.entries)

    def look_at(self, stream: Stream) -> None:
        record, entries = self.run(self.seen(stream.stream_id))
        if record is None:
            assert stream.kept_from + KEEP < self.clock.now
            assert entries == []
            stream.gone = True
            return
        assert entries[: len(stream.entries)] == stream.entries, "what was written stays"
        if not stream.ended:
            # As it was before: who is sealed has been late in between.
            lease = stream.record if stream.record is not None and not stream.process.awake else record
            stream.late |= lease.lease_until <= self.clock.now
        assert [entry.n for entry in entries] == list(range(1, len(entries) + 1))
        assert [entry.final for entry in entries[:-1]] == [False] * len(entries[:-1]), "nothing follows the end"
        assert record.last == len(entries)
        stream.record, stream.entries = record, entries
        assert stream.ended == (record.ended_at is not None)
        if self.clock.now >= stream.began + LIMITS.answer:
            stream.ends.add("timeout")
        self.tells_what_was_said(stream)

    def tells_what_was_said(self, stream: Stream) -> None:
        data = [json.loads(entry.data) for entry in stream.entries]
        texts = [each["text"] for each, entry in zip(data, stream.entries, strict=True) if entry.event == "token"]
        assert texts == stream.pushed[: len(texts)]
        if stream.ended:
            end = data[-1].get("code", "done")
            assert end in (stream.ends | {"producer_lost"} if stream.late else stream.ends)
            assert end != "done" or texts == stream.pushed
        elif stream.process.awake and not stream.late:
            assert texts == stream.pushed
            assert not stream.told_to_end

    def has_read(self, reader: Reader, entries: Sequence[Entry]) -> None:
        """Whose process goes on has got these, and has left after the last one that there can be."""
        stream = self.all[reader.stream_id]
        if reader.process.awake and not stream.gone and not (stream.late and stream.process is reader.process):
            assert reader.after + len(reader.read) >= len(entries)
            assert reader.ended or not (entries and entries[-1].final)

    def expected(self, owner: str, key: RequestKey | None) -> set[str]:
        standing = {"no"} if key is None else self.standing(key)
        mine = [stream for stream in self.all.values() if stream.owner == owner and not stream.ended]
        held = sum(not stream.late for stream in mine)
        maybe_held = sum(stream.late and not stream.crashed for stream in mine)
        if "no" in standing:
            standing.remove("no")
            standing |= {"too many"} if held + maybe_held >= LIMITS.answers else set()
            standing |= {"new"} if held < LIMITS.answers else set()
        return standing

    def standing(self, key: RequestKey) -> set[str]:
        """What the key may lead to; ``no`` where it stands for nothing."""
        claim, now = self.claims.get(key.name), self.clock.now
        if claim is None:
            return {"no"}
        if (stream := self.all.get(claim.stream_id)) is not None:
            over = stream.gone or stream.kept_from + LIMITS.retention < now
        else:
            over = claim.claimed_at + CLAIM_SECONDS < now
        if over:
            return {"no"}
        if claim.digest != key.digest:
            return {"reused"}
        if stream is not None:
            return {"joined"}
        crash_is_known = claim.claimed_at + CLAIM_SECONDS < now + PATIENCE_SECONDS + 0.5
        return {"unavailable", "no"} if crash_is_known else {"unavailable"}

    async def slots_are_free(self, owner: str) -> None:
        take = self.log.admission.take_slot
        probes = [f"probe {n}" for n in range(LIMITS.answers)]
        for stream_id in probes:
            assert await take(owner, stream_id, self.clock.now + 1, LIMITS.answers) is None
        assert await take(owner, "one more", self.clock.now + 1, LIMITS.answers) == 1
        for stream_id in probes:
            await self.log.admission.release_slot(owner, stream_id)

    # --- how it is done

    def pick(self, which: int) -> Stream:
        """One of the streams; those that go on come first, the newest of them first of all."""
        streams = sorted(self.all.values(), key=lambda stream: (stream.ended, -stream.number))
        return streams[which % len(streams)]

    def new_process(self) -> Process:
        return self.runner.run(self.made())

    async def made(self) -> Process:
        self.logs.append(self.open_log())
        return Process(self.logs[-1], LIMITS, self.traffic)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def seen(self, stream_id: str) -> tuple[StreamRecord | None, list[Entry]]:
        return await self.log.get(stream_id), list(await self.log.read(stream_id, 0))

    async def reader(self, process: Process, stream: Stream, after: int) -> Reader:
        reader = Reader(process, stream.stream_id, after)
        await self.traffic.settled()
        return reader

    async def leave_all(self, which: Callable[[Reader], bool]) -> None:
        for reader in filter(which, self.reading):
            await reader.leave()
        self.reading = [reader for reader in self.reading if not which(reader)]

    async def pass_seconds(self, seconds: int, more: float = 0) -> None:
        for step in [1.0] * seconds + [more] * bool(more):
            self.clock.now += step
            await self.traffic.settled()

    async def in_time(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns, for which time may have to pass."""
        task = asyncio.create_task(work)
        await self.traffic.settled()
        while not task.done():
            self.clock.now += 0.5
            await self.traffic.settled()
        return await task


def check(opened: Callable[[int], Callable[[], StreamLog]], examples: int, steps: int) -> None:
    numbers: Iterator[int] = itertools.count()

    def machine() -> Streams:
        number = next(numbers)
        return Streams(opened(number), f"{number}/")

    few = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        phases=[Phase.generate],  # to shrink an example takes minutes
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("citestream.streams.keys._PATIENCE_SECONDS", PATIENCE_SECONDS)
        run_state_machine_as_test(cast(Any, machine), settings=few)  # it only calls it


def test_streams_hold_what_they_promise_in_a_file(tmp_path: Path) -> None:
    def opened(number: int) -> Callable[[], StreamLog]:
        return lambda: SqliteStreamLog(tmp_path / f"{number}.db", KEEP)

    check(opened, examples=25 * times(), steps=40)


def test_streams_hold_what_they_promise_in_a_table(aws_stores: Stores, instances: Any) -> None:
    store = DynamoStore(aws_stores.table, instances)
    check(lambda number: lambda: store.log(KEEP), examples=3 * times(), steps=20)
