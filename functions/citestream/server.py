"""The local server: uvicorn, which lets no reader down when it is told to stop."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from citestream.app import create_local_app, open_engine
from citestream.settings import Settings
from citestream.streams.hub import Hub

# What is being written may go on for so long, in seconds; then its readers get a terminal event.
_GRACE = 3.0
# How long readers then have to fetch the end, before their connections are cut.
_PATIENCE = 5


class Server(uvicorn.Server):
    """Ends the productions before it waits for the connections, which would wait for the productions."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._hub.drain(_GRACE)
        await super().shutdown(sockets)


def make_config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """How the server runs. What a request says of where it comes from is believed only if uvicorn's own variable,
    ``FORWARDED_ALLOW_IPS``, names the proxies that may say so."""
    proxied = bool(os.environ.get("FORWARDED_ALLOW_IPS"))
    options: dict[str, Any] = {"proxy_headers": proxied, "timeout_graceful_shutdown": _PATIENCE, "log_level": "info"}
    return uvicorn.Config(app, host=host, port=port, **options)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until told to stop. Raises what ``open_engine`` raises."""
    engine = open_engine(settings)
    app = create_local_app(settings, engine)
    server = Server(make_config(app, host, port), engine.hub)
    with suppress(KeyboardInterrupt):  # uvicorn raises it once more, when all is done
        server.run()
    if not server.started:
        raise SystemExit(1)  # it has told why
