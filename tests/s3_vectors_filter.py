"""S3 Vectors' metadata filters: read once, then asked of the metadata of every vector.

Where AWS's user guide is silent: a vector without the key passes ``$ne`` and ``$nin``, and each value of ``$in`` and
``$nin`` counts as a constraint of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

Metadata = Mapping[str, Any]
Filter = Callable[[Metadata], bool]
MAX_CONSTRAINTS = 100


class BadFilter(ValueError):
    """The message says which part of the filter breaks which rule."""


def parse_filter(document: object, non_filterable: Collection[str]) -> Filter:
    """What the filter says of a vector's metadata. Raises BadFilter."""
    if (constraints := _count(document)) > MAX_CONSTRAINTS:
        raise BadFilter(f"a filter has at most {MAX_CONSTRAINTS} constraints, this one has {constraints}")
    return _all_of(document, non_filterable)


def is_primitive(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def _count(document: object) -> int:
    if isinstance(document, Mapping):
        return sum(_count(value) for value in document.values())
    if isinstance(document, Sequence) and not isinstance(document, str):
        return sum(_count(value) for value in document)
    return 1


def _all_of(document: object, non_filterable: Collection[str]) -> Filter:
    if not isinstance(document, Mapping) or not document:
        raise BadFilter(f"a filter is an object with at least one condition, not {document!r}")
    conditions = [_entry(key, value, non_filterable) for key, value in document.items()]
    return lambda metadata: all(condition(metadata) for condition in conditions)


def _entry(key: str, value: object, non_filterable: Collection[str]) -> Filter:
    if key in ("$and", "$or"):
        if not isinstance(value, list) or not value:
            raise BadFilter(f"{key} takes a list of at least one filter, not {value!r}")
        filters = [_all_of(each, non_filterable) for each in value]
        together = all if key == "$and" else any
        return lambda metadata: together(each(metadata) for each in filters)
    if key.startswith("$"):
        raise BadFilter(f"{key} is no operator between filters")
    if key in non_filterable:
        raise BadFilter(f"the metadata key {key!r} is not filterable")
    return _condition(key, value)


def _condition(key: str, value: object) -> Filter:
    if not isinstance(value, Mapping):
        return _comparison(key, "$eq", value)
    if not value:
        raise BadFilter(f"the condition on {key!r} is empty")
    comparisons = [_comparison(key, operator, operand) for operator, operand in value.items()]
    return lambda metadata: all(comparison(metadata) for comparison in comparisons)


def _comparison(key: str, operator: str, operand: Any) -> Filter:
    if operator not in _OPERATORS:
        raise BadFilter(f"{operator} is no operator on a metadata key")
    takes, accepts, holds = _OPERATORS[operator]
    if not accepts(operand):
        raise BadFilter(f"{operator} takes {takes}, not {operand!r}")
    return lambda metadata: holds(_values(metadata, key), operand)


def _values(metadata: Metadata, key: str) -> Sequence[Any]:
    """A list matches by any of its elements."""
    value = metadata.get(key, ())
    return value if isinstance(value, list | tuple) else (value,)


def _same(value: object, operand: object) -> bool:
    return isinstance(value, bool) == isinstance(operand, bool) and value == operand  # in Python, 1 == True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _among(values: Sequence[Any], operands: Sequence[Any]) -> bool:
    return any(_same(value, operand) for value in values for operand in operands)


def _ordered(holds: Callable[[float, float], bool]) -> Callable[[Sequence[Any], Any], bool]:
    return lambda values, operand: any(_is_number(value) and holds(value, operand) for value in values)


def _is_list_of_primitives(operand: object) -> bool:
    return isinstance(operand, list) and bool(operand) and all(map(is_primitive, operand))


_A_PRIMITIVE = ("a string, a number or a boolean", is_primitive)
_A_NUMBER = ("a number", _is_number)
_A_LIST = ("a list of at least one string, number or boolean", _is_list_of_primitives)
_OPERATORS: dict[str, tuple[str, Callable[[object], bool], Callable[[Sequence[Any], Any], bool]]] = {
    "$eq": (*_A_PRIMITIVE, lambda values, operand: _among(values, (operand,))),
    "$ne": (*_A_PRIMITIVE, lambda values, operand: not _among(values, (operand,))),
    "$gt": (*_A_NUMBER, _ordered(lambda value, operand: value > operand)),
    "$gte": (*_A_NUMBER, _ordered(lambda value, operand: value >= operand)),
    "$lt": (*_A_NUMBER, _ordered(lambda value, operand: value < operand)),
    "$lte": (*_A_NUMBER, _ordered(lambda value, operand: value <= operand)),
    "$in": (*_A_LIST, _among),
    "$nin": (*_A_LIST, lambda values, operands: not _among(values, operands)),
    "$exists": ("a boolean", lambda value: isinstance(value, bool), lambda values, operand: bool(values) is operand),
    "$startsWith": (
        *("a string", lambda value: isinstance(value, str)),
        lambda values, operand: any(isinstance(value, str) and value.startswith(operand) for value in values),
    ),
}
