"""A request's fields, checked against a model that names every bad one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from citestream.http.problems import InvalidFields

M = TypeVar("M", bound=BaseModel)


def query_fields(
    parameters: Iterable[tuple[str, str]], *, lists: Collection[str] = (), numbers: Collection[str] = ()
) -> dict[str, Any]:
    """The fields of a query string, unchecked: what is given more than once is a list."""
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    return {name: _value(values, name in lists, name in numbers) for name, values in given.items()}


def check(model: type[M], fields: Any) -> M:
    """The model's instance of these fields. Raises Problem 422, which names every bad field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidFields([_field_error(each) for each in error.errors(include_url=False)]) from None


def _value(values: list[str], is_list: bool, is_number: bool) -> Any:
    if is_list:
        return [each for value in values for each in value.split(",") if value]
    if len(values) > 1:
        return values
    if is_number and re.fullmatch("[0-9]{1,9}", values[0]):
        return int(values[0])
    return values[0]


def _field_error(error: Any) -> tuple[str, str]:
    field = ".".join(str(part) for part in error["loc"]) or "body"
    if error["type"] == "model_type":  # names a class of ours
        return field, "Input should be an object"
    return field, error["msg"].removeprefix("Value error, ")
