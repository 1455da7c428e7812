"""An index of made-up documents: as many chunks as asked for, words as frequent as in real text (Zipf)."""

from __future__ import annotations

import asyncio
import random
from itertools import accumulate
from pathlib import Path

import numpy as np

from citestream.model import Chunk, Document, document_id
from citestream.settings import load_settings
from citestream.stores import open_embedder, open_index

WORDS = 50_000
WORDS_PER_CHUNK = 170
CHUNKS_PER_DOCUMENT = 20
DIMENSIONS = 384

_rng = random.Random(7)
_vocabulary = ["".join(_rng.choices("abcdefghijklmnopqrstuvwxyz", k=_rng.randint(3, 10))) for _ in range(WORDS)]
_weights = list(accumulate(1 / rank for rank in range(10, WORDS + 10)))


def questions(count: int) -> list[str]:
    """Questions of six words each, drawn from the same words but the 200 most frequent, as stop words are left out."""
    rng = random.Random(11)
    heavy = _weights[199]
    picks = [[w - heavy for w in _weights[200:]]] * count
    return [" ".join(rng.choices(_vocabulary[200:], cum_weights=each, k=6)) for each in picks]


async def build(data: Path, chunks: int, knowledge_bases: int, restricted: int) -> None:
    """Fill the index in ``data``. The vectors are random: what is timed is the search, not what it finds.

    ``restricted`` documents, evenly spread, are each for somebody else: ``reader0``, ``reader1`` …
    """
    rng, numbers = random.Random(3), np.random.default_rng(5)
    settings = load_settings({}, data=data)
    index = open_index(settings, open_embedder(settings))
    count = chunks // CHUNKS_PER_DOCUMENT
    access = {i * count // restricted: (f"reader{i}",) for i in range(restricted)}
    for i in range(count):
        texts = [
            " ".join(rng.choices(_vocabulary, cum_weights=_weights, k=WORDS_PER_CHUNK)) + "."
            for _ in range(CHUNKS_PER_DOCUMENT)
        ]
        ends = list(accumulate(len(text) + 1 for text in texts))
        spans = [Chunk(end - 1 - len(text), end - 1) for end, text in zip(ends, texts, strict=True)]
        vectors = numbers.standard_normal((len(texts), DIMENSIONS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        kb_id, name = f"kb{i % knowledge_bases}", f"{i}.txt"
        document = Document(document_id(kb_id, name), name, kb_id, "\n".join(texts), access.get(i))
        await index.put(document, str(i), spans, vectors.tolist())
    await index.aclose()


def built(data: Path, chunks: int, knowledge_bases: int, restricted: int = 0) -> Path:
    """The folder of such an index; made where it is not there yet."""
    folder = data / f"made-up-{chunks}-{knowledge_bases}-{restricted}"
    if not (folder / "index.db").exists():
        asyncio.run(build(folder, chunks, knowledge_bases, restricted))
    return folder
