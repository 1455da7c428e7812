"""Who asks, and what they may read."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.datastructures import Headers

from citestream.errors import StoreUnavailable
from citestream.http.problems import Unauthorized

if TYPE_CHECKING:
    from jwt import PyJWK, PyJWKSet


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; ``kb_ids`` is None for one who may read every knowledge base."""

    sub: str
    kb_ids: frozenset[str] | None = None

    def may_read(self, kb_id: str) -> bool:
        return self.kb_ids is None or kb_id in self.kb_ids


class Callers(Protocol):
    """Identifies callers. Without AWS or with it, this is how a request proves who sent it."""

    async def identify(self, headers: Headers) -> Caller:
        """Raises Unauthorized, or StoreUnavailable where the issuer's keys can't be had."""
        ...


class LocalCaller:
    """Everybody is ``local`` and reads everything (``CITESTREAM_AUTH=none``)."""

    async def identify(self, headers: Headers) -> Caller:
        return Caller("local")


class JwtCallers:
    """Bearer tokens (RFC 6750) that are JWTs (RFC 7519), signed RS256 or ES256 by a key of the issuer's JWKS."""

    def __init__(self, keys: IssuerKeys, issuer: str, audience: str, kb_claim: str, leeway: float) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._kb_claim = kb_claim
        self._leeway = leeway

    async def identify(self, headers: Headers) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("A bearer token is needed: Authorization: Bearer …")
        claims = await self._claims(token.strip())
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise Unauthorized("The token is not valid: its sub names nobody.")
        return Caller(subject, _granted(claims.get(self._kb_claim)))

    async def _claims(self, token: str) -> dict[str, Any]:
        import jwt

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
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid: {error}.") from error


def _granted(claim: Any) -> frozenset[str] | None:
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    granted = frozenset(name for name in names if isinstance(name, str))
    return None if "*" in granted else granted


class IssuerKeys:
    """The issuer's JWKS (RFC 7517), fetched when first needed, kept for five minutes.

    A key id that is not in it makes it be fetched again, at most twice a minute: keys rotate, and anybody can send
    any key id.
    """

    LIFETIME_SECONDS = 300.0
    PAUSE_SECONDS = 30.0

    def __init__(self, issuer: str, jwks_url: str = "") -> None:
        self._issuer = issuer.rstrip("/")
        self._url = jwks_url
        self._set: PyJWKSet | None = None
        self._fetched_at = 0.0
        self._fetching = asyncio.Lock()

    async def find(self, kid: str | None) -> PyJWK:
        """The signing key of that id; the only one, where the token names none. Raises PyJWTError."""
        import jwt

        key = self._lookup(await self._keys(self.LIFETIME_SECONDS), kid)
        if key is None:
            key = self._lookup(await self._keys(self.PAUSE_SECONDS), kid)
        if key is None:
            raise jwt.InvalidKeyError("its key is not one of the issuer's")
        return key

    def _lookup(self, keys: PyJWKSet, kid: str | None) -> PyJWK | None:
        signing = [key for key in keys.keys if key.public_key_use in ("sig", None)]
        if kid is None:
            return signing[0] if len(signing) == 1 else None
        return next((key for key in signing if key.key_id == kid), None)

    async def _keys(self, lifetime: float) -> PyJWKSet:
        async with self._fetching:
            if self._set is None or time.monotonic() - self._fetched_at >= lifetime:
                self._set = await asyncio.to_thread(self._fetch)
                self._fetched_at = time.monotonic()
            return self._set

    def _fetch(self) -> PyJWKSet:
        import jwt

        try:
            return jwt.PyJWKSet.from_dict(_get_json(self._url or self._discover()))
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise StoreUnavailable(f"the keys of {self._issuer} can't be had: {error}") from error

    def _discover(self) -> str:
        """Where the issuer says its keys are (OpenID Connect Discovery 1.0, section 4)."""
        return str(_get_json(f"{self._issuer}/.well-known/openid-configuration").get("jwks_uri", ""))


def _get_json(url: str) -> dict[str, Any]:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"not an HTTP address: {url!r}")
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  the scheme is checked above
        found = json.loads(response.read(1 << 20))
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object")
    return found
