"""Documents into the index of this machine, and out of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from citestream import provider
from citestream.commands.summary import Summary
from citestream.ingest.files import find_files
from citestream.ingest.load import load
from citestream.model import document_id
from citestream.settings import Settings
from citestream.stores import open_aws, open_embedder, open_index


async def ingest(settings: Settings, paths: Sequence[str], kb_id: str) -> bool:
    """Ingest with a progress bar, and say what became of it; False where a file was skipped.

    Raises StoreUnavailable, WrongIndex and EmbeddingFailed, having said what is in the index by then.
    """
    found = find_files(paths)
    summary = Summary(kb_id, found)
    aws = open_aws(settings)  # first: it is the way to the keys of a hosted embedder
    embedder = open_embedder(settings)
    index = open_index(settings, embedder)
    try:
        with click.progressbar(length=len(found.files), label=f"Ingesting into {kb_id}", show_pos=True) as bar:
            async for outcome in load(found.files.values(), kb_id, index, embedder):
                summary.add(outcome.state, outcome.file.shown, outcome.reason)
                bar.update(1)
    finally:
        await index.aclose()
        await provider.close()
        if aws is not None:
            await aws.aclose()
        summary.show()
    return not summary.refused


async def remove(settings: Settings, names: Sequence[str], kb_id: str) -> list[str]:
    """Remove the documents; what is to be said of those that were not there."""
    index = open_index(settings, None)
    try:
        gone = {name: await index.remove(document_id(kb_id, name)) for name in names}
    finally:
        await index.aclose()
    click.echo(f"{kb_id}: {sum(gone.values())} removed")
    missing = [name for name, was_there in gone.items() if not was_there]
    return [f"not in {kb_id}: {', '.join(missing)}"] if missing else []
