"""An ASGI app without a framework, each path of which does something else to its server."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from asgi_lambda import request_id, trace_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Route = Callable[[Scope, Receive, Send], Awaitable[None]]

SEEN: list[str] = []
STARTED = time.monotonic_ns()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    else:
        await ROUTES[scope["path"].removeprefix(scope["root_path"])](scope, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    SEEN.append((await receive())["type"])
    scope["state"]["since"] = "startup"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shut down", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def respond(
    send: Send, *pieces: bytes, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None, end: bool = True
) -> None:
    headers = [(b"content-type", b"text/plain")] if headers is None else headers
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if end:
        await send({"type": "http.response.body"})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    told: dict[str, Any] = {
        name: scope[name] for name in ("method", "path", "root_path", "http_version", "scheme", "state")
    }
    told |= {name: scope[name].decode() for name in ("raw_path", "query_string")}
    told["headers"] = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
    told["body"] = message["body"].hex()
    told["more_body"] = message["more_body"]
    told |= {"request_id": request_id.get(), "trace": [trace_id.get(), os.environ.get("_X_AMZN_TRACE_ID", "")]}
    told |= {"pid": os.getpid(), "started": STARTED, "seen": SEEN, "client": scope["client"]}
    await respond(send, json.dumps(told).encode(), headers=[(b"content-type", b"application/json")])


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    frames = [b"data: %d\n\n" % number for number in range(5)]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for frame in frames:
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"", "more_body": True})  # which is not the end
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


async def gated(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits after each of five pieces, until somebody writes to the pipe that the query names."""
    await respond(send, end=False)
    for number in range(5):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        await asyncio.to_thread(Path(scope["query_string"].decode()).read_bytes)
    await send({"type": "http.response.body", "body": b"data: end\n\n"})


async def headers(scope: Scope, receive: Receive, send: Send) -> None:
    given = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x", b"1"), (b"x", b"2"), (b"connection", b"close")]
    await respond(send, b"ok", status=201, headers=given)


async def binary(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, bytes(range(256)), headers=[(b"content-type", b"image/png")])


async def no_content(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"not to be sent", status=204, headers=[])


async def raise_before(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("before")


async def raise_at(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, status=200, headers=[(b"x", b"a\r\nb: c")])


async def raise_after(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"so far", end=False)
    raise ValueError("after")


async def raise_at_the_end(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"all")
    raise ValueError("when all was said")


async def long_head(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, headers=[(b"x", b"a" * 17_000)])


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns without a response."""


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"half", end=False)


async def too_much(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"all")
    try:
        await send({"type": "http.response.body", "body": b"more"})
    except RuntimeError as error:
        SEEN.append(str(error))


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"so far", end=False)
    await asyncio.sleep(600)


async def hang_before(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(600)


async def end_in_time(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends itself later than an app that knows nothing of deadlines is cancelled."""
    deadline = scope["extensions"]["lambda.deadline"]
    deadline["ends_itself"] = True
    await respond(send, b"so far", end=False)
    await asyncio.sleep(deadline["at"] - deadline["grace"] + 0.3 - time.time())
    await send({"type": "http.response.body", "body": b" and the end"})


async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
    """Does not let itself be cancelled."""
    await respond(send, b"so far", end=False)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            SEEN.append("cancelled")


async def block(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"so far", end=False)
    time.sleep(600)  # noqa: ASYNC251  what no runtime can do anything about


async def background(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"done")
    assert (await receive())["type"] == "http.request"
    assert (await receive())["type"] == "http.disconnect"
    await asyncio.sleep(0.3)
    SEEN.append("background work is done")


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    size = int(scope["query_string"])
    await respond(send, *[b"x" * 1_000_000] * (size // 1_000_000), b"x" * (size % 1_000_000))


async def large_piece(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, bytes(range(256)) * (int(scope["query_string"]) // 256))


async def pace(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends until it has to wait for its reader, then says how much that was."""
    sent = 0
    await respond(send, end=False)
    try:
        async with asyncio.timeout(0.5):
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                sent += 65536
    except TimeoutError:
        SEEN.append(f"waited after {sent}")
    await send({"type": "http.response.body"})


async def raise_at_length(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"so far", end=False)
    raise ValueError("ä" * 5000)


async def print_a_line(scope: Scope, receive: Receive, send: Send) -> None:
    print("a line without a flush")
    await respond(send, b"ok")


async def no_descriptors(scope: Scope, receive: Receive, send: Send) -> None:
    print("uses up its descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    await respond(send, b"ok")


async def size(scope: Scope, receive: Receive, send: Send) -> None:
    """What this process holds."""
    pages = int(open("/proc/self/statm").read().split()[1])  # noqa: ASYNC230, SIM115
    told = {"kib": pages * 4, "files": len(os.listdir("/proc/self/fd")), "tasks": len(asyncio.all_tasks())}
    await respond(send, json.dumps(told).encode())


ROUTES: dict[str, Route] = {
    f"/{each.__name__}": each
    for each in (
        *(
            echo,
            events,
            gated,
            headers,
            binary,
            no_content,
            raise_before,
            raise_at,
            raise_after,
            raise_at_the_end,
            long_head,
        ),
        *(nothing, half, too_much, hang, hang_before, end_in_time, stuck, block, background, large, large_piece, pace),
        *(raise_at_length, print_a_line, no_descriptors, size),
    )
}
