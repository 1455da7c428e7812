"""An ASGI response to what Lambda takes: a prelude before a streamed body, or one JSON object around a whole one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

#: The type of a streamed response that begins with a prelude.
STREAM_TYPE = "application/vnd.awslambda.http-integration-response"
#: The most bytes of a prelude, its delimiter included (AWS: "Configure a Lambda proxy integration with payload
#: response streaming").
PRELUDE_LIMIT = 16 * 1024
#: The most bytes of a response that is not streamed (AWS: Lambda quotas).
BUFFERED_LIMIT = 6 * 1024 * 1024

_DELIMITER = bytes(8)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(rb"[\r\n\0]")
# Hop by hop (RFC 9110, section 7.6.1), or Lambda's to tell.
_DROPPED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade content-length date server".split()
)
_TEXT = re.compile(r"text/|application/([a-z0-9.+-]*\+)?(json|xml|javascript)\b", re.IGNORECASE)


class BadResponse(ValueError):
    """The app's response can't be sent."""


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]], version: str) -> dict[str, Any]:
    """The head in the format of the event's ``version``. Raises BadResponse."""
    named: dict[str, list[str]] = {}
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise BadResponse(f"the response header {name!r} has a name or value that HTTP forbids")
        if name.lower() not in _DROPPED:
            named.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    head: dict[str, Any] = {"statusCode": status}
    if version == "1.0":
        head["headers"] = {name: values[0] for name, values in named.items() if len(values) == 1}
        if several := {name: values for name, values in named.items() if len(values) > 1}:
            head["multiValueHeaders"] = several
        return head
    cookies = named.pop("set-cookie", [])
    head["headers"] = {name: ", ".join(values) for name, values in named.items()}
    return head | {"cookies": cookies} if cookies else head


def prelude(head: dict[str, Any]) -> bytes:
    """What a streamed response begins with. Raises BadResponse where it is too long."""
    encoded = json.dumps(head, separators=(",", ":")).encode() + _DELIMITER
    if len(encoded) > PRELUDE_LIMIT:
        raise BadResponse(f"the response's head is over {PRELUDE_LIMIT} bytes")
    return encoded


def whole(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    """A response that is not streamed, as an object: its body is text where that is told and true, else base64."""
    text = None
    if _TEXT.match(head["headers"].get("content-type", "")) and "content-encoding" not in head["headers"]:
        with suppress(UnicodeDecodeError):
            text = body.decode()
    encoded = base64.b64encode(body).decode() if text is None else text
    return head | {"body": encoded, "isBase64Encoded": text is None}


def buffered(head: dict[str, Any], body: bytes) -> bytes:
    """The same as JSON. Raises BadResponse where it is too long."""
    payload = json.dumps(whole(head, body), separators=(",", ":"), ensure_ascii=False).encode()
    if len(payload) > BUFFERED_LIMIT:
        raise BadResponse(f"the response is over {BUFFERED_LIMIT} bytes, which a buffered one can't be")
    return payload
