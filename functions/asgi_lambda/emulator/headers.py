"""What Lambda's front ends make of a function's response headers."""

from __future__ import annotations

from asgi_lambda.emulator.prelude import Answer

# Known of function URLs and REST APIs alike: the value arrives, under another name. An HTTP API leaves them alone.
_REMAPPED = {"content-length", "www-authenticate", "date", "server", "connection"}
_HOP_BY_HOP = {
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_BODYLESS = {204, 304}


def for_caller(answer: Answer, *, default_type: str) -> list[tuple[str, str]]:
    """The headers that reach the caller, the platform's own not yet among them."""
    headers = [(_renamed(name), value) for name, value in answer.headers if name.lower() not in _HOP_BY_HOP]
    if answer.get("content-type") is None and answer.status not in _BODYLESS:
        headers.append(("Content-Type", default_type))
    return headers


def _renamed(name: str) -> str:
    return f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name


def lost_on_the_way(answer: Answer) -> list[str]:
    """Notes on headers whose loss a client would feel."""
    if answer.get("www-authenticate") is None:
        return []
    return ["WWW-Authenticate reaches the caller as x-amzn-Remapped-WWW-Authenticate"]
