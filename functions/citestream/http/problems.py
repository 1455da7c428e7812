"""Errors as clients see them: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import FailureCode

_LOG = logging.getLogger("citestream.http")

#: Told of a knowledge base that is not there and of one that the caller may not read: the same, to the byte.
NO_KNOWLEDGE_BASE = "No such knowledge base."

#: The status of an answer that failed, where it was asked for as JSON.
FAILURE_STATUS: dict[FailureCode, int] = {
    "upstream_error": 502,
    "timeout": 504,
    "producer_lost": 503,
    "cancelled": 409,
    "internal_error": 500,
}


class Problem(Exception):
    """A request that is refused. ``extra`` members stand beside the standard ones."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


class Unauthorized(Problem):
    """No valid token (RFC 6750)."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail, headers={"WWW-Authenticate": "Bearer"})


class InvalidFields(Problem):
    """Fields that break a rule: ``(field, message)`` each."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        listed = [{"field": field, "message": message} for field, message in errors]
        super().__init__(422, "; ".join(f"{field}: {message}" for field, message in errors), errors=listed)


def problem_response(problem: Problem) -> Response:
    title = HTTPStatus(problem.status).phrase
    body = {"type": "about:blank", "title": title, "status": problem.status, "detail": problem.detail}
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} | problem.headers
    return JSONResponse(body | problem.extra, problem.status, headers, media_type="application/problem+json")


async def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such route, no such method."""
    assert isinstance(error, HTTPException)
    return problem_response(Problem(error.status_code, error.detail, headers=error.headers))


async def on_store_unavailable(request: Request, error: Exception) -> Response:
    _LOG.error("%s %r: %s", request.method, request.url.path, error)
    return problem_response(Problem(503, "The store does not answer; try again.", headers={"Retry-After": "1"}))


async def on_client_left(request: Request, error: Exception) -> Response:
    """The client left while it sent its request. Nobody reads this, and nothing of ours went wrong."""
    return problem_response(Problem(400, "The request was not sent to its end."))


async def on_error(request: Request, error: Exception) -> Response:
    """Anything unforeseen. Starlette raises it again, for the server to log its stack trace; the client gets none."""
    return problem_response(Problem(500, "Something went wrong on our side."))


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Problem: on_problem,
    HTTPException: on_http_exception,
    StoreUnavailable: on_store_unavailable,
    WrongIndex: on_store_unavailable,
    ClientDisconnect: on_client_left,
    Exception: on_error,
}


class OnlyProblems:
    """Around an app: what others refuse in plain text (a range of a file, a CORS preflight) is a problem, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Message | None = None
        text = b""

        async def rewriting(message: Message) -> None:
            nonlocal refusal, text
            if message["type"] == "http.response.start" and _is_plain_refusal(message):
                refusal = message
            elif refusal is None:
                await send(message)
            else:
                text += message.get("body", b"")
                if not message.get("more_body"):
                    await _as_problem(refusal, text)(scope, receive, send)

        await self._app(scope, receive, rewriting)


def _is_plain_refusal(start: Message) -> bool:
    plain = Headers(raw=start["headers"]).get("content-type", "").startswith("text/plain")
    return bool(plain and start["status"] >= 400)


def _as_problem(start: Message, text: bytes) -> Response:
    kept = Headers(raw=start["headers"]).mutablecopy()
    for name in ("content-type", "content-length"):
        del kept[name]
    detail = text.decode(errors="replace") or HTTPStatus(start["status"]).phrase
    return problem_response(Problem(start["status"], detail, headers=kept))
