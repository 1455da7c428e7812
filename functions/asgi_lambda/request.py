"""An event to an ASGI request: Function URLs and HTTP APIs (payload 2.0), REST APIs (payload 1.0).

Mangum's handlers do most of this, too, but leave out the raw path and the stage, join headers that came apart, and
stumble over what AWS does send: ``headers: null``, a host in brackets, a source that is not told.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlencode

# What a path may hold as it stands; API Gateway decodes some of what a client had encoded.
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


class Context(Protocol):
    """The part of a handler's context that matters here; the platform's own client has another class for it."""

    def get_remaining_time_in_millis(self) -> int: ...


class UnsupportedEvent(ValueError):
    """The event is not an HTTP request as a Function URL, an HTTP API or a REST API sends it."""


Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``version`` is the event's format, which the response has to follow: "1.0" or "2.0"."""

    scope: dict[str, Any]
    body: bytes
    version: str


def http_request(event: Any, context: Context, grace: float) -> HttpRequest:
    """The event as an ASGI scope and its body; ``grace`` as in the package's extension. Raises UnsupportedEvent."""
    try:
        if not isinstance(event["requestContext"], dict) or "elb" in event["requestContext"]:
            raise UnsupportedEvent("the event is not of a Function URL, an HTTP API or a REST API")
        version = "2.0" if "http" in event["requestContext"] else "1.0"
        scope = _scope_2(event) if version == "2.0" else _scope_1(event)
        body = _body(event)
    except (KeyError, TypeError, AttributeError) as error:
        keys = ", ".join(list(event)[:10]) if isinstance(event, dict) else event.__class__.__name__
        raise UnsupportedEvent(f"the event is not an HTTP request ({error!r} is missing or wrong): {keys}") from error
    left = context.get_remaining_time_in_millis() / 1000
    deadline = {"at": time.time() + left, "grace": min(grace, left / 2), "ends_itself": False}
    more = {"aws.event": event, "aws.context": context, "extensions": {"lambda.deadline": deadline}}
    return HttpRequest(scope | more, body, version)


def _scope_2(event: Mapping[str, Any]) -> dict[str, Any]:
    http = event["requestContext"]["http"]
    path = event.get("rawPath") or http["path"] or "/"
    stage = event["requestContext"].get("stage")
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    query = event.get("rawQueryString") or ""
    return _scope(http["method"], path, stage, query, headers.items(), http.get("sourceIp"), http.get("protocol"))


def _scope_1(event: Mapping[str, Any]) -> dict[str, Any]:
    request = event["requestContext"]
    path, whole = event["path"] or "/", request.get("path") or event["path"] or "/"
    # At its own address a REST API's stage is in the one and not in the other; an HTTP API's is in both.
    path = whole if whole.endswith(path.rstrip("/")) else path
    single = {name: [value] for name, value in (event.get("headers") or {}).items()}
    headers = [
        (name, value) for name, values in (event.get("multiValueHeaders") or single).items() for value in values or ()
    ]
    query = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    source = (request.get("identity") or {}).get("sourceIp")
    encoded = urlencode(query, doseq=True)
    return _scope(event["httpMethod"], path, request.get("stage"), encoded, headers, source, request.get("protocol"))


def _scope(
    method: str, path: str, stage: str | None, query: str, headers: Headers, source: str | None, protocol: str | None
) -> dict[str, Any]:
    raw_headers = [(_bytes(name.lower()), _bytes(value)) for name, value in headers]
    known = dict(raw_headers)
    prefix = f"/{stage or '$default'}"
    scheme = known.get(b"x-forwarded-proto", b"https").decode("latin-1")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": (protocol or "HTTP/1.1").removeprefix("HTTP/"),
        "method": method.upper(),
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": quote(path, safe=_PATH_SAFE).encode("ascii"),
        "query_string": quote(query, safe=_PATH_SAFE + "?[]").encode("ascii"),
        "root_path": prefix if f"{path}/".startswith(f"{prefix}/") else "",
        "headers": raw_headers,
        "client": (source, 0) if source else None,
        "server": _server(known, scheme),
    }


def _server(headers: Mapping[bytes, bytes], scheme: str) -> tuple[str, int] | None:
    host, port = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"x-forwarded-port"))
    if found := re.fullmatch(r"(.*):([0-9]{1,5})", host):
        host, port = found.groups()
    default = 443 if scheme == "https" else 80
    return (host.strip("[]"), int(port) if port.isdecimal() else default) if host else None


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnsupportedEvent(f"the event's body is not base64: {error}") from error


def _bytes(text: str) -> bytes:
    """As HTTP had it: a byte for each character; what can't have come so is UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
