"""A real HTTP server on loopback whose responses a test plays step by step; what the providers' servers share.

    with OpenAIServer() as server:
        reply = server.reply(delta("The "))  # for the next request; sent as soon as that arrives
        ...  # the client has read "The "
        reply.send(delta("answer."), finish(), usage(12, 2), DONE, END)

A request for which nothing is prepared gets a canned response. The server has a thread of its own: tests with and
without an event loop use it alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import threading
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

PATIENCE = 60.0  # seconds until a test fails whose expected event does not come


@dataclass(frozen=True, slots=True)
class Status:  # a whole response that is no stream: the provider's refusal
    code: int
    message: str = "refused"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Whole:  # a whole response that is no stream: this JSON
    body: Any
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


# Bytes are a piece of the body, a number is a pause in seconds. As long as no step comes, nothing is sent.
Act = Literal["end", "cut"]
Step = bytes | float | Act | Status | Whole

OPEN = b""  # sends the head of the response alone
END: Act = "end"  # ends the body properly
CUT: Act = "cut"  # closes the connection

CANNED = ("The first ", "source ", "says so [1]. ", "The second ", "one agrees [2].")


@dataclass
class Reply:
    """The response to one request; its steps may be given before and after the request arrives."""

    loop: asyncio.AbstractEventLoop
    steps: asyncio.Queue[Step] = field(default_factory=asyncio.Queue)
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    request: Future[dict[str, Any]] = field(default_factory=Future)
    abandoned: Future[bool] = field(default_factory=Future)

    def send(self, *steps: Step) -> None:
        for step in steps:
            self.loop.call_soon_threadsafe(self.steps.put_nowait, step)

    async def arrived(self) -> dict[str, Any]:  # the request's body
        return await asyncio.wait_for(asyncio.wrap_future(self.request), PATIENCE)

    async def played(self) -> None:  # the client, on this thread's loop, has got every piece that was sent so far
        await self.arrived()
        played = asyncio.run_coroutine_threadsafe(self.steps.join(), self.loop)
        await asyncio.wait_for(asyncio.wrap_future(played), PATIENCE)
        for _ in range(50):
            await asyncio.sleep(0)

    async def closed_by_client(self) -> bool:  # or has read the response to its end
        return await asyncio.wait_for(asyncio.wrap_future(self.abandoned), PATIENCE)


class ScriptedServer(ABC):
    """Serves inside its ``with`` block, at ``url``. What a path ends with is what is asked for: ``completions`` …"""

    stream_type: ClassVar[str]
    answers: ClassVar[str]  # what a reply is for unless it is said

    def __init__(self) -> None:
        self._prepared: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-server")
        self.replies: list[Reply] = []  # to the requests that have come, in their order

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(PATIENCE)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reply(self, *steps: Step, to: str | None = None) -> Reply:
        """Prepare the response to the next request that has none."""
        reply = Reply(self._loop)
        reply.send(*steps)
        self._prepared[to or self.answers].append(reply)
        return reply

    @abstractmethod
    def canned(self, asked: str, body: dict[str, Any]) -> Sequence[Step]:
        """The response to a request for which nothing is prepared."""

    @abstractmethod
    def refusal(self, status: Status) -> Whole:
        """The status as the provider words it."""

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
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        reply = self._reply_to(first.split()[1], body)
        reply.headers.update(headers)
        reply.request.set_result(body)
        sent = await _unless_client_leaves(self._send(reply.steps, writer), reader)
        reply.abandoned.set_result(sent is None)
        return sent == END

    def _reply_to(self, path: str, body: dict[str, Any]) -> Reply:
        asked = path.rpartition("/")[2]
        if not self._prepared[asked]:
            self.reply(*self.canned(asked, body), to=asked)
        reply = self._prepared[asked].popleft()
        reply.path = path
        self.replies.append(reply)
        return reply

    async def _send(self, steps: asyncio.Queue[Step], writer: asyncio.StreamWriter) -> Act:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {self.stream_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        while not isinstance(step := await steps.get(), str):
            if isinstance(step, Status | Whole):
                writer.write(_response(self.refusal(step) if isinstance(step, Status) else step))
                return END
            if isinstance(step, bytes):
                writer.write(head + (b"%x\r\n%b\r\n" % (len(step), step) if step else b""))
                head = b""
            else:
                await asyncio.sleep(step)
            steps.task_done()
        if step == END:
            writer.write(b"0\r\n\r\n")
        return step


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


def _response(whole: Whole) -> bytes:
    body = json.dumps(whole.body)
    head = {"content-type": "application/json", "content-length": str(len(body))} | dict(whole.headers)
    lines = (f"HTTP/1.1 {whole.code} Status", *(f"{name}: {value}" for name, value in head.items()), "", body)
    return "\r\n".join(lines).encode()


def bag_of_words(text: str, dimensions: int) -> list[float]:
    """A unit vector in which every word of the text has its place: texts of the same words are near each other."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()) or [text]:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[1:]) % dimensions] += 1.0 if digest[0] % 2 else -1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
