"""Idempotency keys: whoever repeats a request gets the stream that the first one has started."""

from __future__ import annotations

import asyncio
import time

from citestream.errors import StoreUnavailable
from citestream.streams.admission import Claim, KeyReused, RequestKey
from citestream.streams.log import StreamLog

# A claim whose stream has not begun by then is a crashed process's: longer than a slot and a record take to be
# written by the most patient of the stores.
_CLAIM_SECONDS = 15.0
# Clients wait some 5 s for a first byte.
_PATIENCE_SECONDS = 4.0
_POLL_SECONDS = 0.05


class Keys:
    """A key stands for its stream until that has ended, and ``retention`` seconds more."""

    def __init__(self, log: StreamLog, retention: float) -> None:
        self._log = log
        self._retention = retention

    async def stream_of(self, key: RequestKey) -> str | None:
        """The stream that the key stands for, once it has begun; None for none. Raises KeyReused, StoreUnavailable."""
        claim = await self._log.admission.claimed(key.name)
        return claim.stream_id if claim is not None and await self._stands(claim, key) else None

    async def claim(self, key: RequestKey, stream_id: str) -> str:
        """Let the key stand for a stream that is about to begin; returns the other one where another request was
        faster. Raises KeyReused, StoreUnavailable."""
        stale = None
        while True:
            ours = Claim(stream_id, key.digest, time.time())
            claim = await self._log.admission.claim(key.name, ours, stale)
            if claim.stream_id == stream_id or await self._stands(claim, key):
                return claim.stream_id
            stale = claim.stream_id

    async def withdraw(self, key: RequestKey, stream_id: str) -> None:
        await self._log.admission.withdraw(key.name, stream_id)

    async def _stands(self, claim: Claim, key: RequestKey) -> bool:
        if claim.claimed_at == 0:  # withdrawn, though its record may be there: nobody knew that it was written
            return False
        patient_until = time.monotonic() + _PATIENCE_SECONDS
        while (record := await self._log.get(claim.stream_id)) is None:
            now = await self._log.admission.claimed(key.name)
            if now is None or now.stream_id != claim.stream_id or now.claimed_at + _CLAIM_SECONDS < time.time():
                return False
            _check(claim, key)
            if time.monotonic() >= patient_until:
                raise StoreUnavailable(f"stream {claim.stream_id} has its key, and does not begin")
            await asyncio.sleep(_POLL_SECONDS)
        if (record.ended_at or record.lease_until) + self._retention < time.time():
            return False
        _check(claim, key)
        return True


def _check(claim: Claim, key: RequestKey) -> None:
    if claim.digest != key.digest:
        raise KeyReused
