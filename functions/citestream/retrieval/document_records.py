"""What is known of documents and knowledge bases, in DynamoDB: which version of a document answers are made from.

A document's record has a revision. Whoever changes a document reads the record first, then what the record is to
say, and writes only where the revision is still the same: whatever was read meanwhile is of that revision, or newer.
A record outlives its document by longer than a message about it can lie in the queue, so that late comers know the
revision of a document that is gone.

Each version that may have left something in the vector index or the bucket of texts has an attribute of the record,
written before the version's first part is: what a crash leaves behind is found by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from citestream.aws import Refused
from citestream.dynamo import TRIES, Item, Table, from_item, pause, to_item
from citestream.errors import StoreUnavailable
from citestream.model import Access, DocumentEntry
from citestream.retrieval.kb_records import KbRecord, KbRecords
from citestream.retrieval.vector_store import Version

_KEPT_SECONDS = 15 * 86_400
_LEFT = "left_"
_MOST_GETS = 100
_LONGEST_KEY = 1_024
# Why a transaction may be cancelled that is fine: documents of one knowledge base share its record.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class Outdated(Exception):
    """Another change of the document came first: read again, and decide again."""


class Closed(Outdated):
    """The knowledge base was removed with its last document meanwhile."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A version that may have parts in the index and the bucket.

    Work on it has begun at ``since``, in Unix seconds; 0 where it is over: it never becomes the document's any more.
    """

    version: Version
    since: float


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document as recorded; ``kb_id`` is None where there is none (any more), ``version`` where none was readable."""

    document_id: str
    revision: int = 0
    kb_id: str | None = None
    name: str = ""
    state: Literal["ready", "failed"] = "ready"
    reason: str | None = None
    digest: str = ""
    access: Access = None
    updated_at: float = 0.0
    version: Version | None = None
    leftovers: tuple[Leftover, ...] = ()

    @property
    def entry(self) -> DocumentEntry:
        """The record as a line of the list of documents."""
        return DocumentEntry(
            self.document_id,
            self.name,
            self.kb_id or "",
            self.state,
            self.reason,
            self.version.chunk_count if self.version else 0,
            self.updated_at,
            self.access,
        )


