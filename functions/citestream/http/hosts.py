"""Names that this machine's own server may be called by, where nobody has to log in.

A page from anywhere can give its own name this machine's address (DNS rebinding). The browser then takes our answers
for that page's own and lets it read them; only the Host header (RFC 9110, section 7.2) still tells the name.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from citestream.http.problems import Problem, problem_response

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::[0-9]*)?")


class LoopbackHosts:
    """Refuses requests by other names than loopback's with 421. ``/healthz`` tells nothing, and is open to all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        foreign = [] if scope["type"] != "http" or _is_health(scope) else _foreign_hosts(scope)
        app = problem_response(_misdirected(foreign[0])) if foreign else self._app
        await app(scope, receive, send)


def _is_health(scope: Scope) -> bool:
    return bool(scope["path"].removeprefix(scope.get("root_path", "")) == "/healthz")


def _foreign_hosts(scope: Scope) -> list[str]:
    # HTTP/1.0 may leave Host out; browsers never do.
    return [host for host in Headers(scope=scope).getlist("host") if not is_loopback(host)]


def _misdirected(host: str) -> Problem:
    return Problem(
        421,
        f"Without login, this server answers to localhost, 127.0.0.1 and [::1] only, not to {host!r}. "
        "CITESTREAM_ALLOW_OPEN=1 opens it, CITESTREAM_AUTH=jwt asks for a login.",
    )


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine itself: ``localhost``, 127.0.0.0/8 or ``[::1]``, with any port."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
