"""The Runtime API of one execution environment, as Lambda serves it to the runtime."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from asgi_lambda.emulator import states
from asgi_lambda.emulator.delivery import Delivery
from asgi_lambda.emulator.http1 import Body, Connection, Head
from asgi_lambda.emulator.options import Options
from asgi_lambda.emulator.reception import ERROR_TYPE, Reception, message
from asgi_lambda.emulator.server import Server
from asgi_lambda.emulator.states import BUFFERED_LIMIT, Refusal, State

_ROOT = "/2018-06-01/runtime/"
_POST_PATH = re.compile(r"invocation/([^/]+)/(response|error)")
# Little is held on the way, so that whoever writes feels a slow reader.
_RECEIVE_BUFFER = 128 * 1024
# So much of a refused request's body is read before its connection closes: closed earlier, it would lose the refusal.
_DRAINED = 256 * 1024

Answer = tuple[int, list[tuple[str, str]], bytes]
_JSON = ("Content-Type", "application/json")
_OK: Answer = (202, [_JSON], b'{"status":"OK"}\n')


class RuntimeApi:
    """``progress`` gets the state that the runtime reaches next: READY, RESTORE_READY, or an error state. ``error`` is
    then the type and the message that the runtime gave with it."""

    def __init__(self, options: Options) -> None:
        self.state = State.STARTED
        self.error: tuple[str, str] | None = None
        self.address = ""
        self.progress: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._options = options
        self._restored = asyncio.Event()
        self._delivered = asyncio.Event()
        self._delivery: Delivery | None = None
        self._server = Server(self._answer, lambda line: options.say(f"Runtime API: {line}"))

    async def start(self) -> None:
        """Listen on loopback; ``address`` is then what ``AWS_LAMBDA_RUNTIME_API`` says."""
        await self._server.start("127.0.0.1", 0, receive_buffer=_RECEIVE_BUFFER)
        self.address = "{}:{}".format(*self._server.address)

    async def aclose(self) -> None:
        """Cut every connection; nothing of this API runs any more when it returns."""
        await self._server.aclose()

    def deliver(self, delivery: Delivery) -> None:
        """Answer the waiting ``/next``; ``progress`` then tells when the runtime asks again."""
        self.state = states.transition(self.state, State.RUNNING)
        self._delivery = delivery
        self._expect_progress()
        self._delivered.set()

    def restore(self) -> None:
        """Answer the waiting ``/restore/next``."""
        self.state = states.transition(self.state, State.RESTORING)
        self._expect_progress()
        self._restored.set()

    def _expect_progress(self) -> None:
        self.progress = asyncio.get_running_loop().create_future()

    def _reach(self, state: State) -> None:
        self.state = states.transition(self.state, state)
        if not self.progress.done():
            self.progress.set_result(state)

    async def _answer(self, connection: Connection, head: Head, body: Body) -> bool:
        """Answer one request; whether the connection goes on."""
        try:
            status, headers, content = await self._dispatch(connection, head, body)
        except Refusal as refusal:
            self._options.say(f"Runtime API: {head.method} {head.target}: {refusal}")
            status, headers, content = refusal.status, [_JSON], refusal.body
        closes = not body.decoder.done or "close" in (head.get("connection") or "").lower()
        connection.reply(status, [*headers, ("Connection", "close" if closes else "keep-alive")], content)
        if not body.decoder.done:
            await body.whole(_DRAINED)
        return not closes

    async def _dispatch(self, connection: Connection, head: Head, body: Body) -> Answer:
        path = head.target.removeprefix(_ROOT) if head.target.startswith(_ROOT) else ""
        if match := _POST_PATH.fullmatch(path):
            if head.method != "POST":
                return _not_allowed("POST")
            respond = self._response if match[2] == "response" else self._error
            return await respond(match[1], connection, head, body)
        method, handler = self._fixed().get(path, ("", None))
        if not handler:
            return 404, [("Content-Type", "text/plain; charset=utf-8")], b"404 page not found\n"
        return await handler(head, body) if head.method == method else _not_allowed(method)

    def _fixed(self) -> dict[str, tuple[str, Callable[[Head, Body], Awaitable[Answer]]]]:
        paths: dict[str, tuple[str, Callable[[Head, Body], Awaitable[Answer]]]] = {
            "invocation/next": ("GET", self._next),
            "init/error": ("POST", self._init_error),
        }
        if self._options.snap_start:
            paths |= {"restore/next": ("GET", self._restore_next), "restore/error": ("POST", self._restore_error)}
        return paths

    async def _next(self, head: Head, body: Body) -> Answer:
        if self.state is not State.RUNNING:  # asked again before it has answered, it gets the same event again
            self._delivered.clear()
            self._reach(State.READY)
        await self._delivered.wait()
        assert self._delivery
        return 200, self._delivery.headers(), self._delivery.event

    async def _restore_next(self, head: Head, body: Body) -> Answer:
        self._reach(State.RESTORE_READY)
        await self._restored.wait()
        return 200, [_JSON], b""

    async def _init_error(self, head: Head, body: Body) -> Answer:
        return await self._failed(State.INIT_ERROR, head, body)

    async def _restore_error(self, head: Head, body: Body) -> Answer:
        return await self._failed(State.RESTORE_ERROR, head, body)

    async def _failed(self, state: State, head: Head, body: Body) -> Answer:
        states.transition(self.state, state)
        text = await body.whole(BUFFERED_LIMIT) or b""
        self.error = (states.error_type(head.get(ERROR_TYPE)), message(text))
        self._reach(state)
        return _OK

    def _current(self, request_id: str) -> Delivery:
        if not self._delivery or self.state is State.READY or self._delivery.request_id != request_id:
            raise states.invalid_request_id()
        return self._delivery

    async def _error(self, request_id: str, connection: Connection, head: Head, body: Body) -> Answer:
        delivery = self._current(request_id)
        self.state = states.transition(self.state, State.ERROR_RESPONSE)
        text = await body.whole(BUFFERED_LIMIT) or b""
        delivery.reply.fail(states.error_type(head.get(ERROR_TYPE)), message(text))
        self.state = states.transition(self.state, State.SENT)
        return _OK

    async def _response(self, request_id: str, connection: Connection, head: Head, body: Body) -> Answer:
        delivery = self._current(request_id)
        self.state = states.transition(self.state, State.RESPONSE)
        reception = Reception(self._options, delivery, head, body)  # a wrong mode leaves this state as it is, there too
        try:
            await reception.receive(connection)
        finally:
            self.state = states.transition(self.state, State.SENT)
        return _OK


def _not_allowed(method: str) -> Answer:
    return 405, [("Allow", method)], b""
