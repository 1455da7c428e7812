"""One execution environment: a process and its Runtime API, from cold start through freezes to its end."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any

from asgi_lambda.emulator.delivery import Delivery
from asgi_lambda.emulator.options import Function, Options
from asgi_lambda.emulator.process import Process, exit_reason
from asgi_lambda.emulator.reply import Reply
from asgi_lambda.emulator.runtime_api import RuntimeApi
from asgi_lambda.emulator.states import State

_ERRORS = {State.INIT_ERROR, State.RESTORE_ERROR}


@dataclass(eq=False)
class Failed(Exception):
    """The environment is of no more use. ``error_type`` is Lambda's."""

    error_type: str
    error: str


class Environment:
    """``number`` names its place among the concurrent ones; ``used`` says when it was last. What has failed starts cold
    with the next invocation."""

    def __init__(self, number: int, function: Function, options: Options) -> None:
        self.number = number
        self.used = 0.0
        self._function = function
        self._options = options
        self._process: Process | None = None
        self._api: RuntimeApi | None = None

    async def prepare(self) -> None:
        """Initialise ahead of any request, with SnapStart up to the snapshot. Raises ``Failed``."""
        limit = max(self._function.timeout, self._options.snapshot_limit)
        await self._initialise(limit if self._options.snap_start else self._options.init_limit)

    async def run(self, event: bytes, reply: Reply) -> None:
        """One invocation, from the cold start or the thaw to the runtime's next ``/next``. What fails, the caller
        has been told when it returns."""
        reply.record.environment, reply.record.start = self.number, "warm"
        allowance = self._function.timeout
        try:
            if not self.warm:
                allowance -= await self._cold_start(reply)
            await self._wake(reply)
            await self._invoke(event, reply, allowance)
        except Failed as failed:
            await self.kill()  # first, as what it cuts off would seem to be what went wrong
            reply.fail(failed.error_type, failed.error)
        else:
            self._freeze()

    @property
    def warm(self) -> bool:
        """Whether it is initialised, or its snapshot taken."""
        return self._process is not None and not self._process.exited.done()

    async def _cold_start(self, reply: Reply) -> float:
        """Initialise. What failed once is tried again within the invocation; returns what that takes of its time."""
        reply.record.start = "cold"
        began = time.monotonic()
        if self._options.snap_start:
            await self.prepare()
            return 0.0
        try:
            await self._initialise(self._options.init_limit)
        except Failed as failed:
            reply.record.notes.append(f"init failed and is tried again: {failed.error_type}: {failed.error}")
        else:
            reply.record.init = time.monotonic() - began
            return 0.0
        began = time.monotonic()
        await self._initialise(self._function.timeout)
        return time.monotonic() - began

    async def _initialise(self, limit: float) -> None:
        await self.kill()
        self._api = RuntimeApi(self._options)
        await self._api.start()
        try:
            self._process = await Process.start(
                self._function, self._api.address, self._say, snap_start=self._options.snap_start
            )
        except OSError as error:
            raise Failed("Runtime.InvalidEntrypoint", f"{error.strerror}: {error.filename}") from error
        await self._progress(limit, f"init did not end within {limit:g} s")
        self._freeze()

    async def _wake(self, reply: Reply) -> None:
        assert self._api
        assert self._process
        self._process.thaw()
        if self._api.state is State.RESTORE_READY:
            reply.record.start = "restore"
            began = time.monotonic()
            self._api.restore()
            limit = self._options.restore_limit
            await self._progress(limit, f"restore did not end within {limit:g} s")
            reply.record.restore = time.monotonic() - began

    async def _invoke(self, event: bytes, reply: Reply, allowance: float) -> None:
        assert self._api
        began = time.monotonic()
        self._api.deliver(
            Delivery(
                event=event,
                reply=reply,
                deadline=time.time() + allowance,
                delivered=began,
                function_arn=f"arn:aws:lambda:us-east-1:123456789012:function:{self._function.name}",
                invocation_id=str(uuid.uuid4()),
            )
        )
        try:
            await self._progress(allowance, f"Task timed out after {self._function.timeout:.2f} seconds")
        finally:
            reply.record.duration = time.monotonic() - began + self._function.timeout - allowance

    async def _progress(self, limit: float, when_late: str) -> None:
        """Wait until the runtime asks for more. Raises ``Failed`` if it errs, exits or takes too long."""
        assert self._api
        assert self._process
        progress = self._api.progress
        awaited: list[asyncio.Future[Any]] = [progress, self._process.exited]
        await asyncio.wait(awaited, timeout=max(limit, 0), return_when=asyncio.FIRST_COMPLETED)
        if progress.done():
            if progress.result() in _ERRORS:
                assert self._api.error
                raise Failed(*self._api.error)
        elif self._process.exited.done():
            raise Failed("Runtime.ExitError", exit_reason(self._process.exited.result()))
        else:
            raise Failed("Sandbox.Timedout", when_late)

    def _freeze(self) -> None:
        assert self._process
        if self._options.freeze:
            self._process.freeze()

    def _say(self, line: str) -> None:
        self._options.say(f"[{self.number}] {line}")

    async def kill(self) -> None:
        """SIGKILL, and whatever of the process and its API is left is gone."""
        if self._process:
            await self._process.kill()
        await self._close_api()

    async def shut_down(self) -> None:
        """SIGTERM first, which Lambda sends where an extension is registered."""
        if self._process:
            await self._process.shut_down(self._options.shutdown_grace)
        await self._close_api()

    async def _close_api(self) -> None:
        if self._api:
            await self._api.aclose()
        self._process = self._api = None
