"""ASGI's lifespan, once per process."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from asgi_lambda.cycle import App, Message

_LOG = logging.getLogger("asgi_lambda")


class Lifespan:
    """An app that knows no lifespan, and says so by raising, is served without (ASGI: Lifespan Protocol)."""

    def __init__(self, app: App) -> None:
        self._app = app
        #: What the app has put there for its requests.
        self.state: dict[str, Any] = {}
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None

    async def startup(self) -> None:
        """Raises RuntimeError where the app says that it can't start."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # it may raise when it has told
        reply = await self._ask("startup")
        if reply and reply["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the app's startup failed: {reply.get('message', '')}")

    async def shutdown(self) -> None:
        """What goes wrong is logged: there is nobody left to tell."""
        if self._task and not self._task.done():
            reply = await self._ask("shutdown")
            if reply and reply["type"] == "lifespan.shutdown.failed":
                _LOG.error("the app's shutdown failed: %s", reply.get("message", ""))
            await asyncio.wait({self._task})

    async def _ask(self, what: str) -> Message | None:
        """The app's answer; None where it ended without one."""
        assert self._task is not None
        self._to_app.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._from_app.get())
        waited_for: set[asyncio.Future[Any]] = {answer, self._task}
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if answer.done() or not self._from_app.empty():
            return await answer
        answer.cancel()
        if not self._task.cancelled() and (error := self._task.exception()):
            level = logging.INFO if what == "startup" else logging.ERROR
            _LOG.log(level, "the app's lifespan ended at its %s: %r", what, error)
        return None
