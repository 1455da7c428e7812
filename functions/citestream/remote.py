"""``citestream ask --url``: a question's events from a server, which may be any: what it sends is not trusted.

Whatever is not as the API has it, or has no end, is AskFailed.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import httpx
import httpx_sse
import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: One event: its name and its data.
Named = tuple[str, dict[str, Any]]
_RECONNECTS = 5
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
# Ours are far below: a frame has 16 KiB, twenty passages and an answer less than a megabyte.
_LONGEST_LINE = 1 << 20
_LONGEST_BODY = 64 << 20
_LONGEST_DETAIL = 1000


class AskFailed(Exception):
    """There is no answer; the message says why."""


class _Data(BaseModel):
    model_config = ConfigDict(strict=True)


class _Token(_Data):
    text: str


class _Citation(_Data):
    number: Annotated[int, Field(ge=1)]
    document_name: str
    kb_id: str
    excerpt: str
    page: int | None
    section: str | None


class _Results(_Data):
    results: list[dict[str, Any]]


class _Done(_Data):
    confidence_score: Annotated[int, Field(ge=0, le=100)]
    finish_reason: str
    # They are gathered from the events before it.
    answer: None = None
    citations: None = None
    results: None = None


class _Failure(_Data):
    code: str
    message: str
    retryable: bool


_SHAPES: dict[str, type[_Data]] = {
    "token": _Token,
    "citation": _Citation,
    "results": _Results,
    "done": _Done,
    "failure": _Failure,
}


async def remote_events(url: str, question: str, kb_ids: Sequence[str]) -> AsyncGenerator[Named]:
    """Ask a server, and come back to the answer where the connection breaks. Raises AskFailed.

    The token of ``CITESTREAM_TOKEN`` is sent along. Leaving early cancels the answer.
    """
    body = {"query": question, "include": ["results"]} | ({"kb_ids": list(kb_ids)} if kb_ids else {})
    # Heartbeats come every 3 s; a silence of 15 s is a dead connection.
    async with httpx.AsyncClient(base_url=_checked(url), headers=_headers(), timeout=httpx.Timeout(15)) as client:
        reader = _Reader(client)
        ended = False
        try:
            request = client.build_request("POST", "api/v1/search", json=body)
            while not ended:
                async with aclosing(reader.read(request)) as events:
                    async for name, data in events:
                        ended = name in ("done", "failure")
                        yield name, data
                        if ended:
                            break
                if not ended:
                    request = await reader.resumption()
        finally:
            if not ended:
                await reader.cancel()


def _checked(url: str) -> httpx.URL:
    try:
        checked = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise AskFailed(f"{url!r} is no URL: {error}") from error
    if checked.scheme not in ("http", "https") or not checked.host or (checked.port or 0) > 65535:
        raise AskFailed(f"{url!r} is no address of a server: http://HOST:PORT is")
    return checked


def _headers() -> dict[str, str]:
    # Not compressed: a few bytes could become any number.
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    if token := os.environ.get("CITESTREAM_TOKEN"):
        if not (token.isascii() and token.isprintable()):
            raise AskFailed("CITESTREAM_TOKEN holds characters that are in no token")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _same_origin(url: httpx.URL, location: str) -> str:
    """The address of the stream, which gets the caller's token: at no other server than the one that was asked."""
    try:
        found = url.join(location)
    except httpx.InvalidURL as error:
        raise AskFailed(f"the answer is said to be at {location!r}: {error}") from error
    if (found.scheme, found.host, found.port) != (url.scheme, url.host, url.port):
        raise AskFailed(f"the answer is said to be at another server: {found}")
    return str(found)


class _Reader:
    """One answer over as many connections as it takes."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._location = ""
        self._last_id = ""
        self._reconnects = 0

    async def read(self, request: httpx.Request) -> AsyncGenerator[Named]:
        """The events of one connection; ends quietly where it breaks after the stream has begun."""
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            if self._location:
                return
            raise AskFailed(
                f"{request.url.copy_with(path='/')} does not answer: {error or type(error).__name__}"
            ) from error
        try:
            async with aclosing(self._events(response)) as events:
                async for event in events:
                    yield event
        except httpx_sse.SSEError as error:
            raise AskFailed(f"{request.url} does not answer with a stream of events: {error}") from error
        except httpx.HTTPError:
            return
        finally:
            await response.aclose()

    async def _events(self, response: httpx.Response) -> AsyncGenerator[Named]:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise AskFailed("the server sends its answer in an encoding that it was not asked for")
        if response.status_code != 200:
            raise AskFailed(await _problem(response))
        if "Location" in response.headers:
            self._location = _same_origin(response.url, response.headers["Location"])
        response.encoding = "utf-8"  # whatever it says of itself (WHATWG HTML, section 9.2.5)
        async with aclosing(httpx_sse.EventSource(response).aiter_sse()) as events:
            async for event in events:
                if event.event in _SHAPES:
                    yield event.event, _data(event)
                    self._last_id = event.id

    async def resumption(self) -> httpx.Request:
        """The request that goes on where the last connection broke. Raises AskFailed after too many."""
        self._reconnects += 1
        if not self._location or self._reconnects > _RECONNECTS:
            raise AskFailed("the connection broke, and the answer could not be resumed")
        await asyncio.sleep(min(0.25 * 2**self._reconnects, 3))
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        return self._client.build_request("GET", self._location, headers=headers)

    async def cancel(self) -> None:
        if self._location:
            try:
                request = self._client.build_request("DELETE", self._location)
                await (await self._client.send(request, stream=True)).aclose()
            except httpx.HTTPError:
                return  # it ends by itself, within its time limit


class _Bounded(httpx.AsyncByteStream):
    """A body with an end, in lines with an end."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = line = 0
        async for chunk in self._stream:
            body += len(chunk)
            line = len(chunk) - end if (end := chunk.rfind(b"\n") + 1) else line + len(chunk)
            if line > _LONGEST_LINE or body > _LONGEST_BODY:
                raise AskFailed("the server sends more than an answer can be")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _data(event: httpx_sse.ServerSentEvent) -> dict[str, Any]:
    """The event's data. Raises AskFailed where it, or the event's id, is not as the API has it."""
    if event.id and not _ID.fullmatch(event.id):
        raise AskFailed(f"the server sends a {event.event} with a bad id: {event.id[:100]!r}")
    try:
        data: dict[str, Any] = pydantic_core.from_json(event.data, allow_inf_nan=False)
        _SHAPES[event.event].model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "data"
        raise AskFailed(f"the server sends a bad {event.event}: {where}: {first['msg']}") from error
    except ValueError as error:
        raise AskFailed(f"the server sends a {event.event} that is not JSON: {error}") from error
    return data


async def _problem(response: httpx.Response) -> str:
    """What a response that is no stream says."""
    status = response.status_code
    if response.has_redirect_location:
        return f"{status}: the server sends to another address, which is not followed: {response.headers['location']}"
    try:
        detail = pydantic_core.from_json(await response.aread())["detail"]
    except (ValueError, LookupError, TypeError):
        detail = None
    return f"{status}: {detail[:_LONGEST_DETAIL] if isinstance(detail, str) else 'not an answer of Citestream'}"
