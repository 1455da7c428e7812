"""A table of DynamoDB, and its typed values: text, numbers, truth, lists and maps of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from citestream.aws import Aws, Refused
from citestream.errors import StoreUnavailable

Item = dict[str, dict[str, Any]]
#: Who meets another's change of the same item waits for a moment, so often.
TRIES = 10
_PAUSE_SECONDS = 0.05
# Replies say how long they are. One that breaks off in its head looks whole to http.client, and empty: to a read that
# would be a store with nothing in it. A write is done where its status says so.
_READS = frozenset({"get_item", "query"})
_LENGTHS = frozenset({"content-length", "transfer-encoding"})


class Table:
    """A table's operations, in plain values. All raise StoreUnavailable."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.aws = aws
        self.name = name

    async def get(self, key: Item) -> dict[str, Any] | None:
        """The item as it is now; None where there is none."""
        found = await self.call("get_item", Key=key, ConsistentRead=True)
        return from_item(found["Item"]) if "Item" in found else None

    async def query(
        self, values: Mapping[str, Any], limit: int | None = None, **condition: Any
    ) -> list[dict[str, Any]]:
        """The items of all pages, or the first ``limit``."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {} if limit is None else {"Limit": limit}
        while True:
            page = await self.call("query", ExpressionAttributeValues=to_item(values), **condition, **more)
            found += map(from_item, page["Items"])
            if "LastEvaluatedKey" not in page or (limit is not None and len(found) >= limit):
                return found[:limit]
            more["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def write(self, operation: str, **arguments: Any) -> bool:
        """Do a conditional operation on one item; False where its condition does not hold."""
        for attempt in range(TRIES):
            try:
                await self.call(operation, **arguments)
                return True
            except Refused as error:
                if error.code == "ConditionalCheckFailedException":
                    return False
                if error.code != "TransactionConflictException":
                    raise
            await pause(attempt)
        raise StoreUnavailable(f"too many transactions of one item of {self.name} at a time")

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        found = await self.aws.call("dynamodb", operation, TableName=self.name, **arguments)
        if operation in _READS and _LENGTHS.isdisjoint(found["ResponseMetadata"]["HTTPHeaders"]):
            raise StoreUnavailable(f"dynamodb {operation} of {self.name}: the reply broke off")
        return found


async def pause(attempt: int) -> None:
    """Wait at random, since others wait for the same; up to twice as long at each attempt."""
    await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * 2**attempt))  # noqa: S311  no secret


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
