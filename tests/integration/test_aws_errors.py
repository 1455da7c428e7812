"""What AWS's errors mean: no answer, no permission, or an answer."""

from __future__ import annotations

import pytest

from citestream.aws import Denied, Refused
from citestream.errors import StoreUnavailable
from tests.aws import AwsServer
from tests.bucket import QuickAws

GET = {"TableName": "table", "Key": {}}
QUERY = {"vectorBucketName": "vectors", "indexName": "index", "topK": 1}
HEAD = {"Bucket": "bucket", "Key": "key"}


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "status", "kind"),
    [
        ("dynamodb", "GetItem", GET, "ResourceNotFoundException", 400, StoreUnavailable),
        ("dynamodb", "GetItem", GET, "MissingAuthenticationTokenException", 400, StoreUnavailable),
        ("dynamodb", "GetItem", GET, "AccessDeniedException", 400, Denied),
        ("dynamodb", "GetItem", GET, "ValidationException", 400, Refused),
        ("s3vectors", "QueryVectors", QUERY, "KmsDisabledException", 400, StoreUnavailable),
        ("s3vectors", "QueryVectors", QUERY, "AccessDeniedException", 403, Denied),
        ("s3vectors", "QueryVectors", QUERY, "ValidationException", 400, Refused),
        ("s3vectors", "QueryVectors", QUERY | {"indexName": ""}, "never asked", 400, Refused),
        ("s3", "HeadObject", HEAD, "", 403, Denied),
        ("s3", "HeadObject", HEAD, "", 400, Refused),
        ("s3", "HeadObject", HEAD, "", 404, Refused),
    ],
)
async def test_an_error_is_told_by_what_it_means(
    aws_server: AwsServer,
    service: str,
    operation: str,
    arguments: dict[str, object],
    code: str,
    status: int,
    kind: type[Exception],
) -> None:
    aws_server.fail(service, operation, code, status=status)
    method = "".join(f"_{each.lower()}" if each.isupper() else each for each in operation).removeprefix("_")
    aws = QuickAws()
    with pytest.raises((StoreUnavailable, Refused)) as caught:
        await aws.call(service, method, **arguments)
    assert caught.type is kind
    await aws.aclose()
