"""Files into the documents bucket, each as ``<kb_id>/<name>``, with the list of its readers before it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from typing import Literal

from citestream.aws import Refused
from citestream.commands.deployment import Deployment
from citestream.ingest.access import SUFFIX, access_file
from citestream.ingest.files import SourceFile
from citestream.ingest.load import require_name
from citestream.ingest.objects import source
from citestream.ingest.parse import require_readable
from citestream.ingest.parsed import UnreadableFile
from citestream.model import document_id
from citestream.retrieval.document_records import DocumentRecord

# Of S3, in bytes of UTF-8.
_LONGEST_KEY = 1024
_CHANGED = frozenset({"BadDigest", "XAmzContentChecksumMismatch"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it lies in the bucket. ``revision`` is that of its record before; 0 where there was no document.

    ``kept`` says that the bucket has a list of readers which the file has not.
    """

    file: SourceFile
    document_id: str
    key: str
    source: str
    state: Literal["added", "updated", "unchanged"]
    revision: int
    kept: bool


@dataclass(frozen=True, slots=True)
class _Local:
    """The file's SHA-256 in Base64, and the list beside it."""

    checksum: str
    access: bytes | None


async def upload(deployment: Deployment, file: SourceFile, kb_id: str, record: DocumentRecord | None) -> Upload:
    """Make the bucket hold what the file is; nothing is sent that is there, and answered from, already.

    ``record`` is the document's. Raises UnreadableFile, before anything is sent, for what no document can be.
    """
    key = f"{kb_id}/{file.name}"
    local = await asyncio.to_thread(_local, file, key)
    there = await deployment.objects.look(key)
    access = there.access if there else await deployment.objects.access(key)
    listed = local.access is not None and local.access != access
    if listed:  # first: the document is never there for those whom it is not for
        await deployment.objects.put(key + SUFFIX, local.access or b"", _checksum(local.access or b""))
        access = local.access
    # Where the document is not made from the object, its message may be lost: another one makes up for it. That of a
    # new list does as well.
    fresh = there is not None and there.checksum == local.checksum and (listed or is_made_from(record, there.source))
    version, etag = (there.version, there.etag) if there and fresh else await _put(deployment, file, key, local)
    return Upload(
        file,
        document_id(kb_id, file.name),
        key,
        source(version, etag, access),
        "unchanged" if fresh and not listed else "updated" if record else "added",
        record.revision if record else 0,
        kept=local.access is None and access is not None,
    )


def is_made_from(record: DocumentRecord | None, of: str) -> bool:
    """Whether the document, or why there is none, is what came of that ``source``."""
    return record is not None and record.digest.endswith(f":{of}")


def _local(file: SourceFile, key: str) -> _Local:
    require_name(file.name)
    require_readable(file.path)
    if len((key + SUFFIX).encode()) > _LONGEST_KEY:
        raise UnreadableFile("its name is too long for a key of S3")
    access = access_file(file.path)
    try:
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
    except OSError as error:
        raise UnreadableFile(error.strerror or "it can't be read") from error
    return _Local(base64.b64encode(digest).decode(), access)


async def _put(deployment: Deployment, file: SourceFile, key: str, local: _Local) -> tuple[str, str]:
    try:
        with await asyncio.to_thread(file.path.open, "rb") as content:
            return await deployment.objects.put(key, content, local.checksum)
    except OSError as error:
        raise UnreadableFile(error.strerror or "it can't be read") from error
    except Refused as error:
        if error.code not in _CHANGED:
            raise
        raise UnreadableFile("it has changed while it was read") from error


def _checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
