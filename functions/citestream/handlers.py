"""What Lambda calls: each handler is made when its function starts, and no function makes another one's.

``app``       the streaming app, served by ``asgi_lambda``
``buffered``  the fallback for API Gateway's HTTP APIs, called by the platform's own client: a whole answer at once;
              raises UnsupportedEvent for what is not an HTTP request
``ingest``    called with what S3 tells of objects, by way of an SQS queue: returns the messages that are to come
              again; raises BadEvent for what is no event of SQS
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from asgi_lambda.config import Config
from asgi_lambda.lifespan import Lifespan
from asgi_lambda.request import Context, http_request
from asgi_lambda.response import response_head, whole

if TYPE_CHECKING:
    from mangum.types import ASGI, LambdaConfig, LambdaContext, Response

Handler = Callable[[Any, Context], dict[str, Any]]


def __getattr__(name: str) -> Any:
    if name not in _MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(name)


@cache
def _made(name: str) -> Any:
    for chatty in ("httpx", "botocore"):  # they tell each request
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return _MAKERS[name]()


def _make_app() -> Any:
    from citestream.app import create_app

    return create_app()


def _make_buffered() -> Handler:
    from mangum import Mangum

    app = _make_app()

    @cache
    def mangum() -> tuple[Mangum, Lifespan]:
        # Once, and to the end of the process: Mangum by itself would start and stop the app at each invocation.
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        loop.run_until_complete((lifespan := Lifespan(app)).startup())
        return Mangum(cast("ASGI", app), lifespan="off", custom_handlers=[_HttpHandler]), lifespan

    def buffered(event: Any, context: Context) -> dict[str, Any]:
        return mangum()[0](event, cast("LambdaContext", context))

    return buffered


def _make_ingest() -> Handler:
    from citestream.ingest.redelivery import bring_back
    from citestream.ingest.worker import work
    from citestream.settings import load_settings
    from citestream.stores import open_bucket

    settings = load_settings()
    aws, bucket = open_bucket(settings)
    loop = asyncio.new_event_loop()

    async def handle(event: Any, context: Context) -> dict[str, Any]:
        reply = await work(event, bucket, lambda: context.get_remaining_time_in_millis() / 1000)
        if settings.ingest_queue:
            await bring_back(aws, settings.ingest_queue, event, reply)
        return reply

    def ingest(event: Any, context: Context) -> dict[str, Any]:
        return loop.run_until_complete(handle(event, context))

    return ingest


_MAKERS: dict[str, Callable[[], Any]] = {"app": _make_app, "buffered": _make_buffered, "ingest": _make_ingest}


class _HttpHandler:
    """Mangum's way to be told how events are read and responses written: as in the streaming function."""

    def __init__(self, event: Any, context: Context, config: LambdaConfig) -> None:
        request = http_request(event, context, Config.of_environment(os.environ).grace)
        self.scope = request.scope
        self.body = request.body
        self._version = request.version

    @classmethod
    def infer(cls, event: Any, context: Context, config: LambdaConfig) -> bool:
        return True

    def __call__(self, response: Response) -> dict[str, Any]:
        headers = [(bytes(name), bytes(value)) for name, value in response["headers"]]
        body = b"" if self.scope["method"] == "HEAD" else response["body"]
        return whole(response_head(response["status"], headers, self._version), body)
