"""One caller's response: which rules apply, what was sent, and what a failure looks like."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate

from asgi_lambda.emulator import headers
from asgi_lambda.emulator.frames import FrameCounter
from asgi_lambda.emulator.front import FunctionUrl, Own
from asgi_lambda.emulator.http1 import Connection, Head, head_bytes
from asgi_lambda.emulator.output import Output
from asgi_lambda.emulator.prelude import Answer
from asgi_lambda.emulator.record import Invocation


class Reply:
    """Writes to the caller without ever waiting: a slow or vanished caller holds nothing up, as on AWS."""

    def __init__(
        self, connection: Connection, request: Head, record: Invocation, arrived: float, front: FunctionUrl
    ) -> None:
        self.front = front
        self.record = record
        self.on_piece: Callable[[bytes], None] = lambda piece: None
        self._connection = connection
        self._request = request
        self._arrived = arrived
        self._output: Output | None = None
        self._chunked = request.version != "1.0"
        self._bodyless = request.method == "HEAD"
        self._frames: FrameCounter | None = None
        self.end = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self.end.is_set()

    @property
    def started(self) -> bool:
        return self.record.status is not None

    @property
    def closes(self) -> bool:
        """Whether the connection can't carry another request."""
        asked = (self._request.get("connection") or "").lower()
        return self.record.aborted or not self._chunked or asked == "close"

    def begin(self, content_type: str | None, *, streaming: bool) -> None:
        """The function has begun its answer. Raises ``BadOutput`` when no answer in this mode can be right."""
        self._output, notes = self.front.output(content_type, streaming=streaming)
        self.record.notes += notes

    def feed(self, data: bytes) -> None:
        """Pass on what the function has sent. Raises ``BadOutput``."""
        assert self._output
        self._send(self._output, self._output.feed(data))

    def finish(self) -> None:
        """The function's answer is complete. Raises ``BadOutput``."""
        assert self._output
        self._send(self._output, self._output.finish())
        if self._chunked and not self._bodyless:
            self._connection.write(b"0\r\n\r\n")
        self._end()

    def _send(self, out: Output, body: bytes) -> None:
        if out.answer and not self.started:
            self._start(out.answer, out.default_type)
        if not body or self._bodyless:
            return
        assert self._frames
        self._frames.feed(body)
        self.on_piece(body)
        self.record.body_bytes += len(body)
        self.record.frames = self._frames.count
        self._connection.write(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)

    def _start(self, answer: Answer, default_type: str) -> None:
        self._bodyless = self._bodyless or answer.status in {204, 304}
        self.record.notes += [*answer.notes, *headers.lost_on_the_way(answer, self.front.renamed)]
        fields = headers.for_caller(answer, self.front.renamed, default_type=default_type)
        content_type = next((value for name, value in fields if name.lower() == "content-type"), "")
        self._frames = FrameCounter(events=content_type.startswith("text/event-stream"))
        if self._chunked and not self._bodyless:
            fields.append(("Transfer-Encoding", "chunked"))
        self._write_head(answer.status, fields)

    def fail(self, error_type: str, error: str, own: Own | None = None) -> None:
        """What AWS shows of a failure: an answer of its own before the first byte, a cut connection after it."""
        self.record.error_type, self.record.error = error_type, error
        if self.ended:
            return
        if not self.started:
            self.refuse(own or self.front.failed)
        else:
            self.record.aborted = True
            self._connection.end()
            self._end()

    def refuse(self, own: Own) -> None:
        """Answer for the front end itself."""
        text = own.body if isinstance(own.body, str) else json.dumps(own.body, separators=(",", ":"))
        fields = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        if own.error_type:
            fields.append(("x-amzn-ErrorType", own.error_type))
        self._write_head(own.status, fields)
        self._connection.write(b"" if self._bodyless else text.encode())
        self._end()

    def _write_head(self, status: int, fields: Iterable[tuple[str, str]]) -> None:
        own = [
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close" if self.closes else "keep-alive"),
            ("x-amzn-RequestId", self.record.request_id),
            ("X-Amzn-Trace-Id", f"Root={self.record.trace_root};Sampled=0"),
        ]
        self.record.status = status
        self.record.first_byte = time.monotonic() - self._arrived
        self._connection.write(head_bytes(status, [*own, *fields]))

    def _end(self) -> None:
        self.end.set()
        self.record.client_gone = self._connection.gone and not self.record.aborted
