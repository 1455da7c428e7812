"""Where a response goes: streamed to Lambda as it is written, or gathered and answered at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from asgi_lambda.fault import Fault
from asgi_lambda.response import BUFFERED_LIMIT, STREAM_TYPE, BadResponse, buffered, prelude, response_head
from asgi_lambda.runtime_api import Invocation, ResponseStream, RuntimeApi
from asgi_lambda.wire import RuntimeApiError

_LOG = logging.getLogger("asgi_lambda")

Headers = Iterable[tuple[bytes, bytes]]
_PLAIN: Headers = [(b"content-type", b"text/plain; charset=utf-8")]


class StreamedSink:
    """Takes one response; each step raises OSError where Lambda no longer takes it."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, version: str, *, pad: bool = False) -> None:
        self._api = api
        self._invocation = invocation
        self._version = version
        # Some front ends keep a client waiting after a prelude without a body.
        self._pad = b"\n" if pad else b""
        self._stream: ResponseStream | None = None

    async def start(self, status: int, headers: Headers) -> None:
        """Raises BadResponse, and then may be called again."""
        first = prelude(response_head(status, headers, self._version))
        self._stream = self._api.stream(self._invocation, STREAM_TYPE)
        await self._stream.write(first)

    async def body(self, data: bytes) -> None:
        assert self._stream is not None
        if data:
            self._pad = b""
            await self._stream.write(data)

    async def finish(self, fault: Fault | None = None) -> None:
        """End the response, with the failure that cut it short if there was one."""
        if self._stream is None:
            raise RuntimeApiError("the response was cut off before it began")
        await self._stream.write(self._pad)
        await self._stream.finish(fault)


class BufferedSink:
    """The same, gathered."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, version: str) -> None:
        self._api = api
        self._invocation = invocation
        self._version = version
        self._head: dict[str, Any] = {}
        self._body = bytearray()

    async def start(self, status: int, headers: Headers) -> None:
        self._head = response_head(status, headers, self._version)

    async def body(self, data: bytes) -> None:
        if len(self._body) <= BUFFERED_LIMIT:  # what is over is refused in the end
            self._body += data

    async def finish(self, fault: Fault | None = None) -> None:
        """What has failed is not half answered: it is a 500, or the 5xx that it is already."""
        failure = response_head(500, _PLAIN, self._version), b"Internal Server Error"
        response = self._head, bytes(self._body)
        try:
            payload = buffered(*(failure if fault and self._head["statusCode"] < 500 else response))
        except BadResponse:
            _LOG.exception("the response can't be sent")
            payload = buffered(*failure)
        await self._api.respond(self._invocation, payload)


Sink = StreamedSink | BufferedSink


async def answer(sink: Sink, status: int, text: str, fault: Fault) -> None:
    """A failure, where nothing has been answered yet. Raises OSError."""
    await sink.start(status, _PLAIN)
    await sink.body(text.encode())
    await sink.finish(fault)
