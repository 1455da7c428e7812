"""The response that carries a stream of events, and owns its clean-up.

Starlette's StreamingResponse leaves its generator open when a send fails, and under ASGI 2.4 does not watch for the
client's leaving. Here the generator's ``finally`` has run when the call returns, whatever ended it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from citestream.sse.frames import OPEN

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


class EventStreamResponse(Response):
    """Sends ``: open`` at once, then each chunk as it comes, until the chunks or the client end, or at ``until``.

    ``until`` is in seconds since 1970. A stream that is left then has had no terminal event: its reader comes back.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None, until: float | None = None
    ) -> None:
        self._chunks = chunks
        self._until = until
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS | dict(headers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks):
            sender = asyncio.create_task(self._send(send))
            listener = asyncio.create_task(_client_left(receive))
            try:
                await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sender.cancel()
                listener.cancel()
                outcome, _ = await asyncio.gather(sender, listener, return_exceptions=True)
            # OSError is how a server says that the client has gone (ASGI 2.4): nothing went wrong here.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": OPEN, "more_body": True})
        try:
            async with asyncio.timeout(None if self._until is None else self._until - time.time()) as limit:
                async for chunk in self._chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            if not limit.expired():
                raise  # it was not ours
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
