"""Amazon S3 Vectors in memory, with the limits of AWS's user guide and the shapes of botocore's service model.

    vectors = S3Vectors()
    vectors.call("CreateVectorBucket", {"vectorBucketName": "library"})

Knows all that moto's leaves out: queries, pages, limits, the metadata configuration. Every index is ENHANCED, and exact
where the real one is approximate. ``page_size`` is how many vectors a page of QueryVectors has at most.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Sequence

from botocore import xform_name  # type: ignore[import-untyped]

from tests.s3_vectors_index import MAX_TOP_K, Arguments, Document, Index, Vector, distinct, told
from tests.s3_vectors_model import OPERATIONS, Refusal, refused, validate


class S3Vectors:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, Document] = {}
        self._indexes: dict[tuple[str, str], Index] = {}
        self.page_size = MAX_TOP_K

    def call(self, operation: str, arguments: Arguments, region: str = "us-east-1") -> Document:
        """What the operation answers. Raises Refusal, and NotImplementedError for an operation that is not here."""
        work = getattr(self, xform_name(operation), None) if operation in OPERATIONS else None
        if work is None:
            raise NotImplementedError(f"s3vectors {operation}")
        validate(operation, arguments)
        with self._lock:
            answer: Document = work({**arguments, "region": region})
            return answer

    def create_vector_bucket(self, arguments: Arguments) -> Document:
        name = arguments["vectorBucketName"]
        if name in self._buckets:
            raise Refusal("ConflictException", f"the vector bucket {name} exists")
        arn = f"arn:aws:s3vectors:{arguments['region']}:123456789012:bucket/{name}"
        encryption = arguments.get("encryptionConfiguration", {"sseType": "AES256"})
        self._buckets[name] = {
            "vectorBucketName": name,
            "vectorBucketArn": arn,
            "creationTime": time.time(),
            "encryptionConfiguration": encryption,
            "defaultIndexMode": "ENHANCED",
        }
        return {"vectorBucketArn": arn}

    def get_vector_bucket(self, arguments: Arguments) -> Document:
        return {"vectorBucket": self._bucket(arguments)}

    def delete_vector_bucket(self, arguments: Arguments) -> Document:
        name = self._bucket(arguments)["vectorBucketName"]
        if any(bucket == name for bucket, _ in self._indexes):
            raise Refusal("ConflictException", f"the vector bucket {name} has indexes")
        del self._buckets[name]
        return {}

    def create_index(self, arguments: Arguments) -> Document:
        bucket = self._bucket(arguments)
        name = arguments["indexName"]
        place = (bucket["vectorBucketName"], name)
        if place in self._indexes:
            raise Refusal("ConflictException", f"the index {name} exists")
        configuration = arguments.get("metadataConfiguration", {})
        for text in distinct(configuration.get("textSearchConfigurations", ())):
            text["status"] = "ACTIVE"
        arn = f"{bucket['vectorBucketArn']}/index/{name}"
        self._indexes[place] = Index(
            {
                "vectorBucketName": place[0],
                "indexName": name,
                "indexArn": arn,
                "creationTime": time.time(),
                "dataType": arguments["dataType"],
                "dimension": arguments["dimension"],
                "distanceMetric": arguments["distanceMetric"],
                "metadataConfiguration": configuration,
                "indexMode": "ENHANCED",
            }
        )
        return {"indexArn": arn}

    def get_index(self, arguments: Arguments) -> Document:
        return {"index": self._index(arguments).attributes}

    def list_indexes(self, arguments: Arguments) -> Document:
        bucket = self._bucket(arguments)["vectorBucketName"]
        prefix = arguments.get("prefix", "")
        names = sorted(name for place, name in self._indexes if place == bucket and name.startswith(prefix))
        page, more = _page(names, arguments, 500)
        shown = ("vectorBucketName", "indexName", "indexArn", "creationTime")
        summaries = [{key: self._indexes[bucket, name].attributes[key] for key in shown} for name in page]
        return {"indexes": summaries, **more}

    def delete_index(self, arguments: Arguments) -> Document:
        attributes = self._index(arguments).attributes
        del self._indexes[attributes["vectorBucketName"], attributes["indexName"]]
        return {}

    def put_vectors(self, arguments: Arguments) -> Document:
        index = self._index(arguments)
        keys = [each["key"] for each in arguments["vectors"]]
        if len(set(keys)) < len(keys):
            raise refused("the keys of a request must be distinct")
        vectors = {
            each["key"]: Vector(
                each["key"],
                index.vector(each["data"], f"the vector {each['key']!r}"),
                index.metadata(each.get("metadata", {}), f"the vector {each['key']!r}"),
            )
            for each in arguments["vectors"]
        }
        index.vectors.update(vectors)
        index.snapshot = None
        return {}

    def get_vectors(self, arguments: Arguments) -> Document:
        index = self._index(arguments)
        wanted = [index.vectors[key] for key in dict.fromkeys(arguments["keys"]) if key in index.vectors]
        return {"vectors": [vector.told(arguments) for vector in wanted]}

    def list_vectors(self, arguments: Arguments) -> Document:
        if "segmentCount" in arguments or "segmentIndex" in arguments:
            raise NotImplementedError("s3vectors ListVectors in segments")
        index = self._index(arguments)
        page, more = _page(sorted(index.vectors), arguments, 500)
        return {"vectors": [index.vectors[key].told(arguments) for key in page], **more}

    def delete_vectors(self, arguments: Arguments) -> Document:
        index = self._index(arguments)
        for key in arguments["keys"]:
            index.vectors.pop(key, None)
        index.snapshot = None
        return {}

    def query_vectors(self, arguments: Arguments) -> Document:
        index = self._index(arguments)
        query = {key: value for key, value in arguments.items() if key != "nextToken"}
        digest = hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]
        start = _resumed(arguments.get("nextToken"), digest)
        snapshot, hits = index.search(arguments)
        end = start + self.page_size
        found = [told(hit, snapshot.vectors[hit.row], arguments) for hit in hits[start:end]]
        more = {"nextToken": f"{digest}.{end}"} if end < len(hits) else {}
        return {"vectors": found, "distanceMetric": index.metric, **more}

    def _bucket(self, arguments: Arguments) -> Document:
        name, arn = arguments.get("vectorBucketName"), arguments.get("vectorBucketArn")
        if (name is None) == (arn is None):
            raise refused("Must specify either vectorBucketName or vectorBucketArn but not both")
        for bucket in self._buckets.values():
            if bucket["vectorBucketName"] == name or bucket["vectorBucketArn"] == arn:
                return bucket
        raise Refusal("NotFoundException", "The specified vector bucket could not be found")

    def _index(self, arguments: Arguments) -> Index:
        bucket, name, arn = (arguments.get(key) for key in ("vectorBucketName", "indexName", "indexArn"))
        if (arn is None) != (bucket is not None and name is not None) or (arn is not None and (bucket or name)):
            raise refused("Must specify either indexArn or both vectorBucketName and indexName")
        for (of, called), index in self._indexes.items():
            if (of, called) == (bucket, name) or index.attributes["indexArn"] == arn:
                return index
        raise Refusal("NotFoundException", "The specified index could not be found")


def _resumed(token: str | None, digest: str) -> int:
    if token is None:
        return 0
    of, _, start = token.partition(".")
    if of != digest or not start.isdigit():
        raise refused("nextToken belongs to another query")
    return int(start)


def _page(names: Sequence[str], arguments: Arguments, default: int) -> tuple[Sequence[str], Document]:
    after = arguments.get("nextToken", "")
    left = [name for name in names if name > after]
    page = left[: arguments.get("maxResults", default)]
    return page, {"nextToken": page[-1]} if len(page) < len(left) else {}
