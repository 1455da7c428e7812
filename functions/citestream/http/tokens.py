"""Callers by JWT, and the issuer's keys that their tokens are checked with. Needs PyJWT."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx
import jwt
import pydantic_core
from starlette.datastructures import Headers

from citestream.errors import StoreUnavailable
from citestream.http.callers import Caller
from citestream.http.problems import Unauthorized

_LOG = logging.getLogger("citestream.http")

_LARGEST_REPLY = 1 << 20
# Each principal is a term of every query's filter. Issuers cap groups themselves (Entra at 200, Cognito at 100).
_MOST_PRINCIPALS = 500
_LONGEST_PRINCIPAL = 128


class JwtCallers:
    """Bearer tokens (RFC 6750) that are JWTs (RFC 7519), signed RS256 or ES256 by a key of the issuer's JWKS.

    A caller's principals are its ``sub`` and what the groups claim lists, the first 500 of them.
    """

    def __init__(
        self,
        keys: IssuerKeys,
        issuer: str,
        audience: str,
        kb_claim: str,
        leeway: float,
        groups_claim: str = "groups",
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._kb_claim = kb_claim
        self._leeway = leeway
        self._groups_claim = groups_claim

    async def identify(self, headers: Headers) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("A bearer token is needed: Authorization: Bearer …")
        claims = await self._claims(token.strip())
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise Unauthorized("The token is not valid: its sub names nobody.")
        return Caller(
            subject, _granted(claims.get(self._kb_claim)), _principals(subject, claims.get(self._groups_claim))
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
            return jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                # `iat` says nothing about validity, and clocks differ by a second or two.
                options={"require": ["exp", "sub", "iss", "aud"], "verify_iat": False},
            )
        except (jwt.PyJWTError, RecursionError) as error:  # the latter of lists within lists within lists …
            raise Unauthorized(f"The token is not valid: {error}.") from error


def _granted(claim: Any) -> frozenset[str] | None:
    granted = frozenset(_names(claim))
    return None if "*" in granted else granted


def _principals(subject: str, groups: Any) -> frozenset[str]:
    """Who the caller is, as documents name it: what no list of principals can hold is left out."""
    named = dict.fromkeys(name for name in (subject, *_names(groups)) if _is_principal(name))
    if len(named) > _MOST_PRINCIPALS:
        _LOG.warning("%r has %d principals: the first %d count", subject[:100], len(named), _MOST_PRINCIPALS)
    return frozenset(islice(named, _MOST_PRINCIPALS))


def _is_principal(name: str) -> bool:
    """Whether a document's list may hold it, by the rules of ``ingest.access``."""
    return 1 <= len(name) <= _LONGEST_PRINCIPAL and name != "*" and name.isprintable()


def _names(claim: Any) -> Iterator[str]:
    """The strings of a claim that is a list, or one string of names with spaces in between."""
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return (name for name in names if isinstance(name, str))


class IssuerKeys:
    """The issuer's JWKS (RFC 7517), fetched when first needed, asked for again after five minutes.

    A key id that is not in it makes it be fetched again, at most twice a minute: keys rotate, and anybody can send
    any key id. While the issuer can't be reached, the keys there are stay good, and it is asked again now and then:
    its outage must not be ours.
    """

    LIFETIME_SECONDS = 300.0
    PAUSE_SECONDS = 30.0
    FAILURE_PAUSE_SECONDS = 5.0
    FETCH_SECONDS = 10.0

    def __init__(self, issuer: str, jwks_url: str = "") -> None:
        self._issuer = issuer.rstrip("/")
        self._url = jwks_url
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = -math.inf
        self._failed_at = -math.inf
        self._fetching = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWK:
        """The signing key of that id; the only one, where the token names none. Raises PyJWTError, StoreUnavailable."""
        key = self._lookup(kid)
        # While one request asks the issuer again, the others go on with the keys there are.
        if key is None or not self._fetching.locked():
            await self._refresh(self.PAUSE_SECONDS if key is None else self.LIFETIME_SECONDS)
            key = self._lookup(kid)
        if not self._keys:
            raise StoreUnavailable(f"there are no keys of {self._issuer} yet")
        if key is None:
            raise jwt.InvalidKeyError("its key is not one of the issuer's")
        return key

    def _lookup(self, kid: str | None) -> jwt.PyJWK | None:
        signing = [key for key in self._keys if key.public_key_use in ("sig", None)]
        if kid is None:
            return signing[0] if len(signing) == 1 else None
        return next((key for key in signing if key.key_id == kid), None)

    async def _refresh(self, lifetime: float) -> None:
        """Fetch the keys if they are older than that, unless this failed a moment ago."""
        async with self._fetching:
            due = max(self._fetched_at + lifetime, self._failed_at + self.FAILURE_PAUSE_SECONDS)
            if time.monotonic() < due:
                return
            try:
                async with asyncio.timeout(self.FETCH_SECONDS), await asyncio.to_thread(_client) as client:
                    self._keys = await self._fetch(client)
                self._fetched_at = time.monotonic()
            # A garbled reply fails in as many ways as there are to garble one.
            except (
                *(OSError, httpx.HTTPError, httpx.InvalidURL),
                *(ValueError, TypeError, AttributeError, jwt.PyJWTError),
            ) as error:
                self._failed_at = time.monotonic()
                _LOG.error("the keys of %s can't be had: %r", self._issuer, error)

    async def _fetch(self, client: httpx.AsyncClient) -> list[jwt.PyJWK]:
        url = self._url or await self._discover(client)
        return jwt.PyJWKSet.from_dict(await _get_json(client, url)).keys

    async def _discover(self, client: httpx.AsyncClient) -> str:
        """Where the issuer says its keys are (OpenID Connect Discovery 1.0, section 4)."""
        found = await _get_json(client, f"{self._issuer}/.well-known/openid-configuration")
        return str(found.get("jwks_uri", ""))


def _client() -> httpx.AsyncClient:
    """One that trusts whom the system trusts. To make it takes some 40 ms."""
    headers = {"Accept-Encoding": "identity"}
    return httpx.AsyncClient(verify=ssl.create_default_context(), headers=headers, follow_redirects=True, timeout=5)


async def _get_json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url) as response:
        response.raise_for_status()
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _LARGEST_REPLY:
                raise ValueError(f"{url} has more than {_LARGEST_REPLY} bytes")
    found = pydantic_core.from_json(body)
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object")
    return found
