"""What a request needs to have an answer produced: its key, where it has one, and a slot among its caller's answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol


class KeyReused(Exception):
    """The key was given with another request, whose answer can still be read."""


class TooManyAnswers(Exception):
    """All of the caller's slots are taken; ``seconds`` from now the next one can be free."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the next slot can be free in {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An idempotency key. ``name`` stands for the caller and the key, ``digest`` for what is asked."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Which stream is, or is about to be, produced for a key; ``claimed_at`` is in Unix seconds."""

    stream_id: str
    digest: str
    claimed_at: float


class Admission(Protocol):
    """Keys and slots, shared by all who share the log. Every method raises StoreUnavailable."""

    async def claimed(self, key: str) -> Claim | None: ...

    async def claim(self, key: str, claim: Claim, stale: str | None = None) -> Claim:
        """Claim the key, also where the stream ``stale`` has it. Returns the claim that stands."""
        ...

    async def withdraw(self, key: str, stream_id: str) -> None:
        """Give the key back, where this stream has it. A claim that is left of it was made in 1970."""
        ...

    async def take_slot(self, owner: str, stream_id: str, until: float, limit: int) -> float | None:
        """Take one of the owner's ``limit`` slots until then. Where all are taken: in how many seconds one expires."""
        ...

    async def renew_slot(self, owner: str, stream_id: str, until: float) -> None: ...

    async def release_slot(self, owner: str, stream_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a stream among its owner's answers."""

    admission: Admission
    owner: str
    stream_id: str

    async def take(self, until: float, limit: int) -> float | None:
        """None, or in how many seconds one of the slots expires, which are all taken."""
        return await self.admission.take_slot(self.owner, self.stream_id, until, limit)

    async def renew(self, until: float) -> None:
        await self.admission.renew_slot(self.owner, self.stream_id, until)

    async def release(self) -> None:
        await self.admission.release_slot(self.owner, self.stream_id)


def request_key(owner: str, key: str, request: str) -> RequestKey:
    """The key that this owner has given with this request, in a form that depends on what is asked alone."""
    return RequestKey(digest(f"{owner}\0{key}"), digest(request))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
