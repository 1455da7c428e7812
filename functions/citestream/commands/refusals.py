"""Why AWS does not let us, in one line that says what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from citestream.aws import Denied

# What a user of the command line needs to be allowed, by what boto3 calls for it.
_NEEDED = {
    "GetBucketTagging": "s3:GetBucketTagging",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "BatchGetItem": "dynamodb:BatchGetItem",
    "Query": "dynamodb:Query",
}
_UNKNOWN = {"NoSuchBucket": "bucket", "404": "bucket", "ResourceNotFoundException": "table"}


def told(error: Exception, named: str) -> str:
    """What is to be said of an error of ``citestream.aws``, in dealing with the bucket or table of that name."""
    from botocore.exceptions import ClientError, NoCredentialsError  # type: ignore[import-untyped]

    cause = error.__cause__
    if isinstance(cause, NoCredentialsError):
        return "there are no credentials for AWS: `aws configure` sets some up, AWS_PROFILE chooses among them"
    if isinstance(cause, ClientError):
        return _refusal(cause.operation_name, cause.response["Error"], named, denied=isinstance(error, Denied))
    return " ".join(str(error).split())


def _refusal(operation: str, error: Mapping[str, Any], named: str, *, denied: bool) -> str:
    code, message = error.get("Code", ""), " ".join(str(error.get("Message", "")).split())
    if denied:
        return (
            f"AWS does not allow {operation}: the permission {_NEEDED.get(operation, 'for it')} is missing ({message})"
        )
    if code in _UNKNOWN:
        return f"there is no {_UNKNOWN[code]} {named}"
    return f"AWS refuses {operation}: {code}: {message}"
