"""The stream log in a DynamoDB table: shared by all instances, and at no cost while nobody asks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from citestream.aws import Aws, Refused
from citestream.dynamo import Table, from_item, to_item
from citestream.errors import StoreUnavailable
from citestream.streams.dynamo_admission import DynamoAdmission
from citestream.streams.entry import Entry
from citestream.streams.log import Fenced, StreamRecord

# Clients wait some 5 s for a first byte: who can't answer by then says so.
_PATIENCE_SECONDS = 4.0
# As long as Lambda runs. An event is wanted until ``keep`` after the end of its answer, whenever that will be.
_LONGEST_ANSWER_SECONDS = 900.0
# In a stream's partition the events come first, by number, and its record last.
_EVENT = "E#"
_RECORD = "M"
# Anybody may ask for a longer one, which no stream has: DynamoDB takes no key over 2,048 bytes.
_LONGEST_ID = 128


class DynamoStreamLog:
    """Streams as items of the table: under ``S#<stream_id>`` the record, ``M``, and the events, ``E#000042``.

    An event is one conditional write. Its key is the fence between producers, and the newest event says how many
    there are, whether it was the last, and when: no crash can part a stream's end from the note of it.

    A stream that has ended, or whose producer was lost, is gone ``keep`` seconds later; DynamoDB removes its items
    when it gets to it. ``aws`` is its owner's to close.
    """

    def __init__(self, aws: Aws, table: str, keep: float) -> None:
        self._table = _PatientTable(aws, table)
        self._keep = keep
        self.admission = DynamoAdmission(self._table, self._removable)

    async def create(self, record: StreamRecord) -> None:
        item = _key(record.stream_id, _RECORD) | self._lease(record.lease_until)
        item |= {"owner": record.owner, "producer": record.producer}
        item |= {"kb_ids": record.kb_ids, "documents": record.documents}
        await self._put_once(item)

    async def get(self, stream_id: str) -> StreamRecord | None:
        last_two = await self._query(stream_id, _EVENT, limit=2, ScanIndexForward=False)
        return self._record(last_two[::-1])

    async def append(self, stream_id: str, producer: str, entry: Entry) -> None:
        now = time.time()
        item = _key(stream_id, f"{_EVENT}{entry.n:06}")
        item |= {"producer": producer, "event": entry.event, "data": entry.data}
        item |= {"expires_at": self._removable(now + _LONGEST_ANSWER_SECONDS)}
        if entry.final:
            item["ended_at"] = now
        await self._put_once(item)

    async def read(self, stream_id: str, after: int) -> Sequence[Entry]:
        items = await self._query(stream_id, f"{_EVENT}{after:06}")
        return [] if self._record(items) is None else list(_without_gap(items[:-1], after + 1))

    async def renew(self, stream_id: str, producer: str, lease_until: float) -> None:
        await self._update(stream_id, producer, self._lease(lease_until))

    async def note_sources(self, stream_id: str, producer: str, document_ids: Sequence[str]) -> None:
        await self._update(stream_id, producer, {"documents": list(document_ids)})

    async def request_cancel(self, stream_id: str) -> None:
        record = await self.get(stream_id)
        if record is not None and record.ended_at is None:
            await self._update(stream_id, record.producer, {"cancelled": True})

    async def aclose(self) -> None:
        pass

    def _lease(self, until: float) -> dict[str, Any]:
        return {"lease_until": until, "expires_at": self._removable(until)}

    def _removable(self, end: float) -> int:
        """When DynamoDB may remove what belongs to a stream that ends by then, in its whole seconds.

        A lost producer's stream may get its terminal event from a reader ``keep`` later, and is kept from there on.
        """
        return math.ceil(end + 2 * self._keep)

    def _record(self, items: Sequence[Mapping[str, Any]]) -> StreamRecord | None:
        """The record at the items' end, with what the newest event before it says; None if its time is over."""
        *events, item = items or [{}]
        if item.get("sk") != _RECORD:
            return None
        newest = events[-1] if events else {}
        ended_at = newest.get("ended_at")
        if (item["lease_until"] if ended_at is None else ended_at) + self._keep < time.time():
            return None
        return StreamRecord(
            item["pk"].removeprefix("S#"),
            item["owner"],
            item["producer"],
            item["lease_until"],
            ended_at,
            cancelled=item.get("cancelled", False),
            last=_n(newest) if newest else 0,
            kb_ids=tuple(item["kb_ids"]),
            documents=tuple(item["documents"]),
        )

    async def _put_once(self, item: Mapping[str, Any]) -> None:
        """Write an item that is not there yet. Raises Fenced where another one is."""
        try:
            await self._table.call(
                "put_item",
                Item=to_item(item),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Refused as refused:
            # A reply may get lost: boto3 then asks again, and meets what it has written itself. No two producers
            # have one name.
            there = from_item(refused.response.get("Item", {}))
            if any(there.get(name) != item.get(name) for name in ("producer", "event", "data")):
                raise Fenced(f"{item['sk']} of {item['pk']} stands already") from refused

    async def _update(self, stream_id: str, producer: str, values: Mapping[str, Any]) -> None:
        """Change the record of a stream that this producer has; any other stays as it is."""
        named = {f":{name}": value for name, value in values.items()}
        await self._table.write(
            "update_item",
            Key=to_item(_key(stream_id, _RECORD)),
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ConditionExpression="producer = :producer",
            ExpressionAttributeValues=to_item({":producer": producer, **named}),
        )

    async def _query(self, stream_id: str, after: str, **options: Any) -> list[dict[str, Any]]:
        """A stream's items behind the sort key ``after``, as they are now."""
        if len(stream_id) > _LONGEST_ID:
            return []
        values = {":pk": f"S#{stream_id}", ":after": after}
        condition = "pk = :pk AND sk > :after"
        return await self._table.query(values, KeyConditionExpression=condition, ConsistentRead=True, **options)


class _PatientTable(Table):
    """Its calls raise Refused where a condition does not hold, StoreUnavailable for all that is no answer in time."""

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await super().call(operation, **arguments)
        except TimeoutError as error:
            raise StoreUnavailable(f"dynamodb {operation}: no answer within {_PATIENCE_SECONDS:g} s") from error
        except Refused as refused:
            if refused.code == "ConditionalCheckFailedException":
                raise
            raise StoreUnavailable(f"dynamodb {operation} of {self.name}: {refused}") from refused


def _without_gap(events: Sequence[Mapping[str, Any]], first: int) -> Iterator[Entry]:
    """The entries from the ``first``-th on, as far as each follows the one before."""
    for n, event in enumerate(events, first):
        if _n(event) != n:
            return
        yield Entry(n, event["event"], event["data"])


def _key(stream_id: str, sort: str) -> dict[str, Any]:
    return {"pk": f"S#{stream_id}", "sk": sort}


def _n(event: Mapping[str, Any]) -> int:
    return int(event["sk"].removeprefix(_EVENT))
