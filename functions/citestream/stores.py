"""The stores that the settings name: files of this machine, or services of AWS that every function shares."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from citestream import provider
from citestream.aws import Aws
from citestream.dynamo import Table
from citestream.provider_keys import parse_keys
from citestream.retrieval import minilm
from citestream.retrieval.aws_index import AwsIndex
from citestream.retrieval.aws_writer import AwsWriter
from citestream.retrieval.document_records import DocumentRecords
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.index import Index
from citestream.retrieval.kb_records import KbRecords
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.retrieval.text_store import TextStore
from citestream.retrieval.vector_store import VectorStore
from citestream.settings import BadSettings, Settings
from citestream.streams.dynamo_log import DynamoStreamLog
from citestream.streams.log import StreamLog
from citestream.streams.sqlite_log import SqliteStreamLog

if TYPE_CHECKING:
    from citestream.ingest.bucket import BucketIngest

_LOG = logging.getLogger("citestream")

#: What embeds on AWS where no other model is named.
EMBEDDING_MODEL = "bedrock/amazon.titan-embed-text-v2:0"
# A stream's record outlives its retention, so that a late reader is told 410 and not 404.
_REMEMBERED_SECONDS = 3600.0


def open_embedder(settings: Settings) -> Embedder | None:
    """What embeds; None, and documents are found by words alone, where nothing is named or installed.

    Raises BadSettings and WeightsError.
    """
    model = settings.embedding_model or (EMBEDDING_MODEL if settings.table else "")
    if model:
        from citestream.retrieval.litellm_embedder import LiteLLMEmbedder

        embedder = LiteLLMEmbedder(model, settings.embedding_dimensions, settings.embedding_api_base or None)
        try:
            embedder.preload()
        except ModuleNotFoundError as error:
            raise BadSettings(str(error)) from error
        return embedder
    found = minilm.load()
    if found is None:
        _LOG.warning("no embedder is installed: documents are found by words alone (the README says how to add it)")
    return found


def open_index(settings: Settings, embedder: Embedder | None, aws: Aws | None = None) -> Index:
    """The index. Raises WrongIndex and StoreUnavailable where its file is none."""
    if settings.table and aws is not None and embedder is not None:
        return open_aws_index(settings, embedder, aws)
    index = SqliteIndex(settings.data / "index.db", embedder)
    index.check()
    return index


def open_aws_index(settings: Settings, embedder: Embedder, aws: Aws) -> AwsIndex:
    table = Table(aws, settings.table)
    kbs = KbRecords(table)
    documents = DocumentRecords(table, kbs)
    vectors = VectorStore(
        aws, settings.vector_bucket, "" if settings.text_language == "any" else settings.text_language
    )
    texts = TextStore(aws, settings.text_bucket)
    writer = AwsWriter(kbs, documents, vectors, texts, embedder, text_search=settings.text_search)
    return AwsIndex(kbs, documents, vectors, texts, embedder, writer)


def open_bucket(settings: Settings) -> tuple[Aws, BucketIngest]:
    """What keeps the index in step with the documents bucket. Raises BadSettings."""
    from citestream.ingest.bucket import BucketIngest

    aws, embedder = open_aws(settings), open_embedder(settings)
    if aws is None or embedder is None or not (settings.table and settings.documents_bucket):
        raise BadSettings("the ingest needs CITESTREAM_TABLE and CITESTREAM_DOCUMENTS_BUCKET")
    writer = open_aws_index(settings, embedder, aws).writer
    return aws, BucketIngest(aws, settings.documents_bucket, writer, embedder)


def open_log(settings: Settings, aws: Aws | None) -> StreamLog:
    """The stream log. Raises WrongIndex and StoreUnavailable where its file is none."""
    keep = settings.retention_seconds + _REMEMBERED_SECONDS
    if settings.table and aws is not None:
        return DynamoStreamLog(aws, settings.table, keep)
    log = SqliteStreamLog(settings.data / "streams.db", keep)
    log.check()
    return log


def open_aws(settings: Settings) -> Aws | None:
    """The way to AWS, where the settings name stores or keys there; the providers' keys are read by it.

    To be opened before any model is. Raises BadSettings.
    """
    if not (settings.table or settings.keys):
        return None
    if find_spec("boto3") is None:
        raise BadSettings("CITESTREAM_TABLE and CITESTREAM_KEYS need boto3: pip install 'citestream[aws]'")
    aws = Aws()
    if settings.table:
        aws.preload("dynamodb")  # every request begins there
    if settings.keys:
        try:
            provider.use_keys(parse_keys(settings.keys), aws)
        except ValueError as error:
            raise BadSettings(f"CITESTREAM_KEYS: {error}") from error
    return aws
