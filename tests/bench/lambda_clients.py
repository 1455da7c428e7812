"""What is measured: one ASGI app, the plainest client that sends the same, and a proxy hop to a web server.

Each client answers by the request's path: ``/first`` with one frame, ``/paced`` with frames as a model writes them,
``/burst`` with frames as fast as they go. A frame's id is when it was made, so that its way can be timed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

Message = MutableMapping[str, Any]

#: Frames, and seconds before each.
RESPONSES = {"/first": (1, 0.0), "/paced": (300, 0.002), "/burst": (10_000, 0.0)}
FRAME = b'event: token\ndata: {"text":"the "}\nid: %019d\n\n'
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
_POST = (
    "POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\nHost: lambda\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
    "Content-Type: application/vnd.awslambda.http-integration-response\r\n\r\n"
)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        for what in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{what}.complete"})
        return
    count, pause = RESPONSES[scope["path"]]
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    for _ in range(count):
        if pause:
            await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": FRAME % time.monotonic_ns(), "more_body": True})
    await send({"type": "http.response.body"})


def raw_client() -> None:
    """No parsing, no event loop, no checks: a system call for each frame, which is the limit."""
    with _connection(os.environ["AWS_LAMBDA_RUNTIME_API"]) as kept:
        replies = kept.makefile("rb")
        while True:
            request_id, event = _next(kept, replies)
            path = re.search(rb'"rawPath": ?"(/\w+)"', event)
            assert path
            with _connection(os.environ["AWS_LAMBDA_RUNTIME_API"]) as connection:
                connection.sendall(_POST.format(request_id).encode() + _chunk(_prelude()))
                count, pause = RESPONSES[path[1].decode()]
                for _ in range(count):
                    if pause:
                        time.sleep(pause)
                    connection.sendall(_chunk(FRAME % time.monotonic_ns()))
                connection.sendall(b"0\r\n\r\n")
                connection.recv(65536)


def proxy() -> None:
    """A web server of its own, and its response passed on as it comes (the Lambda Web Adapter's way).

    It looks at nothing, and passes the chunks on as they are coded: what it adds is the hop.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        code = f"from tests.bench.lambda_clients import web_server; web_server({listener.fileno()})"
        subprocess.Popen([sys.executable, "-c", code], pass_fds=[listener.fileno()])
    with _connection(os.environ["AWS_LAMBDA_RUNTIME_API"]) as kept, _connection(f"{host}:{port}") as web:
        replies = kept.makefile("rb")
        while True:
            request_id, event = _next(kept, replies)
            web.sendall(f"GET {json.loads(event)['rawPath']} HTTP/1.1\r\nHost: app\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += web.recv(65536)
            data = data.partition(b"\r\n\r\n")[2]
            with _connection(os.environ["AWS_LAMBDA_RUNTIME_API"]) as connection:
                connection.sendall(_POST.format(request_id).encode() + _chunk(_prelude()) + data)
                while not data.endswith(b"0\r\n\r\n"):
                    piece = web.recv(65536)
                    connection.sendall(piece)
                    data = data[-4:] + piece
                connection.recv(65536)


def web_server(descriptor: int) -> None:
    import uvicorn

    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, timeout_keep_alive=600)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def _connection(address: str) -> socket.socket:
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _next(kept: socket.socket, replies: IO[bytes]) -> tuple[str, bytes]:
    """The next event's id, and the event."""
    kept.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n")
    headers = {}
    while line := replies.readline().decode().strip():
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return headers["lambda-runtime-aws-request-id"], replies.read(int(headers["content-length"]))


def _prelude() -> bytes:
    headers = {name.decode(): value.decode() for name, value in _HEADERS}
    return json.dumps({"statusCode": 200, "headers": headers}).encode() + bytes(8)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
