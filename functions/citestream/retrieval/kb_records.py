"""What is known of knowledge bases, in DynamoDB: the vector index of each, and how much is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from citestream.dynamo import Item, Table, to_item


@dataclass(frozen=True, slots=True)
class KbRecord:
    """A knowledge base: its vector index, what made that, and how many documents and chunks can be found.

    ``entry_count`` counts all documents, also those that can't be read.
    """

    kb_id: str
    index: str
    embedder: str
    dimensions: int
    text_search: bool
    document_count: int = 0
    chunk_count: int = 0
    entry_count: int = 0
    closing: bool = False


class KbRecords:
    """The knowledge bases of a table, all in one partition: each question asks for them. Raises StoreUnavailable."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def all(self) -> list[KbRecord]:
        condition: dict[str, Any] = {"KeyConditionExpression": "pk = :pk", "ConsistentRead": True}
        return [_kb(item) for item in await self._table.query({":pk": "KBS"}, **condition)]

    async def get(self, kb_id: str) -> KbRecord | None:
        item = await self._table.get(_key(kb_id))
        return None if item is None else _kb(item)

    async def add(self, kb: KbRecord) -> bool:
        """False where there is one of that id already."""
        values = asdict(kb)
        item = _key(values.pop("kb_id")) | to_item(values)
        return await self._table.write("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")

    async def close(self, kb: KbRecord) -> bool:
        """Let no document into it any more, where it has none; False where it has, or is another by now."""
        return await self._table.write(
            "update_item",
            Key=_key(kb.kb_id),
            UpdateExpression="SET closing = :closing",
            ConditionExpression="entry_count = :none AND #index = :index",
            ExpressionAttributeNames={"#index": "index"},
            ExpressionAttributeValues=to_item({":closing": True, ":none": 0, ":index": kb.index}),
        )

    async def drop(self, kb: KbRecord) -> None:
        """Forget a knowledge base that was closed, unless it is another by now."""
        await self._table.write(
            "delete_item",
            Key=_key(kb.kb_id),
            ConditionExpression="closing = :closing AND #index = :index",
            ExpressionAttributeNames={"#index": "index"},
            ExpressionAttributeValues=to_item({":closing": True, ":index": kb.index}),
        )

    def count(self, kb: KbRecord, changes: Mapping[str, int]) -> dict[str, Any]:
        """An update for a transaction: adds to the counts of that name where documents may still come in."""
        added = ", ".join(f"{name} :{name}" for name in changes)
        values = {f":{name}": change for name, change in changes.items()}
        return {
            "TableName": self._table.name,
            "Key": _key(kb.kb_id),
            "UpdateExpression": f"ADD {added}",
            "ConditionExpression": "#index = :index AND closing = :closing",
            "ExpressionAttributeNames": {"#index": "index"},
            "ExpressionAttributeValues": to_item(values | {":index": kb.index, ":closing": False}),
        }


def _key(kb_id: str) -> Item:
    return to_item({"pk": "KBS", "sk": kb_id})


def _kb(item: Mapping[str, Any]) -> KbRecord:
    fields = {name: value for name, value in item.items() if name not in ("pk", "sk")}
    return KbRecord(kb_id=item["sk"], **fields)
