"""What a client asks: the search request's fields, from a JSON body or from a query string, checked alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.datastructures import QueryParams
from starlette.requests import Request

from citestream.answer.history import Turn
from citestream.http.fields import check, query_fields
from citestream.http.problems import Problem

BODY_LIMIT = 64 * 1024
#: Characters of a turn: an answer of a model's, of some 4,000 tokens.
LONGEST_TURN = 16_000
#: Query parameters that carry the cursor and are no fields of the request.
CURSOR_PARAMETERS = ("last_event_id", "lastEventId")


class TurnFields(BaseModel):
    """A turn of the conversation before the question."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TURN)]


class Ask(BaseModel):
    """A search request. ``kb_ids`` None stands for every knowledge base that the caller may read.

    ``history`` is of any length: clients send the whole conversation, whose last turns count.
    Of a list's bad items the first is named: a body has room for thousands.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    kb_ids: Annotated[list[str], Field(min_length=1, fail_fast=True)] | None = None
    top_k: Annotated[int, Field(ge=1, le=20)] | None = None
    include: Annotated[list[Literal["results"]], Field(fail_fast=True)] | None = None
    history: Annotated[list[TurnFields], Field(fail_fast=True)] | None = None

    def canonical(self) -> str:
        """The same for each way to write this request, and for versions of this program that know more fields."""
        return self.model_dump_json(exclude_none=True, exclude=None if self.history else {"history"})

    def turns(self) -> tuple[Turn, ...]:
        return tuple(Turn(turn.role, turn.content) for turn in self.history or ())


async def fields_of_body(request: Request) -> Any:
    """What the JSON body holds, unchecked. Raises Problem 413, 415 or 400, whichever comes first."""
    body = await _read(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "The body must be application/json.", headers={"Accept-Post": "application/json"})
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error


def fields_of_query(parameters: QueryParams) -> dict[str, Any]:
    """The same from a query string, unchecked."""
    given = [(name, value) for name, value in parameters.multi_items() if name not in CURSOR_PARAMETERS]
    return query_fields(given, lists=("kb_ids", "include"), numbers=("top_k",))


def checked(fields: Any) -> Ask:
    """Raises Problem 422, which names every bad field."""
    return check(Ask, fields)


async def _read(request: Request) -> bytes:
    too_large = Problem(413, f"The body is over {BODY_LIMIT} bytes.", headers={"Connection": "close"})
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > BODY_LIMIT:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise too_large
    return bytes(body)
