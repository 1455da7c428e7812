"""The product on loopback, over real sockets: uvicorn in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from citestream.app import create_app
from citestream.settings import load_settings


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve the app until the block ends; yields its URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=2)
    started = threading.Event()

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Announcing(config)
    thread = threading.Thread(target=server.run, name="test server")
    thread.start()
    try:
        if not started.wait(20) or not server.servers:
            raise RuntimeError("the server did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def product(**settings: Any) -> Iterator[str]:
    """Serve the product with these settings, whatever this machine's environment says; yields its URL."""
    with serving(create_app(load_settings({}, **settings))) as url:
        yield url
