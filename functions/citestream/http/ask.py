"""What a client asks: the search request's fields, from a JSON body or from a query string, checked alike."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request

from citestream.http.problems import InvalidFields, Problem

BODY_LIMIT = 64 * 1024
#: Query parameters that carry the cursor and are no fields of the request.
CURSOR_PARAMETERS = ("last_event_id", "lastEventId")


class Ask(BaseModel):
    """A search request. ``kb_ids`` None stands for every knowledge base that the caller may read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    kb_ids: Annotated[list[str], Field(min_length=1)] | None = None
    top_k: Annotated[int, Field(ge=1, le=20)] | None = None
    include: list[Literal["results"]] | None = None


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
    """The same from a query string, unchecked: what is given more than once is a list."""
    given: dict[str, list[str]] = {}
    for name, value in parameters.multi_items():
        if name not in CURSOR_PARAMETERS:
            given.setdefault(name, []).append(value)
    return {name: _value(name, values) for name, values in given.items()}


def checked(fields: Any) -> Ask:
    """Raises Problem 422, which names every bad field."""
    try:
        return Ask.model_validate(fields)
    except ValidationError as error:
        raise InvalidFields([_field_error(each) for each in error.errors(include_url=False)]) from None


def _value(name: str, values: list[str]) -> Any:
    if name in ("kb_ids", "include"):
        return [each for value in values for each in value.split(",") if value]
    if len(values) > 1:
        return values
    if name == "top_k" and re.fullmatch("[0-9]{1,9}", values[0]):
        return int(values[0])
    return values[0]


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


def _field_error(error: Any) -> tuple[str, str]:
    field = ".".join(str(part) for part in error["loc"]) or "body"
    return field, error["msg"].removeprefix("Value error, ")
