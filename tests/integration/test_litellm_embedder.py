"""The embedder that asks a hosted model, against real HTTP servers: Titan on Bedrock, and OpenAI's kind."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future
from types import ModuleType

import pytest

from citestream import provider
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.retrieval.litellm_embedder import LiteLLMEmbedder
from tests.models import BEDROCK, KINDS, OPENAI, Kind, Models
from tests.models import litellm as litellm
from tests.models import models as models
from tests.scripted_server import CUT, PATIENCE, Reply, Status, Step, Whole, bag_of_words
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
SECRET = "what the provider says"
LATER = {"retry-after": "3600"}


def embedder(kind: Kind, dimensions: int = 256, patience: float = 30.0) -> LiteLLMEmbedder:
    return LiteLLMEmbedder(kind.embedding_model, dimensions, patience_seconds=patience)


def similarity(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@each_kind
async def test_similar_texts_have_near_vectors_of_length_one(models: Models, kind: Kind) -> None:
    texts = ["how long are backups kept", "backups are kept for a month", "the weather in Rome"]
    kept, month, rome = (list(vector) for vector in await embedder(kind).embed(texts))
    assert len(kept) == 256
    assert similarity(kept, kept) == pytest.approx(1)
    assert similarity(kept, month) > similarity(kept, rome) + 0.3


@each_kind
async def test_many_texts_keep_their_order(models: Models, kind: Kind) -> None:
    texts = [f"word{number}" for number in range(80)]
    vectors = await embedder(kind, dimensions=1024).embed(texts)
    for text, vector in zip(texts, vectors, strict=True):
        assert vector == pytest.approx(bag_of_words(text, 1024))
    assert len(models[kind].replies) == (3 if kind is OPENAI else 80)


async def test_vectors_are_taken_by_their_index(models: Models) -> None:
    data = [{"object": "embedding", "index": index, "embedding": [float(index), 1.0]} for index in (1, 0)]
    counts = {"prompt_tokens": 2, "total_tokens": 2}
    models.openai.reply(Whole({"object": "list", "model": "m", "data": data, "usage": counts}), to="embeddings")
    first, second = await embedder(OPENAI, dimensions=2).embed(["a", "b"])
    assert first[0] == 0.0
    assert second[0] == pytest.approx(0.5**0.5)


@each_kind
async def test_no_texts_need_no_request(models: Models, kind: Kind) -> None:
    assert await embedder(kind).embed([]) == []
    assert models[kind].replies == []


async def test_texts_are_asked_for_side_by_side_and_not_all_at_once(models: Models) -> None:
    waiting = [models.bedrock.reply(to="invoke") for _ in range(20)]
    embedding = asyncio.create_task(embedder(BEDROCK).embed([f"word{number}" for number in range(20)]))
    for reply in waiting[:8]:
        await reply.arrived()
    await asyncio.sleep(0.05)
    assert len(models.bedrock.replies) == 8
    for reply in waiting:
        answer_titan(reply, 256)
    assert len(await asyncio.wait_for(embedding, PATIENCE)) == 20


def answer_titan(reply: Reply, dimensions: int) -> None:
    reply.send(Whole({"embedding": [1.0] * dimensions, "inputTextTokenCount": 1}))


@each_kind
@pytest.mark.parametrize("step", [Status(429), Status(500), Status(503), CUT], ids=str)
async def test_a_passing_failure_is_not_noticed(models: Models, kind: Kind, step: Step) -> None:
    models[kind].reply(step, to=kind.embeds_at)
    assert len(await embedder(kind).embed(["a"])) == 1
    assert len(models[kind].replies) == 2


@each_kind
async def test_a_busy_provider_is_asked_again_when_it_said(models: Models, kind: Kind) -> None:
    models[kind].reply(Status(429, headers={"retry-after": "0.5"}), to=kind.embeds_at)
    began = time.monotonic()
    await embedder(kind).embed(["a"])
    assert time.monotonic() - began >= 0.5


@each_kind
@pytest.mark.parametrize(
    ("statuses", "message", "retryable"),
    [
        pytest.param([Status(400, SECRET)], "rejected the request", False, id="400"),
        pytest.param([Status(403, SECRET)], "does not let this server use the model", False, id="403"),
        pytest.param([Status(404, SECRET)], "does not exist", False, id="404"),
        pytest.param([Status(429, SECRET, LATER)], "busy", True, id="429"),
        pytest.param([Status(503, SECRET), Status(503, SECRET, LATER)], "failed", True, id="503"),
        pytest.param([Status(503, SECRET), Status(400, SECRET)], "rejected the request", False, id="503, 400"),
    ],
)
async def test_what_patience_does_not_mend_is_a_failure(
    models: Models,
    kind: Kind,
    statuses: list[Status],
    message: str,
    retryable: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for status in statuses:
        models[kind].reply(status, to=kind.embeds_at)
    with pytest.raises(EmbeddingFailed, match=message) as failed, caplog.at_level(logging.INFO):
        await embedder(kind).embed(["a"])
    assert failed.value.retryable is retryable
    assert len(models[kind].replies) == len(statuses)
    assert SECRET not in caplog.text + str(failed.value)
    assert all(message.startswith(f"{kind.embedding_model}: ") for message in caplog.messages)


@each_kind
async def test_a_provider_that_fails_on_is_asked_until_patience_ends(models: Models, kind: Kind, hurry: Hurry) -> None:
    for _ in range(2):
        models[kind].reply(Status(503), to=kind.embeds_at)
    last = models[kind].reply(to=kind.embeds_at)
    embedding = asyncio.create_task(embedder(kind, patience=1000.0).embed(["a"]))
    await last.arrived()
    hurry(1000.0)
    last.send(Status(503))
    with pytest.raises(EmbeddingFailed):
        await embedding
    assert len(models[kind].replies) == 3


@each_kind
async def test_a_response_that_does_not_come_is_a_failure(models: Models, kind: Kind, hurry: Hurry) -> None:
    reply = models[kind].reply(to=kind.embeds_at)
    embedding = asyncio.create_task(embedder(kind, patience=5.0).embed(["a"]))
    await reply.arrived()
    hurry(5.0)
    with pytest.raises(EmbeddingFailed, match="took too long to respond") as failed:
        await embedding
    assert failed.value.retryable
    assert await reply.closed_by_client()


async def test_what_the_import_takes_is_none_of_the_models_time(models: Models, hurry: Hurry) -> None:
    library, importing = await provider.library(), Future[ModuleType]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provider, "_importing", lambda: importing)
        embedding = asyncio.create_task(embedder(OPENAI).embed(["a"]))
        for _ in range(20):
            await asyncio.sleep(0)
        hurry(1000)
        for _ in range(20):
            await asyncio.sleep(0)
        importing.set_result(library)
        assert len(await embedding) == 1


async def test_one_failure_ends_the_other_requests(models: Models) -> None:
    waiting = [models.bedrock.reply(to="invoke") for _ in range(3)]
    embedding = asyncio.create_task(embedder(BEDROCK).embed(["a", "b", "c"]))
    for reply in waiting:
        await reply.arrived()
    waiting[1].send(Status(403))
    with pytest.raises(EmbeddingFailed):
        await embedding
    assert [await reply.closed_by_client() for reply in waiting] == [True, False, True]


async def test_cancelling_ends_the_requests(models: Models) -> None:
    waiting = [models.bedrock.reply(to="invoke") for _ in range(3)]
    embedding = asyncio.create_task(embedder(BEDROCK).embed(["a", "b", "c"]))
    for reply in waiting:
        await reply.arrived()
    embedding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await embedding
    assert all([await reply.closed_by_client() for reply in waiting])


async def test_other_dimensions_are_refused_by_name(models: Models) -> None:
    await embedder(BEDROCK, dimensions=512).embed(["a"])
    answer_titan(models.bedrock.reply(to="invoke"), 256)
    with pytest.raises(EmbeddingFailed) as failed:
        await embedder(BEDROCK, dimensions=512).embed(["a"])
    assert failed.value.message == (
        "The embedding model bedrock/amazon.titan-embed-text-v2:0 gives vectors of 256 dimensions, not of 512."
    )


async def test_the_request_is_titans(models: Models) -> None:
    await embedder(BEDROCK).embed(["Backups"])
    (reply,) = models.bedrock.replies
    assert reply.path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert await reply.arrived() == {"inputText": "Backups", "dimensions": 256}


async def test_its_own_server_needs_no_key(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9")  # nobody is there
    own = LiteLLMEmbedder("openai/nomic-embed-text", 1536, models.openai.base_url)
    assert len(await own.embed(["a"])) == 1


def test_vectors_of_other_models_or_dimensions_have_other_ids() -> None:
    ids = {
        LiteLLMEmbedder(model, dimensions).id
        for model in (OPENAI.embedding_model, BEDROCK.embedding_model)
        for dimensions in (256, 512)
    }
    assert len(ids) == 4


def test_what_it_says_of_itself() -> None:
    assert embedder(BEDROCK).dimensions == 256
    assert embedder(BEDROCK).weight("備份保留多久？") == 0.5
