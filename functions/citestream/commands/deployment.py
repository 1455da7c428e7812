"""A deployment as the command line sees it: the documents bucket, and the records of what became of its objects."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from citestream.aws import Aws, Refused
from citestream.commands.refusals import told
from citestream.dynamo import Table
from citestream.errors import DeploymentError, StoreUnavailable
from citestream.ingest.objects import DocumentObjects
from citestream.retrieval.document_records import DocumentRecord, DocumentRecords
from citestream.retrieval.kb_records import KbRecords

T = TypeVar("T")
#: The bucket's tag that names the table.
TAG = "citestream-table"
# So many files are under way at a time: enough for a fast line, few enough for a slow one.
_AT_A_TIME = 4
# Between two looks at the records; the first is the shortest.
_PAUSE_SECONDS = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Records:
    """What is known of documents and knowledge bases."""

    kbs: KbRecords
    documents: DocumentRecords


@dataclass(frozen=True, slots=True)
class Deployment:
    objects: DocumentObjects
    records: Records


@asynccontextmanager
async def by_bucket(bucket: str) -> AsyncIterator[Deployment]:
    """The deployment of that documents bucket, wherever it is. Raises DeploymentError, here and within."""
    async with _opened(None, bucket) as aws:
        table = await _table(aws, bucket)
        region = (await aws.call("s3", "head_bucket", Bucket=bucket)).get("BucketRegion")
    async with _opened(region, table) as aws:
        yield Deployment(DocumentObjects(aws, bucket), _records(aws, table))


@asynccontextmanager
async def by_table(table: str) -> AsyncIterator[Records]:
    """The records in that table of the region that is set. Raises DeploymentError, here and within."""
    async with _opened(None, table) as aws:
        yield _records(aws, table)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do the work for each item, a few at a time; the first that fails stops the rest."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(worker())
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__


async def watched(
    records: DocumentRecords, document_ids: Collection[str], seconds: float
) -> AsyncGenerator[dict[str, DocumentRecord]]:
    """The documents' records, again and again, until the time is over or the collection is empty by then."""
    ends = time.monotonic() + seconds
    pause, longest = _PAUSE_SECONDS
    while document_ids:
        yield await records.get_many(document_ids)
        left = ends - time.monotonic()
        if left <= 0 or not document_ids:
            return
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.2, longest)


@asynccontextmanager
async def _opened(region: str | None, named: str) -> AsyncIterator[Aws]:
    aws = Aws(region, patient=True)
    try:
        yield aws
    except (StoreUnavailable, Refused) as error:
        raise DeploymentError(told(error, named)) from error
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise DeploymentError("a deployment needs boto3: pip install 'citestream[aws]'") from error
    finally:
        await aws.aclose()


async def _table(aws: Aws, bucket: str) -> str:
    """The table of the bucket's tag; of the environment, where it has none or does not show it."""
    fallback = os.environ.get("CITESTREAM_TABLE", "")
    try:
        tags = (await aws.call("s3", "get_bucket_tagging", Bucket=bucket))["TagSet"]
    except (Refused, StoreUnavailable) as error:
        unknown = isinstance(error, Refused) and error.code == "NoSuchTagSet"
        if not unknown and not (fallback and isinstance(error, StoreUnavailable)):
            raise
        tags = []
    table = {tag["Key"]: tag["Value"] for tag in tags}.get(TAG) or fallback
    if not table:
        raise DeploymentError(
            f"the bucket {bucket} has no tag {TAG}, by which its deployment is found: is it the documents bucket? "
            "CITESTREAM_TABLE names the table, too"
        )
    return str(table)


def _records(aws: Aws, name: str) -> Records:
    table = Table(aws, name)
    kbs = KbRecords(table)
    return Records(kbs, DocumentRecords(table, kbs))
