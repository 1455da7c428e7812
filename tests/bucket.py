"""A documents bucket as the ingest finds it: real objects in the tests' AWS, and what S3 tells of them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote_plus

import pytest

from citestream.aws import Aws
from citestream.ingest.bucket import BucketIngest
from citestream.retrieval.aws_index import AwsIndex
from citestream.settings import Settings, load_settings
from citestream.stores import open_aws_index
from tests.aws import AwsServer, Stores
from tests.scripted_server import bag_of_words


class QuickAws(Aws):
    """AWS by clients that were made before: to make them takes longer than most tests."""

    _made: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._clients = self._made.setdefault(os.environ["AWS_ENDPOINT_URL"], {})

    async def aclose(self) -> None:
        self._clients = {}  # others have them, too
        await super().aclose()


class WordBag:
    """An embedder that hashes words, to which some mean the same; a text without words is like no other."""

    dimensions = 256
    _MEANING: ClassVar[Mapping[str, str]] = {"automobile": "car", "salary": "pay", "holiday": "leave"}

    def __init__(self, id: str = "word-bag/64") -> None:
        self.id = id

    def weight(self, query: str) -> float:
        return 0.5

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        words = (self._MEANING.get(word, word) for word in text.lower().split())
        return bag_of_words(" ".join(words), self.dimensions)


class Bucket:
    """The documents bucket of ``stores``, its index, and the ingest between them."""

    def __init__(
        self,
        server: AwsServer,
        stores: Stores,
        aws: Aws | None = None,
        embedder: WordBag | None = None,
        *,
        text_search: bool = True,
    ) -> None:
        self.stores = stores
        self.client = server.client
        self.settings: Settings = load_settings(stores.environ, text_search=text_search)
        self.aws, embedder = aws or QuickAws(), embedder or WordBag()
        self.index: AwsIndex = open_aws_index(self.settings, embedder, self.aws)
        self.ingest = BucketIngest(self.aws, stores.documents_bucket, self.index.writer, embedder)

    def put(self, key: str, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.client("s3").put_object(Bucket=self.stores.documents_bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client("s3").delete_object(Bucket=self.stores.documents_bucket, Key=key)

    def event(self, *keys: str, message_id: str = "m1", name: str = "ObjectCreated:Put") -> dict[str, Any]:
        """What SQS calls the function with, for one message about these objects."""
        records = [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": self.stores.documents_bucket}, "object": {"key": quote_plus(key, safe="/")}},
            }
            for key in keys
        ]
        return {"Records": [{"messageId": message_id, "body": json.dumps({"Records": records})}]}

    def stored(self) -> dict[str, list[str]]:
        """What lies in the stores: vector indexes, keys in them, keys of texts, and documents with leftovers."""
        vectors, name = self.client("s3vectors"), self.stores.vector_bucket
        indexes = [each["indexName"] for each in vectors.list_indexes(vectorBucketName=name)["indexes"]]
        keys = [
            each["key"]
            for index in indexes
            for each in vectors.list_vectors(vectorBucketName=name, indexName=index)["vectors"]
        ]
        texts = self.client("s3").list_objects_v2(Bucket=self.stores.text_bucket).get("Contents", [])
        items = self.client("dynamodb").scan(TableName=self.stores.table, ConsistentRead=True)["Items"]
        left = [item["pk"]["S"] for item in items if any(attribute.startswith("left_") for attribute in item)]
        return {"indexes": indexes, "vectors": keys, "texts": [each["Key"] for each in texts], "left": left}

    async def aclose(self) -> None:
        await self.aws.aclose()


@pytest.fixture
async def bucket(aws_server: AwsServer, aws_stores: Stores) -> AsyncIterator[Bucket]:
    made = Bucket(aws_server, aws_stores)
    yield made
    await made.aclose()
