"""The documents that come with the product."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import citestream
from citestream.ingest.files import find_files
from citestream.ingest.load import load
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.index import Index

#: Where they are: a folder for each knowledge base, and questions to try.
FOLDER: Final = Path(citestream.__file__).parent / "samples"
KNOWLEDGE_BASES: Final = ("engineering", "handbook")


async def load_samples(index: Index, embedder: Embedder | None) -> None:
    """Ingest them all. Raises StoreUnavailable."""
    for kb in KNOWLEDGE_BASES:
        async for _ in load(find_files([str(FOLDER / kb)]).files.values(), kb, index, embedder):
            pass
