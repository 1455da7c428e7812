"""``citestream ask``: a question's events, from the index on this machine or from a server, shown in a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import click
import httpx
import httpx_sse

from citestream.answer.pipeline import Question
from citestream.app import open_engine
from citestream.settings import Settings
from citestream.streams.collected import Collected

#: One event: its name and its data.
Named = tuple[str, dict[str, Any]]
_RECONNECTS = 5
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class AskFailed(Exception):
    """There is no answer; the message says why."""


async def local_events(settings: Settings, question: str, kb_ids: Sequence[str]) -> AsyncGenerator[Named]:
    """Ask the index on this machine, without a server. Raises AskFailed."""
    engine = open_engine(settings)
    try:
        known = await engine.index.kb_ids()
        if not known:
            raise AskFailed(f"there are no documents in {settings.data}: citestream ingest PATH --kb NAME adds some")
        if missing := [kb_id for kb_id in kb_ids if kb_id not in known]:
            raise AskFailed(f"no such knowledge base: {', '.join(missing)} (there are: {', '.join(known) or 'none'})")
        asked = Question(question, tuple(kb_ids or known), results=True)
        stream_id = await engine.hub.start("local", lambda stream_id: engine.pipeline.events(asked, stream_id))
        async with aclosing(engine.hub.follow(stream_id)) as entries:
            async for entry in entries:
                if entry is not None:
                    yield entry.event, json.loads(entry.data)
    finally:
        await engine.aclose()


async def remote_events(url: str, question: str, kb_ids: Sequence[str]) -> AsyncGenerator[Named]:
    """Ask a server, and come back to the answer where the connection breaks. Raises AskFailed.

    The token of ``CITESTREAM_TOKEN`` is sent along. Leaving early cancels the answer.
    """
    body = {"query": question, "include": ["results"]} | ({"kb_ids": list(kb_ids)} if kb_ids else {})
    headers = {"Accept": "text/event-stream"}
    if token := os.environ.get("CITESTREAM_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    # Heartbeats come every 3 s; a silence of 15 s is a dead connection.
    async with httpx.AsyncClient(base_url=_checked(url), headers=headers, timeout=httpx.Timeout(15)) as client:
        reader = _Reader(client)
        ended = False
        try:
            request = client.build_request("POST", "api/v1/search", json=body)
            while not ended:
                async with aclosing(reader.read(request)) as events:
                    async for name, data in events:
                        ended = name in ("done", "failure")
                        yield name, data
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


def _same_origin(url: httpx.URL, location: str) -> str:
    """The address of the stream, which gets the caller's token: at no other server than the one that was asked."""
    found = url.join(location)
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
            if response.status_code != 200:
                raise AskFailed(_problem(response.status_code, await response.aread()))
            if "Location" in response.headers:
                self._location = _same_origin(response.url, response.headers["Location"])
            async for event in httpx_sse.EventSource(response).aiter_sse():
                self._last_id = event.id or self._last_id
                yield event.event, json.loads(event.data)
        except httpx_sse.SSEError as error:
            raise AskFailed(f"{request.url} does not answer with a stream of events: {error}") from error
        except httpx.HTTPError:
            return
        finally:
            await response.aclose()

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
                await self._client.delete(self._location)
            except httpx.HTTPError:
                return  # it ends by itself, within its time limit


def _problem(status: int, body: bytes) -> str:
    try:
        return f"{status}: {json.loads(body)['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{status}: not an answer of Citestream"


async def show(events: AsyncGenerator[Named], *, as_json: bool) -> bool:
    """Print the answer as it comes and its sources below, or one JSON object at the end. False where it failed."""
    collected = Collected()
    async with aclosing(events):
        async for name, data in events:
            collected.add(name, data)
            if name == "token" and not as_json:
                click.echo(_printable(data["text"]), nl=False)
    if as_json:
        click.echo(json.dumps(collected.failure or collected.body(), ensure_ascii=False))
    elif collected.failure:
        click.echo(f"\nFailed: {_printable(collected.failure['message'])}", err=True)
    else:
        click.echo(f"\n{_printable(sources(collected.body()))}")
    return collected.failure is None


def _printable(text: str) -> str:
    """Without what a terminal would obey instead of showing it."""
    return _CONTROL.sub("", text)


def sources(answer: dict[str, Any]) -> str:
    """The sources below an answer, and how far it can be trusted."""
    lines = ["", "Sources"] if answer["citations"] else []
    for citation in answer["citations"]:
        place = [citation["document_name"]]
        if citation["page"]:
            place.append(f"page {citation['page']}")
        if citation["section"]:
            place.append(citation["section"])
        excerpt = " ".join(citation["excerpt"].split())
        lines += [f"[{citation['number']}] {', '.join(place)} ({citation['kb_id']})", f"    “{excerpt}”"]
    return "\n".join([*lines, "", f"Confidence {answer['confidence_score']} of 100"])
