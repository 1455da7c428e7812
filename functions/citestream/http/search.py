"""The search endpoint: everything that can be refused is refused before a byte leaves, then one production runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from citestream.answer.pipeline import DEFAULT_TOP_K, Pipeline, Question
from citestream.errors import StoreUnavailable
from citestream.http.ask import Ask, checked, fields_of_body, fields_of_query
from citestream.http.callers import Caller, Callers
from citestream.http.deadline import deadline_of
from citestream.http.negotiation import JSON, wants_stream
from citestream.http.problems import FAILURE_STATUS, NO_KNOWLEDGE_BASE, InvalidFields, Problem, problem_response
from citestream.http.streams import StreamEndpoint, cursor_of, head, respond
from citestream.retrieval.index import Index
from citestream.sse.cursor import Cursor
from citestream.sse.response import HEADERS as STREAM_HEADERS
from citestream.streams.admission import KeyReused, RequestKey, TooManyAnswers, request_key
from citestream.streams.collected import Collected
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub

_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
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
        # Their 400 comes before the fields' 422.
        cursor = cursor_of(request) if streaming else None
        key_text = _key_of(request) if is_post else None
        ask = checked(fields)
        key = request_key(caller.sub, key_text, ask.canonical()) if key_text is not None else None
        try:
            if key is not None and (stream_id := await self._hub.stream_of(key)) is not None:
                return await self._join(request, caller, stream_id, cursor, streaming=streaming)
            if cursor is not None and request.method != "HEAD":
                return await self._streams.resume(request, caller, cursor.stream_id, cursor)
            kb_ids = await self._readable(caller, ask)
            if request.method == "HEAD":
                return head(STREAM_HEADERS if streaming else _JSON_HEADERS)
            return await self._answer(request, caller, ask, kb_ids, key, streaming=streaming)
        except KeyReused:
            raise InvalidFields([("Idempotency-Key", "was given with another request")]) from None

    async def _answer(
        self, request: Request, caller: Caller, ask: Ask, kb_ids: list[str], key: RequestKey | None, *, streaming: bool
    ) -> Response:
        question = Question(
            ask.query,
            tuple(kb_ids),
            ask.top_k or DEFAULT_TOP_K,
            results=not streaming or "results" in (ask.include or ()),
            principals=caller.principals,
            history=ask.turns(),
        )
        deadline = deadline_of(request.scope)
        try:
            stream_id, is_new = await self._hub.admit(
                caller.sub,
                lambda stream_id: self._pipeline.events(question, stream_id),
                deadline.answer if deadline else None,
                question.kb_ids,
                key,
            )
        except TooManyAnswers as error:
            wait = {"Retry-After": str(max(1, math.ceil(error.seconds)))}
            limit = self._hub.limits.answers
            raise Problem(429, f"{limit} of your answers are being written; no more at a time.", headers=wait) from None
        if not is_new:
            return await self._join(request, caller, stream_id, None, streaming=streaming)
        entries = self._hub.follow(stream_id)
        return respond(request, stream_id, entries) if streaming else await _collected(entries)

    async def _join(
        self, request: Request, caller: Caller, stream_id: str, cursor: Cursor | None, *, streaming: bool
    ) -> Response:
        """The answer that the first request with this key has started."""
        if streaming:
            return await self._streams.resume(request, caller, stream_id, cursor)
        return await _collected(await self._streams.entries(caller, stream_id))

    async def _readable(self, caller: Caller, ask: Ask) -> list[str]:
        """The knowledge bases to search. Raises Problem 404, which tells nothing about what others may read."""
        readable = [kb_id for kb_id in await self._index.kb_ids() if caller.may_read(kb_id)]
        if ask.kb_ids is None:
            return readable
        if not set(ask.kb_ids) <= set(readable):
            raise Problem(404, NO_KNOWLEDGE_BASE)
        return list(dict.fromkeys(ask.kb_ids))


def _key_of(request: Request) -> str | None:
    """The request's idempotency key. Raises Problem 400."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Problem(400, "Idempotency-Key must be one of 1 to 128 letters, digits, '.', '_' and '-'.")
    return given[0]


async def _collected(entries: AsyncGenerator[Entry | None]) -> Response:
    """The JSON answer: what a reader of the stream would have put together. Raises StoreUnavailable."""
    collected = Collected()
    async with aclosing(entries):
        async for entry in entries:
            if entry is not None:
                collected.add(entry.event, json.loads(entry.data))
    if not collected.ended:
        raise StoreUnavailable("a stream that was to be collected is broken off")
    if (failure := collected.failure) is None:
        return JSONResponse(collected.body(), headers=_JSON_HEADERS)
    more = {"code": failure["code"], "retryable": failure["retryable"]}
    problem = Problem(FAILURE_STATUS[failure["code"]], failure["message"], headers={"Vary": "Accept"}, **more)
    return problem_response(problem)
