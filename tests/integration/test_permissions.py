"""What each function asks of AWS, held to its policies: all of it is allowed, and nothing that is not asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.client import BaseClient  # type: ignore[import-untyped]

from asgi_lambda.emulator.intrinsics import NO_VALUE, Resolver, load_yaml
from citestream.dynamo import from_item
from citestream.ingest.worker import work
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.entry import to_entry
from citestream.streams.log import StreamRecord
from tests.aws import Stores
from tests.bucket import Bucket, QuickAws
from tests.sam import TEMPLATE
from tests.streams import done

LOADED = load_yaml(TEMPLATE.read_text("utf-8"))
# What no call of the tests asks for: the platform's part, the models, S3's word on what is not there, and the
# permission that a query with texts and filters needs beside its own.
UNSEEN = {
    *(
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
    ),
    *("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "s3:ListBucket", "s3vectors:GetVectors"),
}


@dataclass(frozen=True)
class Need:
    """What a call needs: an action on a resource, and for an item that is written the key of its partition."""

    action: str
    resource: str
    leading_key: str | None = None


@contextmanager
def recorded(stores: Stores) -> Iterator[list[Need]]:
    """What is needed for all that boto3 is asked for until the block ends."""
    needs: list[Need] = []
    ask: Callable[..., Any] = BaseClient._make_api_call

    def note(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        needs.extend(_needs(client.meta.service_model.service_name, operation, arguments, stores))
        return ask(client, operation, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", note)
        yield needs


def _needs(service: str, operation: str, asked: Mapping[str, Any], stores: Stores) -> Iterator[Need]:
    names = _names(stores)
    if service == "s3":
        # A HEAD is allowed by what allows a GET.
        action = "GetObject" if operation == "HeadObject" else operation
        yield Need(f"s3:{action}{'Version' * ('VersionId' in asked)}", f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}")
    elif service == "s3vectors":
        yield Need(f"s3vectors:{operation}", f"{names['VectorBucket']}/index/{asked['indexName']}")
    elif operation == "TransactWriteItems":  # no action of its own: it is allowed by its parts
        for item in asked["TransactItems"]:
            ((kind, part),) = item.items()
            yield Need(f"dynamodb:{kind}Item", names["Table.Arn"], from_item(part["Key"])["pk"])
    else:
        index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
        written = asked.get("Item") or asked.get("Key")
        yield Need(f"dynamodb:{operation}", names["Table.Arn"] + index, from_item(written)["pk"] if written else None)


def _names(stores: Stores) -> dict[str, str]:
    """What ``Ref`` and ``Fn::GetAtt`` make of the stack's resources."""
    account = "us-east-1:123456789012"
    arns = {
        "Table": f"arn:aws:dynamodb:{account}:table/{stores.table}",
        "TextBucket": f"arn:aws:s3:::{stores.text_bucket}",
        "DocumentsBucket": f"arn:aws:s3:::{stores.documents_bucket}",
        "VectorBucket": f"arn:aws:s3vectors:{account}:bucket/{stores.vector_bucket}",
        "IngestQueue": f"arn:aws:sqs:{account}:queue",
    }
    logs = {f"{name}LogGroup.Arn": f"arn:aws:logs:{account}:log-group:{name}" for name in ("Stream", "Ingest")}
    return {f"{name}.Arn": arn for name, arn in arns.items()} | arns | logs


def statements(role: str, stores: Stores) -> list[dict[str, Any]]:
    """All that the role may do, as the parameters' defaults have it."""
    properties = LOADED["Resources"][role]["Properties"]
    attached = [LOADED["Resources"][each["Ref"]]["Properties"] for each in properties["ManagedPolicyArns"]]
    resolver = Resolver(LOADED, _names(stores))
    found = [
        resolver.value(_without_attributes(statement))
        for policy in (*attached, *properties["Policies"])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    return [each for each in found if each is not NO_VALUE]


def _without_attributes(node: Any) -> Any:
    """``Fn::GetAtt`` as a ``Ref``, whose value the test gives."""
    if isinstance(node, list):
        return [_without_attributes(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {{"Fn::GetAtt": "Ref"}.get(name, name): _without_attributes(each) for name, each in node.items()}


def allows(statement: Mapping[str, Any], need: Need) -> bool:
    """As IAM decides, of what these policies have."""
    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
    return (
        need.action in _listed(statement["Action"])
        and any(fnmatchcase(need.resource, each) for each in _listed(statement["Resource"]))
        and (keys is None or (need.leading_key is not None and any(fnmatchcase(need.leading_key, key) for key in keys)))
    )


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def check(role: str, stores: Stores, needs: list[Need]) -> None:
    """Nothing is needed that is not allowed, and nothing allowed that is not needed."""
    held = statements(role, stores)
    assert [need for need in needs if not any(allows(statement, need) for statement in held)] == []
    allowed = {action for statement in held for action in _listed(statement["Action"])}
    assert allowed - {need.action for need in needs} - UNSEEN == set()


async def test_the_ingest_may_do_what_it_does(bucket: Bucket) -> None:
    needs: list[Need] = []
    for content in ("High water is at noon.", "High water is at one.", b"\xff\xfe\xff", None):
        if content is None:
            bucket.delete("kb/tides.txt")
        else:
            bucket.put("kb/tides.txt", content)
        with recorded(bucket.stores) as found:
            reply = await work(bucket.event("kb/tides.txt"), bucket.ingest, lambda: 900.0)
        assert reply == {"batchItemFailures": []}
        needs += found
    check("IngestRole", bucket.stores, needs)


async def test_what_answers_may_do_what_it_does(bucket: Bucket) -> None:
    bucket.put("kb/tides.txt", "High water is at noon.")
    await work(bucket.event("kb/tides.txt"), bucket.ingest, lambda: 900.0)
    log = DynamoStreamLog(QuickAws(), bucket.stores.table, 3600.0)
    with recorded(bucket.stores) as needs:
        (passage,) = await bucket.index.search(
            "When is high water?", await bucket.index.kb_ids(), 5, frozenset({"alice"})
        )
        assert await bucket.index.document(passage.document_id)
        assert await bucket.index.documents("kb")
        assert await bucket.index.access([passage.document_id])
        await log.create(StreamRecord("s", "me", "p", time.time() + 10, kb_ids=("kb",)))
        await log.note_sources("s", "p", [passage.document_id])
        await log.renew("s", "p", time.time() + 10)
        await log.request_cancel("s")
        await log.append("s", "p", to_entry(done("s"), 1))
        assert await log.read("s", 0)
    check("StreamRole", bucket.stores, needs)


async def test_what_answers_may_change_no_document(bucket: Bucket) -> None:
    bucket.put("kb/tides.txt", "High water is at noon.")
    with recorded(bucket.stores) as needs:
        await work(bucket.event("kb/tides.txt"), bucket.ingest, lambda: 900.0)
    held = statements("StreamRole", bucket.stores)
    done_anyway = {need.action for need in needs if any(allows(statement, need) for statement in held)}
    assert done_anyway == {"dynamodb:GetItem"}
