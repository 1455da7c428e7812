"""Documents into a deployment and out of it: what is in its bucket is made so, and then it is waited for."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass

import click

from citestream.commands.deployment import Deployment, by_bucket, each, watched
from citestream.commands.summary import Summary
from citestream.commands.upload import Upload, is_made_from, upload
from citestream.ingest.access import SUFFIX
from citestream.ingest.files import SourceFile, find_files
from citestream.ingest.parsed import UnreadableFile
from citestream.ingest.paths import printable
from citestream.model import document_id
from citestream.retrieval.document_records import DocumentRecord

_GOES_ON = "it is not waited for; the ingest goes on"


async def ingest(bucket: str, paths: Sequence[str], kb_id: str, seconds: float) -> bool:
    """Upload the files and wait until each is answered from; False where one is not. Raises DeploymentError.

    Being cancelled while it waits, it stops waiting, and tells how far things are.
    """
    found = find_files(paths)
    summary = Summary(kb_id, found)
    async with by_bucket(bucket) as deployment:
        uploads = await _upload(deployment, list(found.files.values()), summary)
        await _settle(deployment, uploads, summary, seconds)
    summary.show()
    return not summary.refused and not (summary.waiting and seconds)


async def _upload(deployment: Deployment, files: Sequence[SourceFile], summary: Summary) -> list[Upload]:
    ids = {file.name: document_id(summary.kb_id, file.name) for file in files}
    records = await deployment.records.documents.get_many(ids.values())
    uploads: list[Upload] = []

    async def one(file: SourceFile) -> None:
        try:
            done = await upload(deployment, file, summary.kb_id, records.get(ids[file.name]))
        except UnreadableFile as error:
            summary.add("skipped", file.shown, str(error))
        else:
            uploads.append(done)
            if done.kept:
                note = (
                    f"it stays for those whom {done.key}{SUFFIX} in the bucket lists: beside the file there is no list"
                )
                summary.notes.append((file.shown, note))
        bar.update(1)

    with click.progressbar(length=len(files), label=f"Uploading into {summary.kb_id}", show_pos=True) as bar:
        await each(files, one)
    return uploads


async def _settle(deployment: Deployment, uploads: Sequence[Upload], summary: Summary, seconds: float) -> None:
    """Wait until it is known what became of the uploads."""
    waiting = {upload.document_id: _Waiting(upload, upload.revision) for upload in uploads}
    warned: set[str] = set()
    label = f"Waiting until {summary.kb_id} answers from them"
    late = f"it is not there after {seconds:g} s" if seconds else _GOES_ON
    try:
        with click.progressbar(length=len(waiting), label=label, show_pos=True) as bar:
            async with aclosing(watched(deployment.records.documents, waiting, seconds)) as looks:
                async for records in looks:
                    for id, upload in list(waiting.items()):
                        if await upload.settle(deployment, records.get(id), summary):
                            del waiting[id]
                            bar.update(1)
                    _warn({upload.trouble for upload in waiting.values()} - {""}, warned)
    except asyncio.CancelledError:
        late = _GOES_ON
    for left in waiting.values():
        summary.waiting.append((left.upload.file.shown, f"{late}: {left.trouble}" if left.trouble else late))


def _warn(troubles: Set[str], warned: set[str]) -> None:
    """Tell at once what fails for now, each once: it may be what only the user can mend."""
    for trouble in sorted(troubles - warned):
        click.echo(f"\nfails for now, and is tried again: {printable(trouble)}", err=True)
    warned |= troubles


@dataclass
class _Waiting:
    """An upload, the revision of its document's record which is known not to be of it, and what has failed for now."""

    upload: Upload
    revision: int
    trouble: str = ""

    async def settle(self, deployment: Deployment, record: DocumentRecord | None, summary: Summary) -> bool:
        """Tell the summary what became of the upload, if that is known."""
        path = self.upload.file.shown
        if record and is_made_from(record, self.upload.source):
            state = self.upload.state if record.state == "ready" else "skipped"
            summary.add(state, path, record.reason or "")
            return True
        revision = record.revision if record else 0
        if revision == self.revision:
            return False
        self.revision = revision
        if record and record.state == "failed" and not record.digest:  # its message comes again
            self.trouble = record.reason or ""
            return False
        try:
            there = await deployment.objects.look(self.upload.key)
        except UnreadableFile as error:
            summary.add("skipped", path, str(error))
            return True
        if there and there.source == self.upload.source:
            return False
        summary.add("skipped", path, f"somebody has {'replaced' if there else 'deleted'} it in the bucket meanwhile")
        return True


async def remove(bucket: str, names: Sequence[str], kb_id: str, seconds: float) -> list[str]:
    """Delete the documents and wait until no answer is made from them. Raises DeploymentError.

    Returns what is to be said of those that were not there, or are still.
    """
    ids = {name: document_id(kb_id, name) for name in names}
    missing: list[str] = []
    async with by_bucket(bucket) as deployment:
        known = await deployment.records.documents.get_many(ids.values())

        async def one(name: str) -> None:
            if not await _delete(deployment, _key(kb_id, name), ids[name] in known):
                missing.append(name)

        await each(ids, one)
        left = {id: _Leaving(name, known[id].revision) for name, id in ids.items() if id in known}
        back = await _vanish(deployment, kb_id, left, seconds)
    late = [leaving.name for leaving in left.values()]
    click.echo(f"{kb_id}: {len(ids) - len(missing) - len(back) - len(late)} removed")
    said = {f"not in {kb_id}": missing, "put into the bucket again meanwhile": back, f"in {kb_id} still": late}
    return [f"{what}: {', '.join(map(printable, names))}" for what, names in said.items() if names]


@dataclass(frozen=True)
class _Leaving:
    """A document that was deleted, and the revision of its record before."""

    name: str
    revision: int


def _key(kb_id: str, name: str) -> str:
    return f"{kb_id}/{unicodedata.normalize('NFC', name)}"


async def _delete(deployment: Deployment, key: str, known: bool) -> bool:
    """Delete document and list, in this order: the document is never there for more than it is for."""
    place = await _place(deployment, key)
    if place is None and not known:
        return False
    # Also where there is none: S3's message makes up for one that was lost, and no list is left for a later document.
    await deployment.objects.delete(place or key)
    await deployment.objects.delete((place or key) + SUFFIX)
    return True


async def _place(deployment: Deployment, key: str) -> str | None:
    """The key of the document's object, however that is spelt; None where there is none."""
    try:
        there = await deployment.objects.look(key)
    except UnreadableFile:
        return key
    return there.key if there else None


async def _vanish(deployment: Deployment, kb_id: str, left: dict[str, _Leaving], seconds: float) -> list[str]:
    """Wait until the documents of these ids have no record, and take those out; the names of those that came back."""
    back: list[str] = []
    async with aclosing(watched(deployment.records.documents, left, seconds)) as looks:
        async for records in looks:
            for id, leaving in list(left.items()):
                if id not in records:
                    del left[id]
                elif records[id].revision != leaving.revision and await _place(deployment, _key(kb_id, leaving.name)):
                    back.append(leaving.name)
                    del left[id]
    return back
