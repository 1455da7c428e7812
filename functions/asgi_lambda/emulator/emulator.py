"""The emulator: a front end on loopback, and behind it the function in its execution environments."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from types import TracebackType

from asgi_lambda.emulator import events
from asgi_lambda.emulator.environment import Environment, Failed
from asgi_lambda.emulator.front import front_of
from asgi_lambda.emulator.http1 import Body, Connection, Head
from asgi_lambda.emulator.options import Function, Options
from asgi_lambda.emulator.record import Invocation
from asgi_lambda.emulator.reply import Reply
from asgi_lambda.emulator.report import Report
from asgi_lambda.emulator.server import Server

# Of a request, on the way in.
_REQUEST_LIMIT = 6 * 1024 * 1024
# So much of a longer one is read on, so that its client comes to reading the refusal.
_DRAINED = 64 * 1024 * 1024


class Emulator:
    """``async with Emulator(function) as emulator:`` serves it at ``emulator.url``; ``emulator.invocations`` says what
    happened, in the order in which the requests came. An invocation goes on after its response, to the runtime's next
    ``/next``: ``await emulator.settled()`` waits until none does."""

    def __init__(self, function: Function, options: Options | None = None) -> None:
        self.function = function
        self.options = options or Options()
        self.invocations: list[Invocation] = []
        self.url = ""
        self._report = Report(self.options.say, trace=self.options.trace)
        self._server = Server(self._answer, self.options.say)
        self._environments = [Environment(n + 1, function, self.options) for n in range(self.options.concurrency)]
        self.front = front_of(self.options)
        self._busy: set[Environment] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Emulator:
        await self._server.start(self.options.host, self.options.port)
        host, port = self._server.address
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}{self.front.prefix}"
        if self.options.snap_start or self.options.prestart:
            await self._prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.aclose()
        for invocation in self._running:
            invocation.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(each.shut_down() for each in self._environments))

    async def settled(self) -> None:
        """Return once every environment is idle, and its last invocation recorded to the end."""
        while self._running:
            await asyncio.wait(self._running)

    async def _prepare(self) -> None:
        """Initialise one environment, as publishing a version with SnapStart does."""
        try:
            await self._environments[0].prepare()
        except Failed as failed:
            self._report.red(f"init fails: {failed.error_type}: {failed.error}")

    async def _answer(self, connection: Connection, head: Head, body: Body) -> bool:
        """One request; whether the connection can carry another."""
        arrived = time.monotonic()
        content = await body.whole(_REQUEST_LIMIT)
        record = Invocation(
            str(uuid.uuid4()), head.method, head.target, f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        )
        self.invocations.append(record)
        reply = Reply(connection, head, record, arrived, self.front)
        reply.on_piece = self._report.piece(record, arrived)
        if not self._refused(reply, head, content):
            assert content is not None
            request = events.Request(head, content, connection.peer, record.request_id, record.trace_root, time.time())
            self._invoke(request, reply)
        await reply.end.wait()
        if content is None:
            await body.whole(_DRAINED)
        return body.decoder.done and not reply.closes

    def _refused(self, reply: Reply, head: Head, content: bytes | None) -> bool:
        """Whether the front end has answered by itself."""
        if content is None:
            reply.refuse(self.front.too_large)
        elif own := self.front.refusal(head.target.partition("?")[0]):
            reply.refuse(own)
        elif len(self._busy) == len(self._environments):
            busy = f"all of {self.options.concurrency} environments are busy"
            reply.fail("TooManyRequestsException", busy, self.front.throttled)
        if reply.ended:
            self._report.done(reply.record)
        return reply.ended

    def _invoke(self, request: events.Request, reply: Reply) -> None:
        idle = [each for each in self._environments if each not in self._busy]
        environment = max(idle, key=lambda each: (each.warm, each.used, -each.number))
        self._busy.add(environment)
        text = json.dumps(self.front.event(request), separators=(",", ":"), ensure_ascii=False).encode()
        task = asyncio.create_task(self._run(environment, text, reply))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, environment: Environment, event: bytes, reply: Reply) -> None:
        try:
            await environment.run(event, reply)
        finally:
            environment.used = time.monotonic()
            self._busy.discard(environment)
            if not reply.ended:
                reply.fail("Emulator.Failed", "the emulator itself failed or was ended")
        self._report.done(reply.record)
