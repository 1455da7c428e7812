"""One request through the app: ASGI's ``receive`` and ``send``, the deadline, and what becomes of a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgi_lambda.fault import Fault
from asgi_lambda.request import HttpRequest
from asgi_lambda.response import BadResponse
from asgi_lambda.sinks import Sink, answer

_LOG = logging.getLogger("asgi_lambda")

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

# When an app that ends itself in time has not, in seconds before the deadline.
_BACKSTOP = 0.5
# How long a cancelled app may take to let go. After that it is left to itself, in a process that is given up.
_LET_GO = 0.25


class Stuck(Exception):
    """The app goes on though it was cancelled: its process is of no more use."""


class Cycle:
    """A request and where its response goes; runs once."""

    def __init__(self, request: HttpRequest, sink: Sink) -> None:
        self._request = request
        self._sink = sink
        self._body_taken = False
        self._started = False
        self._bodiless = request.scope["method"] == "HEAD"
        #: Nothing more can be sent: the response is complete, or Lambda has broken off.
        self._over = asyncio.Event()
        self._broken: OSError | None = None

    async def run(self, app: App) -> None:
        """The app, its background work included, to its end or to its deadline. Raises Stuck; failures are logged,
        and told to Lambda where that can still be done."""
        task = asyncio.ensure_future(app(self._request.scope, self._receive, self._send))
        try:
            in_time = await self._wait(task)
            await self._conclude(self._fault(task, in_time), 500 if in_time else 504)
        finally:
            task.cancel()
        if not task.done():
            raise Stuck

    async def _wait(self, task: asyncio.Future[None]) -> bool:
        """Whether the app ended before it had to be cancelled."""
        deadline = self._request.scope["extensions"]["lambda.deadline"]
        await asyncio.wait({task}, timeout=max(0.0, deadline["at"] - deadline["grace"] - time.time()))
        if not task.done() and deadline["ends_itself"]:
            await asyncio.wait({task}, timeout=max(0.0, deadline["at"] - _BACKSTOP - time.time()))
        if task.done():
            return True
        task.cancel()
        await asyncio.wait({task}, timeout=_LET_GO)
        return False

    def _fault(self, task: asyncio.Future[None], in_time: bool) -> Fault | None:
        """What is wrong with how the app has ended, logged."""
        error = task.exception() if task.done() and not task.cancelled() else None
        if error is not None and error is not self._broken:
            _LOG.error("the app failed", exc_info=error)
        if not in_time:
            _LOG.error("the app was cancelled: its deadline is near")
            return Fault("Function.DeadlineExceeded", "the app was not done in time")
        if error is not None:
            return Fault.of("Function.UnhandledException", error)
        if not self._over.is_set():
            _LOG.error("the app ended without a complete response")
            return Fault("Function.IncompleteResponse", "the app ended without a complete response")
        return None

    async def _conclude(self, fault: Fault | None, status: int) -> None:
        """End the response where the app has not."""
        try:
            if self._over.is_set() or fault is None:
                pass
            elif self._started:
                await self._sink.finish(fault)
            else:
                await answer(self._sink, status, "Gateway Timeout" if status == 504 else "Internal Server Error", fault)
        except OSError as error:
            self._broken = error
        self._over.set()
        if self._broken:
            _LOG.error("the response was broken off: %s", self._broken)

    async def _receive(self) -> Message:
        """The whole body, then nothing until the response is over: Lambda never tells that a client has left."""
        if not self._body_taken:
            self._body_taken = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._broken:
            raise self._broken
        try:
            if message["type"] == "http.response.start" and not self._started:
                await self._start(message)
            elif message["type"] == "http.response.body" and self._started and not self._over.is_set():
                await self._send_body(message)
            else:
                raise RuntimeError(f"the app sent {message['type']!r}, for which it is too early or too late")
        except OSError as error:
            self._broken = error
            self._over.set()
            raise

    async def _start(self, message: Message) -> None:
        status = message["status"]
        self._started = True
        try:
            await self._sink.start(status, message.get("headers", ()))
        except BadResponse:  # nothing has gone out
            self._started = False
            raise
        self._bodiless = self._bodiless or status < 200 or status in (204, 304)

    async def _send_body(self, message: Message) -> None:
        if not self._bodiless:
            await self._sink.body(message.get("body", b""))
        if not message.get("more_body", False):
            await self._sink.finish()
            self._over.set()
