"""The events that Lambda's front ends make of a request: payload 2.0 of a function URL, 1.0 of a REST API."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from asgi_lambda.emulator.http1 import Head

_ACCOUNT = "123456789012"
_API_ID = "emulator"
# What the front end's own connection to the client is about; Lambda has no use for it.
_NOT_PASSED_ON = {"connection", "expect", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
_TEXT_TYPES = {"application/json", "application/javascript", "application/xml", "application/ecmascript"}


@dataclass(frozen=True)
class Request:
    """A request as the front end has it. ``at`` is in Unix seconds."""

    head: Head
    body: bytes
    source_ip: str
    request_id: str
    trace_root: str
    at: float

    @property
    def path(self) -> str:
        return self.head.target.partition("?")[0] or "/"

    @property
    def query(self) -> str:
        return self.head.target.partition("?")[2]

    @property
    def host(self) -> str:
        return self.head.get("host") or ""


def url_event(request: Request) -> dict[str, Any]:
    """Payload 2.0: the path still encoded, header names in lower case, repeated headers joined, cookies apart."""
    headers: dict[str, str] = {}
    for name, values in _grouped((name.lower(), value) for name, value in _all_headers(request)).items():
        headers[name] = (";" if name == "cookie" else ",").join(values)
    cookies = [each.strip() for each in headers.pop("cookie", "").split(";") if each.strip()]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": _API_ID,
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "http": {
                "method": request.head.method,
                "path": unquote(request.path),
                "protocol": f"HTTP/{request.head.version}",
                "sourceIp": request.source_ip,
                "userAgent": request.head.get("user-agent") or "",
            },
            "requestId": request.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _clf_time(request.at),
            "timeEpoch": int(request.at * 1000),
        },
        **_body(request),
    }
    if cookies:
        event["cookies"] = cookies
    if query := parse_qsl(request.query, keep_blank_values=True):
        event["queryStringParameters"] = {name: ",".join(values) for name, values in _grouped(query).items()}
    return event


def rest_event(request: Request, stage: str) -> dict[str, Any]:
    """Payload 1.0 of a greedy ``{proxy+}`` resource. The request's path begins with ``/{stage}``."""
    path = request.path.removeprefix(f"/{stage}") or "/"
    proxy = path.lstrip("/")
    headers = _grouped(_all_headers(request))
    query = _grouped(parse_qsl(request.query, keep_blank_values=True))
    return {
        "resource": "/{proxy+}" if proxy else "/",
        "path": path,
        "httpMethod": request.head.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": _API_ID,
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "extendedRequestId": request.request_id,
            "httpMethod": request.head.method,
            "identity": {"sourceIp": request.source_ip, "userAgent": request.head.get("user-agent")},
            "path": request.path,
            "protocol": f"HTTP/{request.head.version}",
            "requestId": request.request_id,
            "requestTime": _clf_time(request.at),
            "requestTimeEpoch": int(request.at * 1000),
            "resourceId": "emulator",
            "resourcePath": "/{proxy+}" if proxy else "/",
            "stage": stage,
        },
        **({"body": None, "isBase64Encoded": False} | _body(request)),
    }


def _all_headers(request: Request) -> list[tuple[str, str]]:
    return [
        *((name, value) for name, value in request.head.headers if name.lower() not in _NOT_PASSED_ON),
        ("X-Amzn-Trace-Id", f"Root={request.trace_root}"),
        ("X-Forwarded-For", request.source_ip),
        ("X-Forwarded-Port", request.host.rpartition(":")[2] if ":" in request.host else "80"),
        ("X-Forwarded-Proto", "http"),
    ]


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {"isBase64Encoded": False}
    if _is_text(request.head.get("content-type") or ""):
        try:
            return {"body": request.body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass  # whatever it says it is, it can't stand in a JSON string
    return {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True}


def _is_text(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml"))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _last(grouped: dict[str, list[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in grouped.items()}


def _clf_time(at: float) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))
