"""Ways to search the same texts, ours and simpler ones, and what a ranking is worth."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from citestream.evaluation.ingested import KB_ID, ingest
from citestream.model import Passage
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.selection import FETCHED, select
from citestream.retrieval.sqlite_index import CANDIDATES, SqliteIndex

#: The best passages for a query, so many at most.
Search = Callable[[str, int], Awaitable[Sequence[Passage]]]

OURS = "as the product does"
HYBRID = "without selection"
WORDS = "words alone"
MEANING = "vectors alone"
RANKS = "reciprocal rank fusion"
# As Cormack, Clarke and Büttcher proposed it (SIGIR 2009).
_RANK_CONSTANT = 60


@asynccontextmanager
async def ways(texts: Mapping[str, str], embedder: Embedder) -> AsyncGenerator[Mapping[str, Search]]:
    """The searches by name over one index of the texts, which goes when it is left."""
    async with AsyncExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory()), "index.db")
        hybrid, words, meaning = (SqliteIndex(path, each) for each in (embedder, None, _Meaning(embedder)))
        for index in (hybrid, words, meaning):
            stack.push_async_callback(index.aclose)
        await ingest(texts, hybrid, embedder)

        async def ours(query: str, limit: int) -> Sequence[Passage]:
            return select(query, await by_both(query, FETCHED), limit)

        async def by_ranks(query: str, limit: int) -> Sequence[Passage]:
            return by_reciprocal_ranks(*[await search(query, CANDIDATES) for search in (by_words, by_meaning)])[:limit]

        by_both, by_words, by_meaning = map(_search, (hybrid, words, meaning))
        yield {OURS: ours, HYBRID: by_both, RANKS: by_ranks, MEANING: by_meaning, WORDS: by_words}


def by_reciprocal_ranks(*rankings: Iterable[Passage]) -> list[Passage]:
    """One ranking out of several, by the sum over them of ``1 / (60 + rank)``; of equals the first seen is first."""
    totals: defaultdict[str, float] = defaultdict(float)
    passages: dict[str, Passage] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, start=1):
            totals[passage.chunk_id] += 1 / (_RANK_CONSTANT + rank)
            passages.setdefault(passage.chunk_id, passage)
    return [passages[id] for id in sorted(totals, key=totals.__getitem__, reverse=True)]


def ndcg(hits: Sequence[bool], relevant: int, depth: int = 10) -> float:
    """Normalised discounted cumulative gain of a ranking's first ``depth``.

    ``hits`` says of each rank whether it is relevant; ``relevant`` is how many of them there are to be found.
    """
    gain = sum(_discount(rank) for rank, hit in enumerate(hits[:depth]) if hit)
    return gain / sum(map(_discount, range(min(depth, relevant))))


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 2)


def _search(index: SqliteIndex) -> Search:
    async def search(query: str, limit: int) -> Sequence[Passage]:
        return await index.search(query, [KB_ID], limit)

    return search


class _Meaning:
    """The embedder, with words counting nothing beside it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.id, self.dimensions = embedder.id, embedder.dimensions

    def weight(self, query: str) -> float:
        return 1.0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return await self._embedder.embed(texts)
