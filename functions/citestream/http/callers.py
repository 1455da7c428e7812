"""Who asks, and what they may read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers

from citestream.model import may_see


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    ``kb_ids`` is None for one who may read every knowledge base; ``principals``, the names that documents may be for,
    is None for one from whom no document of these is withheld.
    """

    sub: str
    kb_ids: frozenset[str] | None = None
    principals: frozenset[str] | None = None

    def may_read(self, kb_id: str) -> bool:
        return self.kb_ids is None or kb_id in self.kb_ids

    def may_see(self, kb_id: str, access: tuple[str, ...] | None) -> bool:
        """Whether a document of this knowledge base, with this list of principals, is for the caller."""
        return self.may_read(kb_id) and may_see(access, self.principals)


class Callers(Protocol):
    """Identifies callers. Without AWS or with it, this is how a request proves who sent it."""

    async def identify(self, headers: Headers) -> Caller:
        """Raises Unauthorized, or StoreUnavailable where the issuer's keys can't be had."""
        ...


class LocalCaller:
    """Everybody is ``local`` and reads everything (``CITESTREAM_AUTH=none``)."""

    async def identify(self, headers: Headers) -> Caller:
        return Caller("local")
