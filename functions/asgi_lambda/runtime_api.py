"""The Lambda Runtime API (AWS: "Using the Lambda runtime API for custom runtimes"), with streamed responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asgi_lambda.fault import Fault
from asgi_lambda.wire import Channel, Reply, RuntimeApiError, chunk, last_chunk, request_head

_RUNTIME = "/2018-06-01/runtime"
# Larger bodies go out in pieces of this size, so that they are not held twice.
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Invocation:
    """What ``/next`` tells. ``deadline`` is in seconds since 1970; ``attempt_id`` is to be echoed where it is given."""

    request_id: str
    deadline: float
    arn: str
    trace_id: str
    attempt_id: str
    payload: bytes


class RuntimeApi:
    """One connection is kept for everything but streamed responses, each of which has its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._kept: Channel | None = None

    async def next(self) -> Invocation:
        """Wait for work without a limit: the process may be frozen meanwhile. Raises RuntimeApiError."""
        reply = await self._call("GET", f"{_RUNTIME}/invocation/next", expected=200)
        headers = reply.headers
        told = ("invoked-function-arn", "trace-id", "invocation-id")
        arn, trace_id, attempt_id = (headers.get(f"lambda-runtime-{name}", "") for name in told)
        deadline = int(headers["lambda-runtime-deadline-ms"]) / 1000
        request_id = headers["lambda-runtime-aws-request-id"]
        return Invocation(request_id, deadline, arn, trace_id, attempt_id, reply.body)

    async def respond(self, invocation: Invocation, payload: bytes) -> None:
        """Answer at once, with JSON. Raises RuntimeApiError."""
        await self._post(f"invocation/{invocation.request_id}/response", payload, _echo(invocation))

    def stream(self, invocation: Invocation, content_type: str) -> ResponseStream:
        """Begin a streamed answer. Raises RuntimeApiError."""
        trailers = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        headers = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}
        headers |= {"Content-Type": content_type, "Trailer": trailers, **_echo(invocation)}
        path = f"{_RUNTIME}/invocation/{invocation.request_id}/response"
        return ResponseStream(Channel.open(self._address), request_head("POST", path, self._address, headers))

    async def error(self, invocation: Invocation, fault: Fault) -> None:
        """Answer with a failure, before anything else was answered. Raises RuntimeApiError."""
        headers = {**fault.header(), **_echo(invocation)}
        await self._post(f"invocation/{invocation.request_id}/error", fault.body(), headers)

    async def init_error(self, fault: Fault) -> None:
        await self._post("init/error", fault.body(), fault.header())

    async def restore_next(self) -> None:
        """Have the snapshot taken; returns in each environment that is restored from it."""
        await self._call("GET", f"{_RUNTIME}/restore/next", expected=200)

    async def restore_error(self, fault: Fault) -> None:
        await self._post("restore/error", fault.body(), fault.header())

    def close(self) -> None:
        """Let go of the kept connection; the next call opens another."""
        if self._kept:
            self._kept.close()
            self._kept = None

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        await self._call("POST", f"{_RUNTIME}/{path}", headers, body, expected=202)

    async def _call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, expected: int
    ) -> Reply:
        request = request_head(method, path, self._address, headers or {}) + body
        return _checked(await self._reply(request), expected, path)

    async def _reply(self, request: bytes) -> Reply:
        if self._kept:
            try:
                return await self._exchange(self._kept, request)
            except RuntimeApiError:
                pass  # it was closed while nothing went over it
        self._kept = Channel.open(self._address)
        return await self._exchange(self._kept, request)

    async def _exchange(self, channel: Channel, request: bytes) -> Reply:
        try:
            await channel.write(request)
            reply = await channel.read_reply()
        except BaseException:  # a cancelled call's answer must not be taken for the next one's
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply


class ResponseStream:
    """A streamed answer: written in pieces, each on its way when ``write`` returns."""

    def __init__(self, channel: Channel, head: bytes) -> None:
        self._channel = channel
        self._head = head

    async def write(self, data: bytes) -> None:
        """Send a piece; nothing is sent for an empty one. Raises RuntimeApiError."""
        for start in range(0, len(data), _PIECE_BYTES):
            head, self._head = self._head, b""
            await self._channel.write(head + chunk(data[start : start + _PIECE_BYTES]))

    async def finish(self, fault: Fault | None = None) -> None:
        """End the answer, well or with a failure, and wait until Lambda has it. Raises RuntimeApiError."""
        try:
            await self._channel.write(self._head + last_chunk(fault.trailers() if fault else {}))
            _checked(await self._channel.read_reply(), 202, "invocation/response")
        finally:
            self._channel.close()


def _echo(invocation: Invocation) -> dict[str, str]:
    return {"Lambda-Runtime-Invocation-Id": invocation.attempt_id} if invocation.attempt_id else {}


def _checked(reply: Reply, expected: int, path: str) -> Reply:
    if reply.status != expected:
        raise RuntimeApiError(
            f"the Runtime API answered {path} with {reply.status}: {reply.body[:500].decode(errors='replace')}"
        )
    return reply
