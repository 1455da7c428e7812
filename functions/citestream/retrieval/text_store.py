"""Documents' normalised texts in S3, each version under a key of its own, written once."""

from __future__ import annotations

from typing import Any

from citestream.aws import Aws, Refused
from citestream.retrieval.vector_store import Version


class TextStore:
    """The texts in one bucket. Its methods raise StoreUnavailable."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket

    async def put(self, document_id: str, version: Version, text: str) -> None:
        kind = "text/plain; charset=utf-8"
        key = _key(document_id, version)
        await self._aws.call("s3", "put_object", Bucket=self._bucket, Key=key, Body=text.encode(), ContentType=kind)

    async def get(self, document_id: str, version: Version) -> str | None:
        """The text; None where it is not there (any more)."""

        def read(s3: Any) -> str:
            body: bytes = s3.get_object(Bucket=self._bucket, Key=_key(document_id, version))["Body"].read()
            return body.decode()

        try:
            return await self._aws.run("s3", read)
        except Refused as error:
            if error.code != "NoSuchKey":
                raise
            return None

    async def remove(self, document_id: str, version: Version) -> None:
        """Remove the text; none that is there is no error."""
        await self._aws.call("s3", "delete_object", Bucket=self._bucket, Key=_key(document_id, version))


def _key(document_id: str, version: Version) -> str:
    return f"{document_id}/{version.id}.txt"
