"""DynamoDB's typed values and ours: text, numbers, truth, lists and maps of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = dict[str, dict[str, Any]]


def to_item(values: Mapping[str, Any]) -> Item:
    """The attributes of an item, or of an expression; those that are None are left out."""
    return {name: _typed(value) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in item.items()}


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, Mapping):
        return {"M": to_item(value)}
    if isinstance(value, list | tuple):
        return {"L": [_typed(each) for each in value]}
    raise TypeError(f"{type(value).__name__} has no place in an item")


def _plain(typed: Mapping[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    if kind == "N":
        return float(value) if "." in value or "e" in value.lower() else int(value)
    if kind == "M":
        return from_item(value)
    if kind == "L":
        return [_plain(each) for each in value]
    return value
