"""Durable Streams, another project's protocol, over our stream log: what its conformance suite asks is asked of ours.

As little as possible is done here. A message is an event of the log, an offset is our event id. Nothing is remembered
beside the log: what may be appended is seen in what it holds, and that this still holds when it is written is the work
of the log's fence. Readers follow as ours do, and get our frames in our response.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from itertools import cycle
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from citestream.sse.cursor import Cursor, MalformedCursor, parse_cursor
from citestream.sse.frames import HEARTBEAT, frame, to_json
from citestream.sse.response import EventStreamResponse
from citestream.streams.entry import Entry, to_frame
from citestream.streams.hub import Hub
from citestream.streams.log import Fenced, StreamLog, StreamRecord
from tests.streams import LIMITS

#: The events that its readers know, where ours know others.
EVENT_NAMES = frozenset({"data", "control"})
# Longer than the suite takes: no reader is to find that a producer was lost.
_LEASE_SECONDS = 3600


class Producer(NamedTuple):
    """Who appends, after how many restarts, and the number of the message since then."""

    name: str
    epoch: int
    seq: int

    def headers(self) -> dict[str, str]:
        return {"Producer-Epoch": str(self.epoch), "Producer-Seq": str(self.seq)}


class DurableStreams:
    """Answers each request from the next of the logs, as instances behind one address do."""

    def __init__(self, logs: Iterable[StreamLog]) -> None:
        self._instances = cycle([(log, Hub(log, LIMITS)) for log in logs])

    def app(self) -> Starlette:
        endpoints = {"PUT": self._create, "POST": self._append, "GET": self._read}
        return Starlette(routes=[Route("/v1/stream/{id}", each, methods=[name]) for name, each in endpoints.items()])

    async def _create(self, request: Request) -> Response:
        log, _ = next(self._instances)
        stream_id = request.path_params["id"]
        await log.create(StreamRecord(stream_id, "", "", time.time() + _LEASE_SECONDS))
        # The log knows no content types: a stream's first event says its own.
        opening = Entry(1, "opening", to_json(request.headers["content-type"]))
        await log.append(stream_id, secrets.token_hex(8), opening)
        if await request.body() or _closes(request):
            appended = await self._append(request)
            return Response(status_code=201, headers=appended.headers)
        return Response(status_code=201, headers=_state(stream_id, 1, closed=False))

    async def _append(self, request: Request) -> Response:
        log, _ = next(self._instances)
        stream_id, body, producer = request.path_params["id"], await request.body(), _producer(request)
        if not body and not _closes(request):
            raise HTTPException(400, "neither a message nor the end")
        while True:
            entries = await log.read(stream_id, 0)
            if not entries:
                raise HTTPException(404)
            content = _content(entries[0], request.headers["content-type"], body) if body else None
            if (answer := _settled(stream_id, entries, producer, content)) is not None:
                return answer
            data = to_json({"content": content, "producer": producer})
            entry = Entry(len(entries) + 1, "done" if _closes(request) else "message", data)
            try:
                await log.append(stream_id, secrets.token_hex(8), entry)
            except Fenced:
                continue  # somebody else's came first: whether this one may follow is to be seen again
            state = _state(stream_id, len(entries) + 1, closed=entry.final)
            numbers = producer.headers() if producer else {}
            return Response(status_code=200 if body and producer else 204, headers=state | numbers)

    async def _read(self, request: Request) -> Response:
        log, hub = next(self._instances)
        record = await hub.record(request.path_params["id"])
        if record is None:
            raise HTTPException(404)
        state = _state(record.stream_id, record.last, closed=record.ended_at is not None)
        if request.method == "HEAD":
            return Response(headers=state)
        after = _after(request, record)
        opening, *messages = await log.read(record.stream_id, 0)
        if request.query_params.get("live") == "sse":
            headers = {"Stream-SSE-Data-Encoding": "base64"} if _kind(opening) == "bytes" else {}
            return EventStreamResponse(_chunks(hub, record, after), headers)
        body = _body(_kind(opening), messages[after - 1 : record.last - 1])
        return Response(body, headers=state | {"Stream-Up-To-Date": "true"})


# --- what is asked


def _closes(request: Request) -> bool:
    return request.headers.get("stream-closed") == "true"


def _producer(request: Request) -> Producer | None:
    name, *numbers = (request.headers.get(f"producer-{each}") for each in ("id", "epoch", "seq"))
    if name is None and numbers == [None, None]:
        return None
    if not name or not all(re.fullmatch(r"[0-9]+", number or "") for number in numbers):
        raise HTTPException(400, "a producer has a name and two numbers")
    epoch, seq = (int(number or "") for number in numbers)
    return Producer(name, epoch, seq)


def _after(request: Request, record: StreamRecord) -> int:
    """The number of the last event that the reader has; every reader has the first one."""
    offset = request.query_params.get("offset")
    if offset is None and "live" in request.query_params:
        raise HTTPException(400, "who follows says from where")
    if offset in (None, "-1"):
        return 1
    if offset == "now":
        return record.last
    try:
        return parse_cursor(offset or "").n
    except MalformedCursor as error:
        raise HTTPException(400, str(error)) from error


# --- messages


def _kind(opening: Entry) -> str:
    content_type: str = json.loads(opening.data)
    if content_type == "application/json":
        return "json"
    return "text" if content_type.startswith("text/") else "bytes"


def _content(opening: Entry, content_type: str, body: bytes) -> Any:
    """What a message says: text as a token of ours does, JSON values as a list, and bytes in base64."""
    if content_type != json.loads(opening.data):
        raise HTTPException(409, "the stream has another content type")
    if _kind(opening) == "bytes":
        return b64encode(body).decode()
    if _kind(opening) == "text":
        return {"text": body.decode()}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise HTTPException(400, "not JSON") from error
    if value == []:
        raise HTTPException(400, "no message")
    return value if isinstance(value, list) else [value]


def _body(kind: str, messages: Sequence[Entry]) -> bytes:
    contents = [content for each in messages if (content := json.loads(each.data)["content"]) is not None]
    if kind == "json":
        return to_json([value for values in contents for value in values]).encode()
    if kind == "text":
        return "".join(content["text"] for content in contents).encode()
    return b"".join(map(b64decode, contents))


# --- what is answered


def _state(stream_id: str, n: int, *, closed: bool) -> dict[str, str]:
    return {"Stream-Next-Offset": str(Cursor(stream_id, n))} | ({"Stream-Closed": "true"} if closed else {})


def _settled(stream_id: str, entries: Sequence[Entry], producer: Producer | None, content: Any) -> Response | None:
    """The answer to what has been appended already, or must not be; None where it may follow these events."""
    state = _state(stream_id, len(entries), closed=entries[-1].final)
    if producer is not None and (refusal := _refusal(producer, _last_of(producer.name, entries))) is not None:
        status, numbers = refusal
        return Response(status_code=status, headers=state | numbers)
    if entries[-1].final:
        return Response(status_code=204 if content is None and producer is None else 409, headers=state)
    return None


def _refusal(producer: Producer, last: Producer) -> tuple[int, dict[str, str]] | None:
    """Status and headers for a message that does not follow its producer's last one."""
    if producer.epoch < last.epoch:
        return 403, last.headers()
    expected = last.seq + 1 if producer.epoch == last.epoch else 0
    if producer.seq < expected:
        return 204, last.headers()
    if producer.seq == expected:
        return None
    if producer.epoch > last.epoch >= 0:
        return 400, {}
    return 409, {"Producer-Expected-Seq": str(expected), "Producer-Received-Seq": str(producer.seq)}


