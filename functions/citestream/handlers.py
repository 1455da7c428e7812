"""What Lambda calls: the streaming app, and the buffered fallback for API Gateway's HTTP APIs."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import Any, cast

from mangum import Mangum
from mangum.types import ASGI, LambdaConfig, LambdaContext, Response

from asgi_lambda.config import Config
from asgi_lambda.lifespan import Lifespan
from asgi_lambda.request import Context, http_request
from asgi_lambda.response import response_head, whole
from citestream.app import create_app

#: The handler of the streaming function, served by ``asgi_lambda``.
app = create_app()


def buffered(event: Any, context: Context) -> dict[str, Any]:
    """The handler of the buffered function, called by the platform's own client: a whole answer at once.

    Raises UnsupportedEvent for what is not an HTTP request.
    """
    mangum, _ = _mangum()
    return mangum(event, cast(LambdaContext, context))


@cache
def _mangum() -> tuple[Mangum, Lifespan]:
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    # Once, and to the end of the process: Mangum by itself would start and stop the app at each invocation.
    lifespan = Lifespan(app)
    loop.run_until_complete(lifespan.startup())
    return Mangum(cast(ASGI, app), lifespan="off", custom_handlers=[_HttpHandler]), lifespan


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
