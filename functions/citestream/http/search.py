"""The search endpoint: everything that can be refused is refused before a byte leaves, then one production runs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from citestream.answer.pipeline import DEFAULT_TOP_K, Pipeline, Question
from citestream.http.ask import Ask, checked, fields_of_body, fields_of_query
from citestream.http.callers import Caller, Callers
from citestream.http.deadline import deadline_of
from citestream.http.negotiation import JSON, wants_stream
from citestream.http.problems import FAILURE_STATUS, NO_KNOWLEDGE_BASE, Problem, problem_response
from citestream.http.streams import StreamEndpoint, cursor_of, head, respond, stream_path
from citestream.retrieval.index import Index
from citestream.sse.response import HEADERS as STREAM_HEADERS
from citestream.streams.collected import Collected
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub

_JSON_HEADERS = {
    "Content-Type": JSON,
    "Vary": "Accept",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class SearchEndpoint:
    """``/api/v1/search``, by POST and by GET."""

    def __init__(self, callers: Callers, index: Index, pipeline: Pipeline, hub: Hub, streams: StreamEndpoint) -> None:
        self._callers = callers
        self._index = index
        self._pipeline = pipeline
        self._hub = hub
        self._streams = streams

    async def search(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        streaming = wants_stream(request.headers)
        is_post = request.method == "POST"
        fields = await fields_of_body(request) if is_post else fields_of_query(request.query_params)
        cursor = cursor_of(request) if streaming else None  # its 400 comes before the fields' 422
        ask = checked(fields)
        if cursor is not None and request.method != "HEAD":
            return await self._streams.resume(request, caller, cursor.stream_id, cursor)
        kb_ids = await self._readable(caller, ask)
        if request.method == "HEAD":
            return head(STREAM_HEADERS if streaming else _JSON_HEADERS)
        question = Question(
            ask.query,
            tuple(kb_ids),
            ask.top_k or DEFAULT_TOP_K,
            results=not streaming or "results" in (ask.include or ()),
            principals=caller.principals,
        )
        deadline = deadline_of(request.scope)
        stream_id = await self._hub.start(
            caller.sub,
            lambda stream_id: self._pipeline.events(question, stream_id),
            deadline.answer if deadline else None,
            question.kb_ids,
        )
        if streaming:
            location = {"Location": stream_path(request, stream_id)}
            return respond(request, stream_id, self._hub.follow(stream_id), location)
        return await _collected(self._hub.follow(stream_id))

    async def _readable(self, caller: Caller, ask: Ask) -> list[str]:
        """The knowledge bases to search. Raises Problem 404, which tells nothing about what others may read."""
        readable = [kb_id for kb_id in await self._index.kb_ids() if caller.may_read(kb_id)]
        if ask.kb_ids is None:
            return readable
        if not set(ask.kb_ids) <= set(readable):
            raise Problem(404, NO_KNOWLEDGE_BASE)
        return list(dict.fromkeys(ask.kb_ids))


async def _collected(entries: AsyncGenerator[Entry | None]) -> Response:
    """The JSON answer: what a reader of the stream would have put together."""
    collected = Collected()
    async with aclosing(entries):
        async for entry in entries:
            if entry is not None:
                collected.add(entry.event, json.loads(entry.data))
    if (failure := collected.failure) is None:
        return JSONResponse(collected.body(), headers=_JSON_HEADERS)
    more = {"code": failure["code"], "retryable": failure["retryable"]}
    problem = Problem(FAILURE_STATUS[failure["code"]], failure["message"], headers={"Vary": "Accept"}, **more)
    return problem_response(problem)
