"""What tests have of AWS: a server on loopback, and stores of their own in it.

``aws_stores`` is what most tests ask for. Nothing is ever reset: every test has new names. A test fails where something
has been asked of AWS that the server does not know.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]

REGION = "us-east-1"
ROOT = Path(__file__).parents[1]
# Whatever a test forgets to redirect ends at a port where nobody listens, without credentials of this machine.
NOWHERE = {
    "AWS_ACCESS_KEY_ID": "only-for-tests",
    "AWS_SECRET_ACCESS_KEY": "only-for-tests",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
_FOREIGN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE")


@dataclass(frozen=True)
class AwsServer:
    """The server of tests/aws_server.py, which says what the methods do."""

    url: str

    @property
    def environ(self) -> dict[str, str]:
        """For a process that is to call this server."""
        return {**NOWHERE, "AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        """boto3's client, which tries once only."""
        return _client(self.url, service)

    def fail(self, service: str, operation: str, code: str, status: int = 400, times: int = 1) -> None:
        failure = {"service": service, "operation": operation, "code": code, "status": status, "times": times}
        self._ask("fail", failure)

    def page(self, size: int) -> None:
        self._ask("page", {"size": size})

    def calls(self) -> dict[str, int]:
        found: dict[str, int] = self._ask("calls")
        return found

    def unknown(self) -> list[str]:
        found: list[str] = self._ask("unknown")
        return found

    def reset(self) -> None:
        self._ask("reset", {})

    def _ask(self, action: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_test/{action}", data), timeout=60) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Stores:
    """The names of what a deployment has, new and empty."""

    table: str
    vector_bucket: str
    text_bucket: str
    documents_bucket: str

    @property
    def environ(self) -> dict[str, str]:
        """The settings that name them."""
        return {
            "CITESTREAM_TABLE": self.table,
            "CITESTREAM_VECTOR_BUCKET": self.vector_bucket,
            "CITESTREAM_TEXT_BUCKET": self.text_bucket,
            "CITESTREAM_DOCUMENTS_BUCKET": self.documents_bucket,
        }


@pytest.fixture(scope="session", autouse=True)
def no_real_aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _FOREIGN:
            patch.delenv(name, raising=False)
        for name, value in NOWHERE.items():
            patch.setenv(name, value)
        yield


@contextmanager
def serving_aws() -> Iterator[AwsServer]:
    """Serve until the block ends, or this process."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.aws_server"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the AWS server did not start"
        yield AwsServer(url)
        process.stdin.close()


@pytest.fixture(scope="session")
def aws_process(no_real_aws: None) -> Iterator[AwsServer]:
    with serving_aws() as server:
        yield server


@pytest.fixture
def aws_server(aws_process: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """The server, which the test's environment points to; unknown calls fail the test."""
    aws_process.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_process.url)
    yield aws_process
    assert aws_process.unknown() == []


@pytest.fixture
def aws_stores(aws_server: AwsServer) -> Stores:
    """What a deployment has, empty; the test's environment points to the server."""
    return make_stores(aws_server)


@pytest.fixture
def aws_table(aws_server: AwsServer) -> str:
    """A table like a deployment's, for what needs no more."""
    name = _new_name()
    _make_table(aws_server.client("dynamodb"), name)
    return name


def make_stores(server: AwsServer) -> Stores:
    name = _new_name()
    stores = Stores(name, f"{name}-vectors", f"{name}-text", f"{name}-documents")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=stores.text_bucket)
    s3.create_bucket(Bucket=stores.documents_bucket)
    s3.put_bucket_versioning(Bucket=stores.documents_bucket, VersioningConfiguration={"Status": "Enabled"})
    server.client("s3vectors").create_vector_bucket(vectorBucketName=stores.vector_bucket)
    _make_table(server.client("dynamodb"), stores.table)
    return stores


def _new_name() -> str:
    return f"test-{uuid4().hex[:12]}"


@cache
def _client(url: str, service: str) -> Any:  # to make one takes 50 ms and more
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return boto3.Session().client(service, endpoint_url=url, region_name=REGION, config=once)


def _make_table(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "kb_id", "name")],
        KeySchema=_keys("pk", "sk"),
        GlobalSecondaryIndexes=[
            {"IndexName": "by_kb", "KeySchema": _keys("kb_id", "name"), "Projection": {"ProjectionType": "ALL"}}
        ],
    )
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
