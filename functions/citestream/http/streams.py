"""The stream endpoint: replay, resume, cancel."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from citestream.errors import StoreUnavailable
from citestream.http.ask import CURSOR_PARAMETERS
from citestream.http.callers import Caller, Callers
from citestream.http.deadline import deadline_of
from citestream.http.negotiation import require_stream
from citestream.http.problems import Problem
from citestream.model import may_see
from citestream.retrieval.index import Index
from citestream.sse.cursor import Cursor, MalformedCursor, parse_cursor
from citestream.sse.frames import HEARTBEAT
from citestream.sse.response import HEADERS, EventStreamResponse
from citestream.streams.entry import Entry, to_frame
from citestream.streams.hub import Hub
from citestream.streams.log import StreamRecord

_LOG = logging.getLogger("citestream.http")

_NOT_FOUND = "No such stream."


class StreamEndpoint:
    """``/api/v1/streams/{stream_id}``."""

    def __init__(self, callers: Callers, index: Index, hub: Hub) -> None:
        self._callers = callers
        self._index = index
        self._hub = hub

    async def endpoint(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        if request.method == "DELETE":
            return await self._cancel(caller, request.path_params["stream_id"])
        require_stream(request.headers)
        return await self.resume(request, caller, request.path_params["stream_id"], cursor_of(request))

    async def _cancel(self, caller: Caller, stream_id: str) -> Response:
        record = await self._owned(caller, stream_id)
        if record.ended_at is None:
            await self._hub.cancel(record.stream_id)
        return Response(status_code=204)

    async def resume(self, request: Request, caller: Caller, stream_id: str, cursor: Cursor | None) -> Response:
        """The stream's events after the cursor. Raises Problem 400, 404 or 410; 204 where nothing is left."""
        if cursor is not None and cursor.stream_id != stream_id:
            raise Problem(404, _NOT_FOUND)
        record = await self._readable(caller, stream_id)
        after = cursor.n if cursor else 0
        if after > record.last:
            raise Problem(400, "Last-Event-ID is beyond the stream's last event.")
        if record.ended_at is not None and after == record.last:
            return Response(status_code=204)
        if request.method == "HEAD":
            return head(HEADERS)
        return respond(request, stream_id, self._entries(caller, record, after))

    async def entries(self, caller: Caller, stream_id: str) -> AsyncGenerator[Entry | None]:
        """All that the stream has, for a reader that collects it. Raises Problem 404 or 410."""
        return self._entries(caller, await self._readable(caller, stream_id), 0)

    async def _readable(self, caller: Caller, stream_id: str) -> StreamRecord:
        record = await self._owned(caller, stream_id)
        if record.ended_at is not None and time.time() - record.ended_at > self._hub.limits.retention:
            raise Problem(410, "The stream has ended and is no longer kept.")
        if not await self._may_read(caller, record):
            raise Problem(404, _NOT_FOUND)
        return record

    def _entries(self, caller: Caller, record: StreamRecord, after: int) -> AsyncGenerator[Entry | None]:
        entries = self._hub.follow(record.stream_id, after)
        if caller.principals is not None and not record.documents:
            return self._once_readable(caller, record.stream_id, entries)
        return entries

    async def _may_read(self, caller: Caller, record: StreamRecord) -> bool:
        """Whether all that the answer is written from is the caller's to read now. What has been removed, nobody
        withholds."""
        if not all(map(caller.may_read, record.kb_ids)):
            return False
        if caller.principals is None or not record.documents:
            return True
        access = await self._index.access(record.documents)
        return all(may_see(each, caller.principals) for each in access.values())

    async def _once_readable(
        self, caller: Caller, stream_id: str, entries: AsyncGenerator[Entry | None]
    ) -> AsyncGenerator[Entry | None]:
        """The entries of a stream whose documents were not known: they are, if there are any, with its first entry.

        Where they are not the caller's to read, or the log has lost them (the entry has no number then), nothing comes.
        """
        async with aclosing(entries):
            checked = False
            async for entry in entries:
                if entry is not None and not checked:
                    record = await self._hub.record(stream_id)
                    if entry.n is None or record is None or not await self._may_read(caller, record):
                        _LOG.warning("stream %s is broken off: who came back may not read it", stream_id)
                        return
                    checked = True
                yield entry

    async def _owned(self, caller: Caller, stream_id: str) -> StreamRecord:
        record = await self._hub.record(stream_id)
        if record is None or record.owner != caller.sub:
            raise Problem(404, _NOT_FOUND)
        return record


def respond(request: Request, stream_id: str, entries: AsyncGenerator[Entry | None]) -> Response:
    """The stream's entries as frames, to their end, or until the request must be over."""
    deadline = deadline_of(request.scope)
    until = deadline.readers if deadline else None
    # Where the stream is read again; ``root_path`` is a deployment's stage.
    location = f"{request.scope.get('root_path', '')}/api/v1/streams/{stream_id}"
    return EventStreamResponse(_chunks(stream_id, entries), {"Location": location}, until)


def head(headers: Mapping[str, str]) -> Response:
    """What GET would send before its body, whose length nobody knows yet (RFC 9110, section 8.6: then none is told)."""
    response = Response(headers=headers)
    del response.headers["content-length"]
    return response


def cursor_of(request: Request) -> Cursor | None:
    """The client's cursor; the header wins over the query parameter. Raises Problem 400."""
    given = [request.headers.get("last-event-id"), *map(request.query_params.get, CURSOR_PARAMETERS)]
    text = next((each for each in given if each), None)
    if text is None:
        return None
    try:
        return parse_cursor(text)
    except MalformedCursor as error:
        raise Problem(400, f"Last-Event-ID is malformed: {error}.") from error


async def _chunks(stream_id: str, entries: AsyncGenerator[Entry | None]) -> AsyncGenerator[bytes]:
    """The frames. A stream whose log fails ends without a terminal event, which tells its reader to come back."""
    try:
        async with aclosing(entries):
            async for entry in entries:
                yield HEARTBEAT if entry is None else to_frame(entry, stream_id)
    except StoreUnavailable as error:
        _LOG.error("stream %s is broken off: %s", stream_id, error)
