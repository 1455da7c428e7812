"""One request through the app: ASGI's ``receive`` and ``send``, the deadline, and what becomes of a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgi_lambda.fault import Fault
from asgi_lambda.request import HttpRequest
from asgi_lambda.sinks import Sink, answer

_LOG = logging.getLogger("asgi_lambda")

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]

# When an app that ends itself in time has not, in seconds before the deadline.
_BACKSTOP = 0.5
# How long a cancelled app may take to let go. After that it is left to itself, in a process that is given up.
_LET_GO = 0.25


class Stuck(Exception):
    """The process is of no more use: the app goes on though it was cancelled, or nothing could be answered."""


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
        #: The end of the response, which goes on where the app's wait for it is cancelled.
        self._ending: asyncio.Future[None] | None = None

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
        if not self._over.is_set() and not self._ending:
            _LOG.error("the app ended without a complete response")
            return Fault("Function.IncompleteResponse", "the app ended without a complete response")
        return None

    async def _conclude(self, fault: Fault | None, status: int) -> None:
        """End the response where the app has not. Raises Stuck where Lambda could not be told anything."""
        over = self._over.is_set()
        self._over.set()  # nothing of the app's goes out any more
        try:
            if self._ending:
                await self._ending
            elif fault and self._started and not over:
                await self._sink.finish(fault)
            elif fault and not over:
                await answer(self._sink, status, "Gateway Timeout" if status == 504 else "Internal Server Error", fault)
        except OSError as error:
            self._broken = error
        if self._broken:
            _LOG.error("the response was broken off: %s", self._broken)
            if not self._started:
                raise Stuck  # the next invocation would be this one again

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
        kind, ended = message["type"], self._over.is_set() or self._ending is not None
        try:
            if kind == "http.response.body" and self._started and not ended:
                if not self._bodiless:
                    await self._sink.body(message.get("body", b""))
                if not message.get("more_body", False):
                    self._ending = asyncio.ensure_future(self._sink.finish())
                    await asyncio.shield(self._ending)
                    self._over.set()
            elif kind == "http.response.start" and not self._started and not ended:
                await self._sink.start(message["status"], message.get("headers", ()))
                self._started = True
                self._bodiless |= message["status"] < 200 or message["status"] in (204, 304)
            else:
                raise RuntimeError(f"the app sent {kind!r}, for which it is too early or too late")
        except OSError as error:
            self._broken = error
            self._over.set()
            raise
