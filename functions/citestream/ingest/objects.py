"""The objects of a documents bucket: documents, and beside each the list of who may read it, where it has one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from citestream.aws import Aws, Refused
from citestream.ingest.access import MAX_BYTES, SUFFIX
from citestream.ingest.parsed import UnreadableFile
from citestream.ingest.paths import spellings

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "PreconditionFailed", "412"})
_LONGEST_KEY = 1024  # bytes
# What S3 says where nobody else would understand it.
_SSE_C = "it may be encrypted with a key of your own (SSE-C)"
_REASONS = {"InvalidObjectState": "it is archived", "InvalidRequest": _SSE_C, "400": _SSE_C}


@dataclass(frozen=True, slots=True)
class DocumentObject:
    """A document's object as it is, and the content of the list beside it.

    ``version`` is empty where the bucket keeps none; ``checksum`` is its SHA-256 in Base64, where S3 knows it.
    """

    key: str
    size: int
    version: str
    etag: str
    checksum: str | None
    access: bytes | None

    @property
    def source(self) -> str:
        """What a document is made from: the same text as long as object and list are the same."""
        return source(self.version, self.etag, self.access)


class DocumentObjects:
    """The objects of one bucket. All methods raise StoreUnavailable."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self.bucket = bucket
        self._aws = aws

    async def look(self, key: str) -> DocumentObject | None:
        """The document's object as it is now; None where there is none.

        Raises UnreadableFile where S3 gives the object, or the list beside it, to nobody.
        """
        for each in _keys(key):
            try:
                head = await self._head(each)
            except Refused as error:
                _require_missing(error, "it")
                continue
            access = await self.access(each)
            version, checksum = head.get("VersionId", ""), head.get("ChecksumSHA256")
            return DocumentObject(each, head["ContentLength"], version, head["ETag"], checksum, access)
        return None

    async def access(self, key: str) -> bytes | None:
        """The list beside the document of that key, cut where it is too long to be one; None where there is none.

        Raises UnreadableFile.
        """

        def get(s3: Any, each: str) -> bytes:
            content: bytes = s3.get_object(Bucket=self.bucket, Key=each)["Body"].read(MAX_BYTES + 1)
            return content

        for each in _keys(key + SUFFIX):
            try:
                return await self._aws.run("s3", partial(get, each=each))
            except Refused as error:
                _require_missing(error, "the list of who may read it")
        return None

    async def download(self, found: DocumentObject, path: Path) -> bool:
        """Write the object to a file; False where it is another by now, or gone. Raises UnreadableFile."""

        def get(s3: Any) -> bool:
            # Not that version, which is to be had when it is deleted, too: the list beside it was looked for since.
            got = s3.get_object(Bucket=self.bucket, Key=found.key, IfMatch=found.etag)
            with path.open("wb") as file:
                for piece in got["Body"].iter_chunks(1 << 20):
                    file.write(piece)
            return bool(got.get("VersionId", "") == found.version)

        try:
            return await self._aws.run("s3", get)
        except Refused as error:
            _require_missing(error, "it")
            return False

    async def put(self, key: str, content: bytes | BinaryIO, checksum: str) -> tuple[str, str]:
        """Put an object with that checksum; its version and ETag. Raises Refused where the content has another."""
        sha256 = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
        made = await self._call("put_object", Key=key, Body=content, **sha256)
        return made.get("VersionId", ""), made["ETag"]

    async def delete(self, key: str) -> None:
        """Delete an object; S3 tells of it also where there is none."""
        await self._call("delete_object", Key=key)

    async def _head(self, key: str) -> dict[str, Any]:
        try:
            return await self._call("head_object", Key=key, ChecksumMode="ENABLED")
        except Refused as error:
            if error.code == "400":  # which has no body to say why: the object, or a credential that has expired
                await self._call("get_object", Key=key, Range="bytes=0-0")
            raise

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return await self._aws.call("s3", operation, Bucket=self.bucket, **arguments)


def source(version: str, etag: str, access: bytes | None) -> str:
    """The ``source`` of an object with that list beside it."""
    return f"{version}:{etag}:{'' if access is None else hashlib.sha256(access).hexdigest()}"


def _keys(key: str) -> list[str]:
    """The keys that may be meant by it; none that is longer than S3's are, which would be an error to ask for."""
    return [each for each in spellings(key) if len(each.encode()) <= _LONGEST_KEY]


def _require_missing(error: Refused, what: str) -> None:
    if error.code not in _MISSING:
        raise UnreadableFile(f"S3 does not give {what}: {_REASONS.get(error.code, error.code)}") from error
