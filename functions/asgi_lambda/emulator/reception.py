"""How a response of the function's is received: paced, limited, passed on as it arrives, and judged."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Callable

from asgi_lambda.emulator import states
from asgi_lambda.emulator.chunked import ProtocolError
from asgi_lambda.emulator.delivery import Delivery
from asgi_lambda.emulator.http1 import Body, Connection, Head, Truncated
from asgi_lambda.emulator.options import Options
from asgi_lambda.emulator.pace import Bucket
from asgi_lambda.emulator.prelude import BadOutput
from asgi_lambda.emulator.record import Post
from asgi_lambda.emulator.states import BUFFERED_LIMIT

ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"


class Reception:
    """Of one response to one delivery. Raises ``Refusal`` for a response mode that there is not."""

    def __init__(self, options: Options, delivery: Delivery, head: Head, body: Body) -> None:
        mode = head.get("lambda-runtime-function-response-mode")
        if mode not in {None, "streaming"}:  # no other case, and no name for the other mode
            raise states.invalid_response_mode()
        self._options = options
        self._reply = delivery.reply
        self._delivered = delivery.delivered
        self._head = head
        self._body = body
        self._streaming = mode == "streaming"
        self._post = Post(head.target, head.headers)
        self._size = 0
        self._kept = bytearray()
        streams = self._streaming and self._reply.front.streams
        self._limit = options.stream_limit if streams else BUFFERED_LIMIT
        self._bucket = Bucket(options.pace, time.monotonic()) if streams and options.pace else None

    async def receive(self, connection: Connection) -> None:
        """Read it to its end. Raises ``Refusal`` if it is too large, ``Truncated`` if it ends early."""
        self._reply.record.post = self._post
        self._body.keep = self._options.keep
        self._pass_on(lambda: self._reply.begin(self._head.get("content-type"), streaming=self._streaming))
        try:
            async for piece in self._body.pieces():
                await self._take(piece, connection)
        except ProtocolError as error:
            self._reply.fail("Runtime.TruncatedResponse", str(error))
            raise
        finally:
            self._post.body = bytes(self._kept)
            self._post.wire = self._body.wire if self._options.keep else b""
            self._post.chunk_sizes = self._body.decoder.sizes if self._options.keep else []
        self._pass_on(self._reply.finish)
        self._read_trailers()

    async def _take(self, piece: bytes, connection: Connection) -> None:
        if (cut := self._options.faults.cut_after) is not None and self._streaming:
            piece = piece[: cut - self._size]
        room = self._limit - self._size
        self._note(piece)
        if wait := self._wait(len(piece)):
            await asyncio.sleep(wait)
        self._pass_on(lambda: self._reply.feed(piece[:room]))
        if len(piece) > room:
            message = f"Response payload size exceeded maximum allowed payload size ({self._limit} bytes)."
            self._reply.fail("Function.ResponseSizeTooLarge", message)
            raise states.too_large(self._limit)
        if self._size == cut:
            connection.abort()
            raise Truncated("cut, as was asked")

    def _note(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._options.keep or self._options.trace:
            self._post.times.append((time.monotonic() - self._delivered, len(piece)))
        if self._options.keep:
            self._kept += piece

    def _wait(self, size: int) -> float:
        """Seconds before these bytes may pass."""
        slow = size / self._options.faults.read_rate if self._options.faults.read_rate else 0.0
        return max(slow, self._bucket.take(size, time.monotonic()) if self._bucket else 0.0)

    def _pass_on(self, step: Callable[[], None]) -> None:
        """The runtime never learns what the front end thinks of its output: that is the caller's to see."""
        if self._reply.ended:
            return
        try:
            step()
        except BadOutput as error:
            self._reply.fail("FrontEnd.InvalidOutput", str(error), self._reply.front.misread)

    def _read_trailers(self) -> None:
        announced = {name.strip().lower() for name in (self._head.get("trailer") or "").split(",")}
        for name, value in self._body.decoder.trailers:
            if name.lower() in announced:
                self._post.trailers[name] = value
            else:
                self._reply.record.notes.append(f"the trailer {name} was not announced and is ignored")
        by_name = {name.lower(): value for name, value in self._post.trailers.items()}
        if error_type := by_name.get(ERROR_TYPE):
            self._reply.record.error_type = states.error_type(error_type)
            self._reply.record.error = _decoded(by_name.get(ERROR_BODY))
        self._reply.record.trailers = self._post.trailers


def _decoded(error_body: str | None) -> str:
    if error_body is None:
        return "no error body"
    try:
        return message(base64.b64decode(error_body, validate=True))
    except binascii.Error:
        return f"the error body {error_body[:60]!r} is not Base64"


def message(error_body: bytes) -> str:
    """An error as one line: the message that its JSON holds, else the bytes themselves."""
    try:
        fields = json.loads(error_body)
    except ValueError:
        fields = None
    if isinstance(fields, dict) and "errorMessage" in fields:
        kind, text = str(fields.get("errorType", "Error")), str(fields["errorMessage"])
        return text if kind.startswith(("Function.", "Runtime.")) else f"{kind}: {text}"
    return repr(error_body[:200])
