"""A real HTTP server on loopback that speaks OpenAI's chat completions, played step by step by a test.

    with OpenAIServer() as server:
        reply = server.reply(delta("The "))  # for the next request; sent as soon as that arrives
        ...  # the client has read "The "
        reply.send(delta("answer."), finish(), usage(12, 2), DONE, END)

A request for which nothing is prepared gets a canned answer. The server has a thread of its own: tests with and
without an event loop use it alike. ``python -m tests.openai_server --delay 0.05`` serves until interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

PATIENCE = 10.0  # seconds until a test fails whose expected event does not come


@dataclass(frozen=True, slots=True)
class Status:  # a whole response that is no stream
    code: int
    message: str = "refused"


# Bytes are a piece of the body, a number is a pause in seconds. As long as no step comes, nothing is sent.
Act = Literal["end", "cut"]
Step = bytes | float | Act | Status

OPEN = b""  # sends the head of the response alone
DONE = b"data: [DONE]\n\n"
END: Act = "end"  # ends the body properly
CUT: Act = "cut"  # closes the connection


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event(head | {"choices": list(choices)} | more)


def delta(content: str | None, **more: Any) -> bytes:
    return chunk({"index": 0, "delta": {"content": content} | more, "finish_reason": None})


def finish(reason: str = "stop") -> bytes:
    return chunk({"index": 0, "delta": {}, "finish_reason": reason})


def usage(prompt: int, completion: int) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk(usage=counts)


def answer(*texts: str, delay: float = 0.0) -> tuple[Step, ...]:
    deltas = (step for text in texts for step in (delay, delta(text)))
    return (*deltas, finish(), usage(100, len(texts)), DONE, END)


CANNED = ("The first ", "source ", "says so [1]. ", "The second ", "one agrees [2].")


@dataclass
class Reply:
    """The response to one request; its steps may be given before and after the request arrives."""

    loop: asyncio.AbstractEventLoop
    steps: asyncio.Queue[Step] = field(default_factory=asyncio.Queue)
    headers: dict[str, str] = field(default_factory=dict)
    request: Future[dict[str, Any]] = field(default_factory=Future)
    abandoned: Future[bool] = field(default_factory=Future)

    def send(self, *steps: Step) -> None:
        for step in steps:
            self.loop.call_soon_threadsafe(self.steps.put_nowait, step)

    async def arrived(self) -> dict[str, Any]:  # the request's body
        return await asyncio.wait_for(asyncio.wrap_future(self.request), PATIENCE)

    async def closed_by_client(self) -> bool:  # or has read the response to its end
        return await asyncio.wait_for(asyncio.wrap_future(self.abandoned), PATIENCE)


class OpenAIServer:
    """Serves inside its ``with`` block; ``base_url`` is what a client takes as API base."""

    def __init__(self, canned: tuple[Step, ...] = answer(*CANNED)) -> None:
        self._canned = canned
        self._prepared: deque[Reply] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server")
        self.replies: list[Reply] = []  # to the requests that have come, in their order

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(PATIENCE)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reply(self, *steps: Step) -> Reply:
        """Prepare the response to the next request that has none."""
        reply = Reply(self._loop)
        reply.send(*steps)
        self._prepared.append(reply)
        return reply

    async def _stop(self) -> None:
        self._server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client may leave between two requests; the test ends whenever it likes.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. Whether the connection may carry another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
        if not self._prepared:
            self.reply(*self._canned)
        reply = self._prepared.popleft()
        self.replies.append(reply)
        reply.headers.update((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head))
        reply.request.set_result(json.loads(await reader.readexactly(int(reply.headers["content-length"]))))
        sent = await _unless_client_leaves(_send(reply.steps, writer), reader)
        reply.abandoned.set_result(sent is None)
        if sent == END:
            writer.write(b"0\r\n\r\n")
        return sent == END


async def _unless_client_leaves(sending: Coroutine[Any, Any, Act], reader: asyncio.StreamReader) -> Act | None:
    # A client sends nothing before the response has ended: what can be read until then is the connection's end.
    sent, left = asyncio.ensure_future(sending), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((sent, left), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sent.cancel()
        left.cancel()
        await asyncio.gather(sent, left, return_exceptions=True)
    return None if sent.cancelled() else sent.result()


async def _send(steps: asyncio.Queue[Step], writer: asyncio.StreamWriter) -> Act:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    while not isinstance(step := await steps.get(), str):
        if isinstance(step, Status):
            writer.write(_response(step))
            return CUT
        if isinstance(step, bytes):
            writer.write(head + (b"%x\r\n%b\r\n" % (len(step), step) if step else b""))
            head = b""
        else:
            await asyncio.sleep(step)
    return step


def _response(status: Status) -> bytes:
    body = json.dumps({"error": {"message": status.message, "type": "test", "code": str(status.code)}})
    head = (f"HTTP/1.1 {status.code} Status", "content-type: application/json", f"content-length: {len(body)}")
    return "\r\n".join((*head, "connection: close", "", body)).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server that always gives the same answer.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each token")
    steps = answer(*CANNED, delay=parser.parse_args().delay)
    with OpenAIServer(steps) as server, suppress(KeyboardInterrupt):
        print(server.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
