"""Keys and slots in the DynamoDB table of streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from citestream.aws import Refused
from citestream.dynamo import Item, Table, from_item, to_item
from citestream.streams.admission import Claim, digest

# As long as Lambda runs: no answer, and no claim of one, is wanted for longer than this and its stream's retention.
_LONGEST_ANSWER_SECONDS = 900.0

Slots = dict[str, float]


class DynamoAdmission:
    """A key's claim is an item of its own, ``K#<key>``; an owner's slots are one map, by stream, in ``C#<owner>``.

    Slots are taken in one conditional write, on the size of that map; only where it holds some that have expired, or
    is not there yet, a second write puts another in its place. All writes may be repeated by boto3, whose reply may
    have got lost: each finds that what it was to do is done. ``removable`` tells when DynamoDB may remove what is
    wanted until a time.
    """

    def __init__(self, table: Table, removable: Callable[[float], int]) -> None:
        self._table = table
        self._removable = removable

    async def claimed(self, key: str) -> Claim | None:
        condition = "pk = :pk"
        found = await self._table.query({":pk": f"K#{key}"}, KeyConditionExpression=condition, ConsistentRead=True)
        return _claim(found[0]) if found else None

    async def claim(self, key: str, claim: Claim, stale: str | None = None) -> Claim:
        values = {"stream_id": claim.stream_id, "digest": claim.digest, "claimed_at": claim.claimed_at}
        there = await self._conditional(
            "put_item",
            Item=_claim_key(key) | to_item(values | {"expires_at": self._expiry(claim.claimed_at)}),
            ConditionExpression="attribute_not_exists(pk) OR stream_id = :stale",
            ExpressionAttributeValues=to_item({":stale": stale or claim.stream_id}),
        )
        return claim if there is None else _claim(there)

    async def withdraw(self, key: str, stream_id: str) -> None:
        await self._table.write(
            "update_item",
            Key=_claim_key(key),
            UpdateExpression="SET claimed_at = :never",
            ConditionExpression="stream_id = :stream",
            ExpressionAttributeValues=to_item({":never": 0, ":stream": stream_id}),
        )

    async def take_slot(self, owner: str, stream_id: str, until: float, limit: int) -> float | None:
        while True:
            there = await self._add_slot(owner, stream_id, until, limit)
            if there is None or stream_id in there:
                return None
            now = time.time()
            living = {each: its for each, its in there.items() if its > now}
            if len(living) >= limit:
                return sorted(living.values())[len(living) - limit] - now
            if await self._replace_slots(owner, there, {**living, stream_id: until}):
                return None

    async def renew_slot(self, owner: str, stream_id: str, until: float) -> None:
        await self._change_slot(owner, stream_id, "SET slots.#stream = :until", {":until": until})

    async def release_slot(self, owner: str, stream_id: str) -> None:
        await self._change_slot(owner, stream_id, "REMOVE slots.#stream")

    async def _add_slot(self, owner: str, stream_id: str, until: float, limit: int) -> Slots | None:
        """None where that is done, else the slots that there are."""
        there = await self._conditional(
            "update_item",
            Key=_slots_key(owner),
            UpdateExpression="SET slots.#stream = :until, expires_at = :expires_at",
            ConditionExpression="attribute_exists(slots) AND size(slots) < :limit",
            ExpressionAttributeNames={"#stream": stream_id},
            ExpressionAttributeValues=to_item({":until": until, ":limit": limit, ":expires_at": self._expiry(until)}),
        )
        return None if there is None else there.get("slots", {})

    async def _replace_slots(self, owner: str, there: Slots, wanted: Slots) -> bool:
        values = {":wanted": wanted, ":expires_at": self._expiry(max(wanted.values()))}
        return await self._table.write(
            "update_item",
            Key=_slots_key(owner),
            UpdateExpression="SET slots = :wanted, expires_at = :expires_at",
            ConditionExpression="slots = :there" if there else "attribute_not_exists(slots)",
            ExpressionAttributeValues=to_item(values | ({":there": there} if there else {})),
        )

    async def _change_slot(
        self, owner: str, stream_id: str, change: str, values: Mapping[str, Any] | None = None
    ) -> None:
        given = {"ExpressionAttributeValues": to_item(values)} if values else {}
        await self._table.write(
            "update_item",
            Key=_slots_key(owner),
            UpdateExpression=change,
            ConditionExpression="attribute_exists(slots.#stream)",
            ExpressionAttributeNames={"#stream": stream_id},
            **given,
        )

    async def _conditional(self, operation: str, **arguments: Any) -> dict[str, Any] | None:
        """None where the condition holds and the write is done, else the item that is there, {} for none."""
        try:
            await self._table.call(operation, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)
        except Refused as refused:
            return from_item(refused.response.get("Item", {}))
        return None

    def _expiry(self, begun: float) -> int:
        return self._removable(begun + _LONGEST_ANSWER_SECONDS)


def _claim(item: Mapping[str, Any]) -> Claim:
    return Claim(item["stream_id"], item["digest"], item["claimed_at"])


def _claim_key(key: str) -> Item:
    return to_item({"pk": f"K#{key}", "sk": "K"})


def _slots_key(owner: str) -> Item:
    # Whatever a token's issuer calls its subjects, a key of a table has at most 2,048 bytes.
    return to_item({"pk": f"C#{digest(owner)}", "sk": "C"})