def _last_of(name: str, entries: Sequence[Entry]) -> Producer:
    """The producer as its newest message says it is; before its first epoch where it has none."""
    for entry in reversed(entries[1:]):
        numbers = json.loads(entry.data)["producer"]
        if numbers is not None and numbers[0] == name:
            return Producer(*numbers)
    return Producer(name, -1, -1)


async def _chunks(hub: Hub, record: StreamRecord, after: int) -> AsyncGenerator[bytes]:
    if after == record.last:
        yield _control(record.stream_id, after, up_to_date=True, closed=record.ended_at is not None)
    async with aclosing(hub.follow(record.stream_id, after)) as entries:
        async for entry in entries:
            yield HEARTBEAT if entry is None else _frames(entry, record)


def _frames(entry: Entry, record: StreamRecord) -> bytes:
    """The message and, after it, where a reader comes back to."""
    n = entry.n or 0
    control = _control(record.stream_id, n, up_to_date=n >= record.last, closed=entry.final)
    content = json.loads(entry.data)["content"]
    if content is None:  # all that it says is that the stream has ended
        return control
    data = content if isinstance(content, str) else to_json(content)
    return to_frame(Entry(n, "data", data), record.stream_id) + control


def _control(stream_id: str, n: int, *, up_to_date: bool, closed: bool) -> bytes:
    state: dict[str, Any] = {"streamNextOffset": str(Cursor(stream_id, n))}
    # By the cursor, a time, shared caches tell old answers from new ones. Nobody comes back to what has ended.
    state |= {"streamClosed": True} if closed else {"streamCursor": str(int(time.time()) // 20)}
    return frame("control", to_json(state | ({"upToDate": True} if up_to_date else {})))
