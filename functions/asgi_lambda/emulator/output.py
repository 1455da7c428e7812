"""What the function posts, turned into what the caller gets: pure, piece by piece where the caller gets a stream."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from typing import Protocol

from asgi_lambda.emulator import prelude
from asgi_lambda.emulator.prelude import Answer, BadOutput

_BINARY = "application/octet-stream"
_JSON = "application/json"


class Output(Protocol):
    """``answer`` is there once the status and the headers are known, and with it ``default_type``."""

    answer: Answer | None
    default_type: str

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body that the caller gets now. Raises ``BadOutput``."""

    def finish(self) -> bytes:
        """The last of them. Raises ``BadOutput``."""


class Plain:
    """A stream without a prelude: 200, and the type that the function's own request carried."""

    def __init__(self, content_type: str | None) -> None:
        self.answer: Answer | None = Answer(200, ())
        self.default_type = content_type or _JSON

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class Streamed:
    """A prelude, and a body passed on as it comes; a function URL takes a content coding off (zlib's alone here)."""

    def __init__(self, *, gateway: bool) -> None:
        self.answer: Answer | None = None
        self.default_type = _JSON if gateway else _BINARY
        self._gateway = gateway
        self._pending = b""
        self._decoder: zlib._Decompress | None = None

    def feed(self, data: bytes) -> bytes:
        if self.answer:
            return self._decoded(data)
        self._pending += data
        if not (parts := prelude.split(self._pending, gateway=self._gateway)):
            return b""
        self.answer = self._undo_coding(prelude.parse(parts[0], gateway=self._gateway))
        return self._decoded(parts[1])

    def finish(self) -> bytes:
        if not self.answer:
            raise BadOutput(f"the response ended before the delimiter of 8 NULs: {self._pending[:60]!r}")
        if self._decoder and not self._decoder.eof:
            raise BadOutput("the response ended within its compressed body")
        return b""

    def _undo_coding(self, answer: Answer) -> Answer:
        coding = (answer.get("content-encoding") or "identity").lower()
        if self._gateway or coding == "identity":
            return answer
        if coding not in {"gzip", "deflate"}:
            return Answer(answer.status, answer.headers, (*answer.notes, f"{coding} is passed on here, AWS decodes it"))
        self._decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        headers = tuple(each for each in answer.headers if each[0].lower() != "content-encoding")
        return Answer(answer.status, headers, (*answer.notes, f"a function URL decodes {coding} and drops the header"))

    def _decoded(self, data: bytes) -> bytes:
        if not self._decoder:
            return data
        try:
            return self._decoder.decompress(data)
        except zlib.error as error:
            raise BadOutput(f"the body is not what its content-encoding says: {error}") from error


class Collected:
    """The whole of it at the end, read by ``interpret``: what a buffered caller gets."""

    def __init__(self, interpret: Callable[[bytes], tuple[Answer, str, bytes]]) -> None:
        self.answer: Answer | None = None
        self.default_type = _JSON
        self._interpret = interpret
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes:
        self._data += data
        return b""

    def finish(self) -> bytes:
        self.answer, self.default_type, body = self._interpret(bytes(self._data))
        return body


def as_it_is(data: bytes) -> tuple[Answer, str, bytes]:
    """A buffered result that a streaming function URL was given."""
    return Answer(200, ()), _JSON, data


def verbatim(data: bytes) -> tuple[Answer, str, bytes]:
    """A streamed response that a buffered function URL was given: prelude, NULs and all, as the body."""
    return Answer(200, ()), _BINARY, data


def head_alone(data: bytes) -> tuple[Answer, str, bytes]:
    """The same at a buffered API: it reads the prelude, and loses the body. Raises ``BadOutput``."""
    if not (parts := prelude.split(data, gateway=True)):
        raise BadOutput("the response ended before the delimiter of 8 NULs")
    return prelude.parse(parts[0], gateway=True), _JSON, b""


def url_result(data: bytes) -> tuple[Answer, str, bytes]:
    """A buffered result in payload format 2.0: without ``statusCode`` it is itself the body. Raises ``BadOutput``."""
    result = _json(data)
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result, separators=(",", ":"))
        return Answer(200, ()), _JSON, body.encode()
    return prelude.read_answer(result, gateway=False), _JSON, _body(result)


_REST_KEYS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}


def rest_result(data: bytes) -> tuple[Answer, str, bytes]:
    """A buffered result in payload format 1.0, which REST APIs read strictly. Raises ``BadOutput``."""
    result = _json(data)
    if not isinstance(result, dict) or "statusCode" not in result:
        raise BadOutput(f"the result {data[:60]!r} is not an object with a statusCode")
    if unknown := sorted(result.keys() - _REST_KEYS):
        raise BadOutput(f"the result's key {unknown[0]!r} is not one of {', '.join(sorted(_REST_KEYS))}")
    return prelude.read_answer(result, gateway=True), _JSON, _body(result)


def _json(data: bytes) -> object:
    try:
        result: object = json.loads(data)
    except ValueError as error:
        raise BadOutput(f"the result {data[:60]!r} is not JSON: {error}") from error
    return result


def _body(result: dict[str, object]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadOutput(f"the body is a {type(body).__name__}, not a string")
    if result.get("isBase64Encoded") is not True:
        return body.encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise BadOutput(f"the body {body[:40]!r} is not the Base64 that isBase64Encoded says") from error
