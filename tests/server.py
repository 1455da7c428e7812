"""The product on loopback, over real sockets: uvicorn in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from citestream.app import create_local_app
from citestream.settings import load_settings
from tests import patience


@contextmanager
def serving(app: ASGIApp, *, root_path: str = "") -> Iterator[str]:
    """Serve the app until the block ends; yields its URL. What the server logs, pytest's ``caplog`` holds."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        root_path=root_path,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    started = threading.Event()

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Announcing(config)
    thread = threading.Thread(target=server.run, name="test server")
    thread.start()
    try:
        if not started.wait(60) or not server.servers:
            raise RuntimeError("the server did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        if thread.is_alive():
            raise RuntimeError("the server did not stop")


@contextmanager
def product(**settings: Any) -> Iterator[str]:
    """Serve the product with these settings, whatever this machine's environment says; yields its URL."""
    with serving(create_local_app(load_settings({}, **patience.UNHURRIED | settings))) as url:
        yield url


def raw(url: str, request: str) -> bytes:
    """Everything the server sends to this request until it closes the connection, as bytes on the wire."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
