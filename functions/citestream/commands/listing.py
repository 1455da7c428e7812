"""The list of a knowledge base's documents, from the index of this machine or from a deployment's records."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click

from citestream.commands.deployment import Records, by_bucket, by_table
from citestream.ingest.paths import printable
from citestream.model import DocumentEntry
from citestream.settings import Settings
from citestream.stores import open_index

_PAGE = 1000
_Page = Callable[[str, str, int], Awaitable[Sequence[DocumentEntry]]]


class UnknownKnowledgeBase(Exception):
    """There is none of that name; the message says which there are."""


async def show(where: str | Settings, kb_id: str, *, as_json: bool) -> None:
    """Print the documents by name: a line each as they come, or one JSON object.

    ``where`` is a documents bucket, or settings that name a store. Raises UnknownKnowledgeBase, DeploymentError,
    StoreUnavailable and WrongIndex.
    """
    found: list[DocumentEntry] = []
    async with _shelf(where) as (kb_ids, page), aclosing(_entries(page, kb_id)) as entries:
        if kb_id not in kb_ids:
            there = ", ".join(kb_ids) or "none"
            raise UnknownKnowledgeBase(f"no such knowledge base: {kb_id} (there are: {there})")
        async for entry in entries:
            if as_json:
                found.append(entry)
            else:
                click.echo(_line(entry))
    if as_json:
        # ASCII: names may hold what would steer a terminal.
        click.echo(json.dumps({"documents": [_member(entry) for entry in found]}))


@asynccontextmanager
async def _shelf(where: str | Settings) -> AsyncIterator[tuple[Sequence[str], _Page]]:
    """The ids of the knowledge bases, and what gives pages of their documents."""
    if isinstance(where, str):
        async with by_bucket(where) as deployment:
            yield await _recorded(deployment.records)
    elif where.table:
        async with by_table(where.table) as records:
            yield await _recorded(records)
    else:
        index = open_index(where, None)
        try:
            yield await index.kb_ids(), index.documents
        finally:
            await index.aclose()


async def _recorded(records: Records) -> tuple[Sequence[str], _Page]:
    async def page(kb_id: str, after: str, limit: int) -> list[DocumentEntry]:
        return [record.entry for record in await records.documents.entries(kb_id, after, limit)]

    return [kb.kb_id for kb in await records.kbs.all() if kb.entry_count], page


async def _entries(page: _Page, kb_id: str) -> AsyncGenerator[DocumentEntry]:
    after = ""
    while True:
        found = await page(kb_id, after, _PAGE)
        for entry in found:
            yield entry
        if len(found) < _PAGE:
            return
        after = found[-1].document_name


def _line(entry: DocumentEntry) -> str:
    reason = f": {printable(entry.reason)}" if entry.reason else ""
    line = f"{entry.state:6}  {entry.chunk_count:>6} chunks  {_utc(entry.updated_at)}  {printable(entry.document_name)}"
    return line + reason


def _member(entry: DocumentEntry) -> dict[str, object]:
    """As the API has it, and who may read it."""
    return asdict(entry) | {"updated_at": _utc(entry.updated_at)}


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
