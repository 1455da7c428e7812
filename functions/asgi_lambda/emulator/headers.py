"""What Lambda's front ends make of a function's response headers."""

from __future__ import annotations

from collections.abc import Set

from asgi_lambda.emulator.prelude import Answer

# The front end's own connection and body: where these are not renamed, they go.
_DROPPED = {
    "connection",
    "content-length",
    "date",
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


def for_caller(answer: Answer, renamed: Set[str], *, default_type: str) -> list[tuple[str, str]]:
    """The headers that reach the caller, the platform's own not yet among them."""
    headers = []
    for name, value in answer.headers:
        if name.lower() in renamed:
            headers.append((f"x-amzn-Remapped-{name}", value))
        elif name.lower() not in _DROPPED:
            headers.append((name, value))
    if answer.get("content-type") is None and answer.status not in _BODYLESS:
        headers.append(("Content-Type", default_type))
    return headers


def lost_on_the_way(answer: Answer, renamed: Set[str]) -> list[str]:
    """Notes on headers whose loss a client would feel."""
    if "www-authenticate" not in renamed or answer.get("www-authenticate") is None:
        return []
    return ["WWW-Authenticate reaches the caller as x-amzn-Remapped-WWW-Authenticate"]
