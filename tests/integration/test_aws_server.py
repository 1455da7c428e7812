"""The server that stands in for AWS: S3 Vectors as documented, through boto3, and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError, EndpointConnectionError  # type: ignore[import-untyped]

from tests.aws import AwsServer, Stores

TEXTS = {"metadataKey": "text", "language": "en"}


class Vectors:
    """One index, named for every call."""

    def __init__(self, client: Any, bucket: str, index: str = "films", **attributes: Any) -> None:
        self.client = client
        self.place = {"vectorBucketName": bucket, "indexName": index}
        defaults = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
        client.create_index(**self.place, **defaults | attributes)

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client, operation)(**self.place, **arguments)
        return answer

    def put(self, *vectors: dict[str, Any]) -> None:
        self.call("put_vectors", vectors=list(vectors))

    def query(self, **arguments: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("query_vectors", **{"topK": 10} | arguments)["vectors"]
        return found

    def keys(self, **arguments: Any) -> list[str]:
        return [vector["key"] for vector in self.query(**arguments)]


def vector(key: str, *data: float, **metadata: Any) -> dict[str, Any]:
    return {"key": key, "data": {"float32": list(data)}, "metadata": metadata}


def to(*data: float) -> dict[str, Any]:
    return {"queryVector": {"float32": list(data)}}


def words(text: str, key: str = "text") -> dict[str, Any]:
    return {"queryTexts": [{"text": text, "metadataKey": key}]}


def code(call: pytest.ExceptionInfo[ClientError]) -> str:
    return str(call.value.response["Error"]["Code"])


@pytest.fixture(scope="session")
def library(aws_process: AwsServer) -> str:
    aws_process.client("s3vectors").create_vector_bucket(vectorBucketName="films-of-the-test")
    return "films-of-the-test"


@pytest.fixture
def films(aws_server: AwsServer, library: str) -> Iterator[Vectors]:
    configuration = {"nonFilterableMetadataKeys": ["text"], "textSearchConfigurations": [TEXTS]}
    index = Vectors(aws_server.client("s3vectors"), library, metadataConfiguration=configuration)
    yield index
    index.call("delete_index")


GENRES = (
    vector("a", 1, 0.0, genre=["drama", "noir"], year=1950, seen=True, text="The storm at sea"),
    vector("b", 1, 0.2, genre="drama", year=1999, text="A storm in a glass"),
    vector("c", 1, 0.4, genre="comedy", year=2020.5, seen=False, text="Calm waters"),
    vector("d", 1, 0.6, year=2024),
)


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ({"genre": "drama"}, "ab"),
        ({"genre": {"$eq": "noir"}}, "a"),
        ({"genre": {"$ne": "drama"}}, "cd"),
        ({"year": {"$gt": 1999}}, "cd"),
        ({"year": {"$gte": 1999}}, "bcd"),
        ({"year": {"$lt": 1999}}, "a"),
        ({"year": {"$lte": 1999}}, "ab"),
        ({"year": {"$gte": 1999, "$lt": 2021}}, "bc"),
        ({"year": {"$gt": 1900}, "genre": "comedy"}, "c"),
        ({"genre": {"$gt": 1}}, ""),
        ({"genre": {"$in": ["noir", "comedy"]}}, "ac"),
        ({"genre": {"$nin": ["noir", "comedy"]}}, "bd"),
        ({"seen": {"$exists": True}}, "ac"),
        ({"seen": {"$exists": False}}, "bd"),
        ({"seen": True}, "a"),
        ({"seen": {"$in": [1, 0]}}, ""),
        ({"$or": [{"genre": "noir"}, {"year": 2024}]}, "ad"),
        ({"$and": [{"genre": "drama"}, {"year": {"$gt": 1960}}]}, "b"),
        ({"$and": [{"$or": [{"year": 1950}, {"year": 1999}]}, {"seen": {"$exists": False}}]}, "b"),
        ({"genre": {"$startsWith": "no"}}, "a"),
        ({"genre": {"$startsWith": "dr", "$ne": "noir"}}, "b"),
        ({"year": {"$startsWith": "1"}}, ""),
        ({"nobody": "here"}, ""),
    ],
)
def test_filters(films: Vectors, condition: dict[str, Any], keys: str) -> None:
    films.put(*GENRES)
    assert films.keys(filter=condition, **to(1, 0)) == list(keys)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({}, "at least one condition"),
        ({"genre": {}}, "is empty"),
        ({"genre": None}, "not None"),
        ({"genre": {"$eq": ["drama"]}}, "$eq takes"),
        ({"genre": {"$in": []}}, "$in takes a list"),
        ({"genre": {"$in": "drama"}}, "$in takes a list"),
        ({"genre": {"$regex": "d.*"}}, "$regex is no operator"),
        ({"genre": {"$startsWith": 1}}, "$startsWith takes a string"),
        ({"year": {"$gt": "1999"}}, "$gt takes a number"),
        ({"year": {"$gt": True}}, "$gt takes a number"),
        ({"seen": {"$exists": 1}}, "$exists takes a boolean"),
        ({"$and": []}, "$and takes a list"),
        ({"$and": {"genre": "drama"}}, "$and takes a list"),
        ({"$not": [{"genre": "drama"}]}, "$not is no operator"),
        ({"text": "storm"}, "'text' is not filterable"),
        ({"$or": [{"year": year} for year in range(101)]}, "100 constraints, this one has 101"),
        ({"year": {"$in": list(range(101))}}, "100 constraints"),
    ],
)
def test_filters_that_are_refused(films: Vectors, condition: dict[str, Any], says: str) -> None:
    with pytest.raises(ClientError) as refused:
        films.query(filter=condition, **to(1, 0))
    assert code(refused) == "ValidationException"
    assert says in str(refused.value)


def test_filters_before_it_searches(films: Vectors) -> None:
    films.put(*(vector(f"near{n}", 1, n / 1000, owner="ann", text="storm") for n in range(200)))
    films.put(vector("far", 0, 1, owner="bob", text="storm"))
    owned = {"filter": {"owner": "bob"}, "topK": 3}
    assert films.keys(**owned, **to(1, 0)) == ["far"]
    assert films.keys(**owned, **words("storm")) == ["far"]


@pytest.mark.parametrize(("metric", "distance"), [("cosine", 1 - 1 / math.sqrt(2)), ("euclidean", 1.0)])
def test_distances(aws_stores: Stores, aws_server: AwsServer, metric: str, distance: float) -> None:
    index = Vectors(aws_server.client("s3vectors"), aws_stores.vector_bucket, distanceMetric=metric)
    index.put(vector("same", 3, 0), vector("there", 3, 3))
    answer = index.call("query_vectors", topK=2, returnDistance=True, **to(3 if metric == "cosine" else 2, 3))
    by_key = {found["key"]: found["distance"] for found in answer["vectors"]}
    assert answer["distanceMetric"] == metric
    assert list(by_key) == ["there", "same"]
    assert by_key["same"] == pytest.approx(distance if metric == "cosine" else math.sqrt(10), abs=1e-6)
    assert by_key["there"] == pytest.approx(0 if metric == "cosine" else distance, abs=1e-6)


def test_ranks_texts_by_bm25(films: Vectors) -> None:
    films.put(
        vector("rare", 1, 0, text="Tempest"),
        vector("twice", 1, 0, text="storm storm calm"),
        vector("once", 1, 0, text="Storm, calm; calm"),
        vector("none", 1, 0, text="calm"),
        vector("silent", 1, 0),
    )
    found = films.query(returnScores=True, **words("a storm TEMPEST"))
    scores = {each["key"]: each["scores"]["bm25Scores"] for each in found}
    assert list(scores) == ["rare", "twice", "once"]
    # k1 = 1.2, b = 0.75; 4 texts of 2 words at an average, of which 2 hold the word.
    expected = math.log(1 + 2.5 / 2.5) * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / 2))
    assert scores["once"] == [{"metadataKey": "text", "score": pytest.approx(expected, rel=1e-5)}]
    assert all("fused" not in each["scores"] and "vectorDistance" not in each["scores"] for each in found)


@pytest.mark.parametrize(("query", "key"), [("数据库", "zh"), ("ГОРОД", "ru"), ("naïve", "fr")])
def test_texts_of_other_scripts(films: Vectors, query: str, key: str) -> None:
    films.put(
        vector("zh", 1, 0, text="使用数据备份"), vector("ru", 1, 0, text="город"), vector("fr", 1, 0, text="Naïve.")
    )
    assert films.keys(**words(query)) == [key]


def test_english_words_lose_their_endings(aws_stores: Stores, aws_server: AwsServer) -> None:
    texts = [TEXTS, {"metadataKey": "title"}]
    configuration = {"textSearchConfigurations": texts, "nonFilterableMetadataKeys": ["text", "title"]}
    index = Vectors(aws_server.client("s3vectors"), aws_stores.vector_bucket, metadataConfiguration=configuration)
    index.put(vector("a", 1, 0, text="The storms", title="The storms"))
    assert index.keys(**words("Stormed")) == index.keys(**words("storms", "title")) == ["a"]
    assert index.keys(**words("the")) == index.keys(**words("storm", "title")) == []


def test_fuses_both_sides_by_their_ranks(films: Vectors) -> None:
    films.put(
        vector("both", 1, 0.1, text="storm"),
        vector("near", 1, 0.0, text="calm"),
        vector("word", 0, 1.0, text="storm storm"),
        vector("neither", -1, 0.0, text="calm"),
    )
    found = films.query(topK=2, returnScores=True, returnDistance=True, **to(1, 0), **words("storm"))
    both, next_best = found
    assert both["key"] == "both"
    assert both["scores"]["fused"] == pytest.approx(1 / 62 + 1 / 62)
    assert both["scores"]["vectorDistance"] == both["distance"] == pytest.approx(1 - 1 / math.sqrt(1.01), abs=1e-6)
    assert next_best["key"] == "near"
    assert next_best["scores"] == {"fused": pytest.approx(1 / 61), "bm25Scores": [], "vectorDistance": 0}


def test_tells_no_distance_of_what_the_words_alone_have_found(films: Vectors) -> None:
    films.put(*(vector(f"near{n}", 1, n / 100) for n in range(3)), vector("word", 0, 1, text="storm"))
    found = films.query(topK=3, returnScores=True, returnDistance=True, **to(1, 0), **words("storm"))
    assert [each["key"] for each in found] == ["near0", "word", "near1"]
    assert found[1].keys() == {"key", "scores"}
    assert found[1]["scores"].keys() == {"fused", "bm25Scores"}


def test_answers_what_is_asked_for_only(films: Vectors) -> None:
    films.put(*GENRES)
    assert films.query(topK=1, **to(1, 0)) == [{"key": "a"}]
    assert films.query(topK=1, returnScores=True, **to(1, 0)) == [{"key": "a"}]
    assert films.query(topK=1, returnMetadata=True, **to(1, 0)) == [{"key": "a", "metadata": GENRES[0]["metadata"]}]


def test_searches_several_keys(aws_stores: Stores, aws_server: AwsServer) -> None:
    texts = [TEXTS, {"metadataKey": "title"}]
    configuration = {"textSearchConfigurations": texts, "nonFilterableMetadataKeys": ["text", "title"]}
    index = Vectors(aws_server.client("s3vectors"), aws_stores.vector_bucket, metadataConfiguration=configuration)
    index.put(vector("a", 1, 0, text="calm", title="Storm"), vector("b", 1, 0, text="storm", title="Storm"))
    found = index.query(
        returnScores=True, queryTexts=[*words("storm")["queryTexts"], *words("storm", "title")["queryTexts"]]
    )
    assert [each["key"] for each in found] == ["b", "a"]
    assert [[score["metadataKey"] for score in each["scores"]["bm25Scores"]] for each in found] == [
        ["text", "title"],
        ["title"],
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "queryVector, queryTexts or both"),
        (to(1, 2, 3), "length 2, but has length 3"),
        (to(0, 0), "zero vector"),
        (to(1, 0) | {"topK": 101}, "between 1 and 100, not 101"),
        (to(1, 0) | {"queryMode": "CLASSIC"}, "CLASSIC"),
        (to(1, 0) | {"nextToken": "0123.3"}, "another query"),
        (words("storm", "genre"), "'genre' is not full-text searchable"),
        (words("x" * 1025), "between 1 and 1024, not 1025"),
        ({"queryTexts": words("storm")["queryTexts"] * 2}, "once only"),
        ({"queryTexts": words("storm")["queryTexts"] * 11}, "between 1 and 10, not 11"),
    ],
)
def test_queries_that_are_refused(films: Vectors, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ClientError) as refused:
        films.query(**arguments)
    assert code(refused) == "ValidationException"
    assert says in str(refused.value)


def test_pages_of_a_query(films: Vectors, aws_server: AwsServer) -> None:
    films.put(*(vector(str(n), 1, n / 10) for n in range(8)))
    aws_server.page(3)
    pages = films.client.get_paginator("query_vectors").paginate(topK=7, **films.place, **to(1, 0))
    assert ["".join(each["key"] for each in page["vectors"]) for page in pages] == ["012", "345", "6"]
    token = films.call("query_vectors", topK=7, **to(1, 0))["nextToken"]
    with pytest.raises(ClientError, match="another query"):
        films.query(topK=7, nextToken=token, **to(0, 1))


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ([vector("a", 1, 0)] * 2, "distinct"),
        ([vector(f"k{n}", 1, 0) for n in range(501)], "between 1 and 500, not 501"),
        ([vector("a", 1)], "length 2, but has length 1"),
        ([vector("a", 0, 0)], "zero vector"),
        ([vector("a", 1, 0, owners=["x" * 2048])], "filterable metadata must have at most 2048 bytes"),
        ([vector("a", 1, 0, text="x" * 40960)], "metadata must have at most 40960 bytes"),
        ([vector("a", 1, 0, **{f"k{n}": 1 for n in range(51)})], "at most 50 keys"),
        ([vector("a", 1, 0, owner={"name": "ann"})], "'owner' is no string"),
        ([vector("a", 1, 0, owner=None)], "'owner' is no string"),
        ([vector("a", 1, 0, **{"k" * 64: 1})], "is no string"),
        ([vector("a" * 1025, 1, 0)], "between 1 and 1024, not 1025"),
    ],
)
def test_vectors_that_are_refused(films: Vectors, vectors: Sequence[dict[str, Any]], says: str) -> None:
    with pytest.raises(ClientError) as refused:
        films.put(*vectors)
    assert code(refused) == "ValidationException"
    assert says in str(refused.value)
    assert films.call("list_vectors")["vectors"] == []


def test_takes_as_much_as_the_limits_allow(films: Vectors) -> None:
    films.put(*(vector(f"k{n}", 1, 0, p=["x" * 2000], text="y" * 30_000) for n in range(500)))
    assert len(films.call("list_vectors")["vectors"]) == 500


def test_refuses_a_request_over_20_mib(films: Vectors) -> None:
    with pytest.raises(ClientError, match="at most 20971520 bytes"):
        films.put(*(vector(f"{n:01020}", 1, 0, text="y" * 40_900) for n in range(500)))


def test_reads_and_deletes_vectors(films: Vectors) -> None:
    films.put(*GENRES)
    asked = {"keys": ["b", "nobody", "a", "a"]}
    assert [each["key"] for each in films.call("get_vectors", **asked)["vectors"]] == ["b", "a"]
    (found,) = films.call("get_vectors", keys=["d"], returnData=True, returnMetadata=True)["vectors"]
    assert found == {"key": "d", "data": {"float32": [1, pytest.approx(0.6)]}, "metadata": {"year": 2024}}
    films.call("delete_vectors", keys=["a", "nobody"])
    assert films.keys(**to(1, 0)) == ["b", "c", "d"]
    films.put(vector("b", -1, 0))
    assert films.keys(**to(1, 0)) == ["c", "d", "b"]


@pytest.mark.parametrize(("operation", "most"), [("get_vectors", 100), ("delete_vectors", 500)])
def test_keys_of_a_call(films: Vectors, operation: str, most: int) -> None:
    films.call(operation, keys=[f"k{n}" for n in range(most)])
    with pytest.raises(ClientError, match=f"between 1 and {most}, not {most + 1}"):
        films.call(operation, keys=[f"k{n}" for n in range(most + 1)])


def test_lists_by_pages(films: Vectors) -> None:
    films.put(*GENRES)
    paginator = films.client.get_paginator("list_vectors")
    pages = list(paginator.paginate(**films.place, PaginationConfig={"PageSize": 3}))
    assert [[each["key"] for each in page["vectors"]] for page in pages] == [["a", "b", "c"], ["d"]]


def test_buckets_and_indexes(aws_stores: Stores, aws_server: AwsServer) -> None:
    client, bucket = aws_server.client("s3vectors"), aws_stores.vector_bucket
    configuration = {"nonFilterableMetadataKeys": ["text"], "textSearchConfigurations": [TEXTS]}
    first = Vectors(client, bucket, "kb-1", metadataConfiguration=configuration)
    Vectors(client, bucket, "kb-2")
    index = first.call("get_index")["index"]
    assert index["metadataConfiguration"] == {
        "nonFilterableMetadataKeys": ["text"],
        "textSearchConfigurations": [TEXTS | {"status": "ACTIVE"}],
    }
    assert (index["indexMode"], index["dimension"], index["distanceMetric"]) == ("ENHANCED", 2, "cosine")
    assert client.get_index(indexArn=index["indexArn"])["index"] == index
    pages = client.get_paginator("list_indexes").paginate(vectorBucketName=bucket, PaginationConfig={"PageSize": 1})
    assert [[each["indexName"] for each in page["indexes"]] for page in pages] == [["kb-1"], ["kb-2"]]
    with pytest.raises(client.exceptions.ConflictException):
        Vectors(client, bucket, "kb-1")
    with pytest.raises(client.exceptions.ConflictException):
        client.create_vector_bucket(vectorBucketName=bucket)
    with pytest.raises(client.exceptions.ConflictException):
        client.delete_vector_bucket(vectorBucketName=bucket)
    for name in ("kb-1", "kb-2"):
        client.delete_index(vectorBucketName=bucket, indexName=name)
    client.delete_vector_bucket(vectorBucketName=bucket)
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_vector_bucket(vectorBucketName=bucket)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"dimension": 4097}, "between 1 and 4096, not 4097"),
        ({"distanceMetric": "dot"}, "must be one of euclidean, cosine"),
        ({"metadataConfiguration": {"nonFilterableMetadataKeys": [f"k{n}" for n in range(11)]}}, "0 and 10, not 11"),
        ({"metadataConfiguration": {"textSearchConfigurations": [TEXTS, TEXTS]}}, "once only"),
        ({"metadataConfiguration": {"textSearchConfigurations": [TEXTS | {"language": "tlh"}]}}, "must be one of"),
        ({"index": "x" * 64}, "between 3 and 63, not 64"),
    ],
)
def test_indexes_that_are_refused(aws_server: AwsServer, library: str, attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(ClientError) as refused:
        Vectors(aws_server.client("s3vectors"), library, **attributes)
    assert code(refused) == "ValidationException"
    assert says in str(refused.value)


@pytest.mark.parametrize("operation", ["get_index", "delete_index", "list_vectors"])
def test_an_index_that_is_missing(aws_server: AwsServer, library: str, operation: str) -> None:
    with pytest.raises(aws_server.client("s3vectors").exceptions.NotFoundException):
        getattr(aws_server.client("s3vectors"), operation)(vectorBucketName=library, indexName="nobody")
    with pytest.raises(ClientError, match="either indexArn or both"):
        getattr(aws_server.client("s3vectors"), operation)(indexName="nobody")


@pytest.mark.parametrize(
    ("service", "operation", "call", "arguments"),
    [
        ("dynamodb", "ListTables", "list_tables", {}),
        ("s3", "ListBuckets", "list_buckets", {}),
        ("sqs", "ListQueues", "list_queues", {}),
        ("s3vectors", "GetVectorBucket", "get_vector_bucket", {"vectorBucketName": "films-of-the-test"}),
    ],
)
@pytest.mark.parametrize(("failure", "status"), [("ThrottlingException", 400), ("InternalError", 500)])
def test_fails_as_told(
    aws_server: AwsServer,
    library: str,
    service: str,
    operation: str,
    call: str,
    arguments: dict[str, Any],
    failure: str,
    status: int,
) -> None:
    client = aws_server.client(service)
    aws_server.fail(service, operation, failure, status, times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as told:
            getattr(client, call)(**arguments)
        assert (code(told), told.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (failure, status)
    getattr(client, call)(**arguments)
    assert aws_server.calls() == {f"{service}.{operation}": 3}


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("dynamodb", "describe_global_table_settings", {"GlobalTableName": "some"}),
        ("s3", "list_bucket_analytics_configurations", {"Bucket": "some"}),
        ("s3vectors", "update_index_mode", {"indexArn": "some", "indexMode": "ENHANCED"}),
        ("lambda", "list_functions", {}),
        ("cloudwatch", "list_metrics", {}),
    ],
)
def test_records_what_is_not_here(aws_server: AwsServer, service: str, call: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as unknown:
        getattr(aws_server.client(service), call)(**arguments)
    assert (code(unknown), unknown.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("NotImplemented", 501)
    (said,) = aws_server.unknown()
    assert "NotImplementedError" in said
    aws_server.reset()


def test_no_test_reaches_aws_by_accident() -> None:
    with pytest.raises(EndpointConnectionError, match=r"http://127\.0\.0\.1:9"):
        boto3.client("sts", config=Config(retries={"total_max_attempts": 1})).get_caller_identity()
