"""Connections that are cut at any byte, in any part of an answer: nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from citestream.answer.answerer import Ending
from citestream.answer.history import Turn
from citestream.answer.pipeline import Pipeline
from citestream.app import Engine, create_local_app, make_hub
from citestream.model import Chunk, Document, Passage, Token
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.settings import load_settings
from citestream.streams.entry import to_frame
from tests.answers import Alone
from tests.contract_client import ContractClient
from tests.cutting_proxy import cutting
from tests.faults import Place, answer, repeatable, runs
from tests.faults import place as place
from tests.server import serving

# What a response has about as many bytes of.
_SHORTEST, _LONGEST = 600, 2500


class Hesitant(Alone):
    """Says what is made up of the question's seed, and stops for a moment now and then."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        seed = int(question.split()[-1])
        self.asked.append(seed)
        rng = random.Random(seed)
        for event in answer(seed, ""):
            if isinstance(event, Token):
                yield event.text
                await asyncio.sleep(rng.choice([0, 0, 0.002, 0.02]))
        yield Ending("stop")


@pytest.fixture
def answerer() -> Hesitant:
    return Hesitant()


@pytest.fixture
async def url(place: Place, answerer: Hesitant, tmp_path: Path) -> AsyncGenerator[str]:
    index = SqliteIndex(tmp_path / "index.db", None)
    text = "Tokens live for an hour."
    await index.put(Document("d", "tokens.md", "kb", text), "digest", [Chunk(0, len(text))], None)
    settings = load_settings({}, coalesce_seconds=0, heartbeat_seconds=0.01, max_answers=1000)
    async with place.log() as log:
        engine = Engine(index, None, Pipeline(index, answerer), make_hub(settings, log))
        with serving(create_local_app(settings, engine)) as url:
            yield url


def collected(url: str, seed: int) -> ContractClient:
    """What a client has of the answer whose connections are cut, a few times."""
    rng = random.Random(f"cuts {seed}")
    cuts = [rng.randint(1, each) for each in (_SHORTEST, *rng.choices([_SHORTEST, _LONGEST], k=rng.randint(0, 4)))]
    with repeatable(seed), cutting(url, cuts) as proxy:
        client = ContractClient(proxy.url, f"tokens {seed}", f"key{seed}", rng)
        client.read()
        assert proxy.cuts > 0
    return client


@runs(25, together=25)
async def test_what_arrives_is_what_is_kept_byte_for_byte(
    place: Place, url: str, answerer: Hesitant, seeds: list[int]
) -> None:
    with ThreadPoolExecutor(8) as clients:
        loop = asyncio.get_running_loop()
        all_collected = await asyncio.gather(*(loop.run_in_executor(clients, collected, url, seed) for seed in seeds))
    assert sorted(answerer.asked) == seeds
    async with place.log() as log:
        for seed, client in zip(seeds, all_collected, strict=True):
            with repeatable(seed):
                kept = await log.read(client.stream_id, 0)
                assert client.frames == [to_frame(entry, client.stream_id) for entry in kept]
                assert kept[-1].event == "done"
                assert await log.admission.take_slot("local", f"{seed}", 1.0, 1) is None