class DocumentRecords:
    """The documents of a table. Its methods raise StoreUnavailable."""

    def __init__(self, table: Table, kbs: KbRecords) -> None:
        self._table = table
        self._kbs = kbs

    async def get(self, document_id: str) -> DocumentRecord:
        """The document's record; one of revision 0 where nothing is known of it."""
        return _document(document_id, await self._table.get(_key(document_id)) or {})

    async def get_many(self, document_ids: Iterable[str]) -> dict[str, DocumentRecord]:
        """The records of the documents that there are."""
        ids = list(dict.fromkeys(document_ids))
        parts = [ids[at : at + _MOST_GETS] for at in range(0, len(ids), _MOST_GETS)]
        found = [record for records in await asyncio.gather(*map(self._get_part, parts)) for record in records]
        return {record.document_id: record for record in found if record.kb_id is not None}

    async def entries(self, kb_id: str, after: str, limit: int) -> list[DocumentRecord]:
        """The knowledge base's documents by name, from the first behind ``after``."""
        # No key of an index may be empty: this one is before every name. Nor may it be longer than any name can be.
        behind = after.encode()[:_LONGEST_KEY].decode(errors="ignore") or "\0"
        items = await self._table.query(
            {":kb": kb_id, ":after": behind},
            limit,
            IndexName="by_kb",
            KeyConditionExpression="kb_id = :kb AND #name > :after",
            ExpressionAttributeNames={"#name": "name"},
        )
        return [_document(item["pk"].removeprefix("D#"), item) for item in items]

    async def begin(self, record: DocumentRecord, version: Version) -> None:
        """Record that parts of the version are about to be written. Raises Outdated."""
        values: dict[str, Any] = {
            "revision": record.revision,
            _LEFT + version.id: asdict(version) | {"since": time.time()},
        }
        if record.kb_id is None:
            values["expires_at"] = _expiry()
        expression, names, sets = _update(values)
        begun = await self._table.write(
            "update_item",
            Key=_key(record.document_id),
            UpdateExpression=expression,
            ConditionExpression="attribute_not_exists(pk) OR #0 = :0",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=to_item(sets),
        )
        if not begun:
            raise Outdated(record.document_id)

    async def commit(self, old: DocumentRecord, new: DocumentRecord, kb: KbRecord) -> None:
        """Write ``new`` in the place of ``old``, for every reader at once. Raises Outdated and Closed.

        What stands of the old version is left over from here on, where the new one is another.
        """
        was, is_ = _counts(old), _counts(new)
        count = self._kbs.count(kb, {name: is_[name] - was[name] for name in is_})
        changes = [{"Update": self._change(old, new)}, {"Update": count}]
        for attempt in range(TRIES):
            try:
                await self._table.aws.call("dynamodb", "transact_write_items", TransactItems=changes)
                return
            except Refused as error:
                reasons = [each.get("Code") for each in error.response.get("CancellationReasons", ())]
                if reasons[1:] == ["ConditionalCheckFailed"]:
                    raise Closed(kb.kb_id) from error
                if reasons[:1] == ["ConditionalCheckFailed"]:
                    raise Outdated(old.document_id) from error
                if _PASSING.isdisjoint(reasons):
                    raise
            await pause(attempt)
        raise StoreUnavailable(f"too many changes of {kb.kb_id} at a time")

    async def give_up(self, record: DocumentRecord, version: Version) -> bool:
        """Let the version never become the document's; False where it is, or where nothing is left of it.

        Whatever is still on its way to commit it comes too late from here on.
        """
        return await self._table.write(
            "update_item",
            Key=_key(record.document_id),
            UpdateExpression="SET #left.#since = :over",
            ConditionExpression="attribute_exists(#left)",
            ExpressionAttributeNames={"#left": _LEFT + version.id, "#since": "since"},
            ExpressionAttributeValues=to_item({":over": 0}),
        )

    async def forget(self, record: DocumentRecord, version: Version) -> None:
        """Nothing is left of the version any more."""
        await self._table.write(
            "update_item",
            Key=_key(record.document_id),
            UpdateExpression="REMOVE #left",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#left": _LEFT + version.id},
        )

    def _change(self, old: DocumentRecord, new: DocumentRecord) -> dict[str, Any]:
        """The update of the document's record: every attribute is set or removed."""
        values: dict[str, Any] = {
            "revision": old.revision + 1,
            "kb_id": new.kb_id,
            "name": new.name or None,
            "state": new.state,
            "reason": new.reason,
            "digest": new.digest or None,
            "access": new.access,
            "updated_at": new.updated_at,
            "version": asdict(new.version) if new.version else None,
            "expires_at": _expiry() if new.kb_id is None else None,
        }
        condition = "revision = :known" + ("" if old.revision else " OR attribute_not_exists(pk)")
        begun: dict[str, str] = {}
        if new.version and new.version != old.version:
            values[_LEFT + new.version.id] = None
            begun = {"#begun": _LEFT + new.version.id, "#since": "since"}
            condition = "revision = :known AND #begun.#since > :over"
        if old.version and old.version != new.version:
            values[_LEFT + old.version.id] = asdict(old.version) | {"since": 0}
        expression, names, sets = _update(values)
        known = {":known": old.revision} | ({":over": 0} if begun else {})
        return {
            "TableName": self._table.name,
            "Key": _key(old.document_id),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names | begun,
            "ExpressionAttributeValues": to_item(known | sets),
        }

    async def _get_part(self, ids: Sequence[str]) -> list[DocumentRecord]:
        wanted: list[Any] = [_key(each) for each in ids]
        found: list[DocumentRecord] = []
        for attempt in range(TRIES):
            request = {self._table.name: {"Keys": wanted, "ConsistentRead": True}}
            reply = await self._table.aws.call("dynamodb", "batch_get_item", RequestItems=request)
            if "Responses" not in reply:
                raise StoreUnavailable(f"dynamodb batch_get_item of {self._table.name}: the reply broke off")
            items = map(from_item, reply["Responses"].get(self._table.name, []))
            found += [_document(item["pk"].removeprefix("D#"), item) for item in items]
            wanted = reply.get("UnprocessedKeys", {}).get(self._table.name, {}).get("Keys", [])
            if not wanted:
                return found
            await pause(attempt)
        raise StoreUnavailable("the table does not answer in full")


def _expiry() -> int:
    return int(time.time()) + _KEPT_SECONDS


def _key(document_id: str) -> Item:
    return to_item({"pk": f"D#{document_id}", "sk": "D"})


def _update(values: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """An update expression that sets the attributes, and removes those that are None; its names and its values."""
    names = {f"#{i}": name for i, name in enumerate(values)}
    sets = {f":{i}": value for i, value in enumerate(values.values()) if value is not None}
    removed = [f"#{i}" for i, value in enumerate(values.values()) if value is None]
    expression = "SET " + ", ".join(f"#{value[1:]} = {value}" for value in sets)
    return expression + (f" REMOVE {', '.join(removed)}" if removed else ""), names, sets


def _counts(record: DocumentRecord) -> dict[str, int]:
    return {
        "document_count": int(record.version is not None),
        "chunk_count": record.version.chunk_count if record.version else 0,
        "entry_count": int(record.kb_id is not None),
    }


def _document(document_id: str, item: Mapping[str, Any]) -> DocumentRecord:
    version, access = item.get("version"), item.get("access")
    return DocumentRecord(
        document_id,
        revision=item.get("revision", 0),
        kb_id=item.get("kb_id"),
        name=item.get("name", ""),
        state=item.get("state", "ready"),
        reason=item.get("reason"),
        digest=item.get("digest", ""),
        access=None if access is None else tuple(access),
        updated_at=item.get("updated_at", 0.0),
        version=Version(**version) if version else None,
        leftovers=tuple(_leftover(value) for name, value in item.items() if name.startswith(_LEFT)),
    )


def _leftover(value: Mapping[str, Any]) -> Leftover:
    return Leftover(Version(value["id"], value["index"], value["chunk_count"]), value["since"])
