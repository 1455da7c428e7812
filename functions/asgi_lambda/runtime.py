"""The life of a process: import, startup, snapshot, one invocation after the other, shutdown."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
from typing import Any

from asgi_lambda import snapstart
from asgi_lambda.config import Config
from asgi_lambda.context import LambdaContext, request_id, trace_id
from asgi_lambda.cycle import App, Cycle, Stuck
from asgi_lambda.fault import Fault
from asgi_lambda.lifespan import Lifespan
from asgi_lambda.request import http_request
from asgi_lambda.runtime_api import Invocation, RuntimeApi
from asgi_lambda.sinks import BufferedSink, Sink, StreamedSink
from asgi_lambda.wire import RuntimeApiError

_LOG = logging.getLogger("asgi_lambda")

# Exit statuses, the last two as the platform's own client has them.
_OK, _FAILED, _SNAPSHOT_FAILED, _RESTORE_FAILED = 0, 1, 64, 65
# Lambda kills half a second after SIGTERM.
_SHUTDOWN_SECONDS = 0.4


class Runtime:
    """Serves the app that ``handler`` names: ``module:app``, or ``module.app`` as Lambda writes it."""

    def __init__(self, api: RuntimeApi, handler: str, config: Config) -> None:
        self._api = api
        self._handler = handler
        self._config = config
        self._stopping = False
        self._waiting: asyncio.Future[Invocation] | None = None

    async def run(self) -> int:
        """Serve until told to stop; returns the process's exit status."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        failure = "Runtime.ImportModuleError"
        try:
            app = load_app(self._handler)
            failure = "Function.StartupFailed"
            await (lifespan := Lifespan(app)).startup()
        except (Exception, SystemExit) as error:
            return await self._init_failed(failure, error, _FAILED)
        status = await self._snapshot() if self._config.snap_start else _OK
        if status == _OK:
            status = await self._serve(app, lifespan.state)
        await self._shut_down(lifespan)
        return status

    async def _init_failed(self, kind: str, error: BaseException, status: int) -> int:
        _LOG.critical("%s can't be started", self._handler, exc_info=error)
        await self._api.init_error(Fault.of(kind, error))
        return status

    async def _snapshot(self) -> int:
        try:
            snapstart.before_snapshot()
            await self._api.restore_next()
        except Exception as error:
            return await self._init_failed("Runtime.BeforeSnapshotError", error, _SNAPSHOT_FAILED)
        self._api.close()  # the other end of it has stayed where the snapshot was taken
        try:
            snapstart.after_restore()
        except Exception as error:
            _LOG.critical("a hook after the restore failed", exc_info=error)
            await self._api.restore_error(Fault.of("Runtime.AfterRestoreError", error))
            return _RESTORE_FAILED
        return _OK

    async def _serve(self, app: App, state: dict[str, Any]) -> int:
        while not self._stopping:
            self._waiting = asyncio.ensure_future(self._api.next())
            try:
                await self._invoke(app, state, await self._waiting)
            except asyncio.CancelledError:
                break
            except RuntimeApiError:
                _LOG.exception("the Runtime API does not go on")
                return _FAILED
            request_id.set("")
            trace_id.set("")
        return _OK

    async def _invoke(self, app: App, state: dict[str, Any], invocation: Invocation) -> None:
        """Answer one invocation."""
        request_id.set(invocation.request_id)
        trace_id.set(invocation.trace_id)
        if invocation.trace_id:
            os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id  # where X-Ray's SDK and others look for it
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        _LOG.debug("invoked", extra={"attemptId": invocation.attempt_id})
        context = LambdaContext.of_environment(invocation.request_id, invocation.arn, invocation.deadline)
        try:
            request = http_request(json.loads(invocation.payload), context, self._config.grace)
        except (ValueError, RecursionError) as error:
            _LOG.error("%s", error)
            await self._api.error(invocation, Fault("Function.UnsupportedEvent", str(error)))
            return
        request.scope["state"] = state.copy()
        try:
            await Cycle(request, self._sink(invocation, request.version)).run(app)
        except Stuck:
            _LOG.critical("the app can't be cancelled, or Lambda not be answered: this process ends")
            os._exit(_FAILED)  # an orderly end would wait for it

    def _sink(self, invocation: Invocation, version: str) -> Sink:
        if self._config.streaming:
            return StreamedSink(self._api, invocation, version, pad=self._config.pad_empty_body)
        return BufferedSink(self._api, invocation, version)

    def _stop(self) -> None:
        """Stop waiting for work; what is being answered is answered first."""
        self._stopping = True
        if self._waiting:
            self._waiting.cancel()

    async def _shut_down(self, lifespan: Lifespan) -> None:
        try:
            await asyncio.wait_for(lifespan.shutdown(), _SHUTDOWN_SECONDS)
        except TimeoutError:
            _LOG.error("the app's shutdown took over %s s", _SHUTDOWN_SECONDS)
        self._api.close()


def load_app(handler: str) -> App:
    """Import what the handler names. Raises ValueError for a malformed name, and what the import raises."""
    module, separator, attribute = handler.rpartition(":" if ":" in handler else ".")
    if not separator or not module or not attribute:
        raise ValueError(f"the handler {handler!r} is not of the form module.app or module:app")
    app: App = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    return app
