from __future__ import annotations

import asyncio
import ctypes
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from citestream.retrieval import minilm
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.minilm import MiniLM
from tests.unit import installed_minilm

# What another implementation (origin in the file) makes of the same texts with the weights before they are rounded.
REFERENCE = json.loads(Path(__file__).with_name("minilm_vectors.json").read_text("utf-8"))
TEXTS = [case["text"] for case in REFERENCE["cases"]]


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM(installed_minilm.required())


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["text"][:20])
async def test_rounded_weights_give_the_vectors_of_the_whole_ones(
    embedder: MiniLM, case: dict[str, list[float]]
) -> None:
    assert np.dot((await embedder.embed([str(case["text"])]))[0], case["vector"]) > 0.999


async def test_is_an_embedder(embedder: MiniLM) -> None:
    narrow: Embedder = embedder
    vectors = await narrow.embed(TEXTS)
    assert narrow.id == "all-MiniLM-L6-v2@1110a243/int8"
    assert np.shape(vectors) == (len(TEXTS), narrow.dimensions) == (len(TEXTS), 384)


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ("Who may leave the café?", 0.4),
        ("who leaves zzyzx quickly", 0.35),
        ("Wer darf wann Urlaub nehmen?", 0.2),
        ("abc где", 0.15),
        ("отпуск", 0),
        ("天气", 0),
        ("42", 0),
        ("?!", 0),
    ],
)
def test_meaning_weighs_as_much_as_the_model_knows_of_the_query(embedder: MiniLM, query: str, weight: float) -> None:
    assert embedder.weight(query) == pytest.approx(weight)


async def test_vectors_have_length_one(embedder: MiniLM) -> None:
    lengths = np.linalg.norm(await embedder.embed([*TEXTS, "", " \n", "\ud800"]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


async def test_a_text_has_the_same_vector_alone_and_in_company(embedder: MiniLM) -> None:
    alone = [(await embedder.embed([text]))[0] for text in TEXTS]
    np.testing.assert_allclose(await embedder.embed(TEXTS), alone, atol=1e-6)


async def test_no_texts_give_no_vectors(embedder: MiniLM) -> None:
    assert await embedder.embed([]) == []


async def test_what_is_beyond_256_tokens_has_no_part(embedder: MiniLM) -> None:
    texts = ["leave " * 254, "leave " * 254 + "zebra " * 100_000, "leave " * 253]
    cut, longer, shorter = np.asarray(await embedder.embed(texts))
    np.testing.assert_allclose(longer, cut, atol=1e-6)
    assert np.abs(shorter - cut).max() > 1e-5


async def test_threads_do_not_disturb_each_other(embedder: MiniLM) -> None:
    texts = TEXTS * 4
    expected = await embedder.embed(texts)
    vectors = [vector for (vector,) in await asyncio.gather(*(embedder.embed([text]) for text in texts))]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


async def test_without_openblas_the_vectors_are_the_same(embedder: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    other = MiniLM(installed_minilm.required())
    np.testing.assert_allclose(await other.embed(TEXTS), await embedder.embed(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("question", "paraphrase", "unrelated"),
    [
        ("How do I reset my password?", "Steps to recover a forgotten login", "The cafeteria opens at noon"),
        ("Who pays for the train?", "Travel expenses are reimbursed", "Backups are encrypted at rest"),
        ("The server crashed.", "The machine went down unexpectedly.", "Our holiday policy changed."),
    ],
)
async def test_a_paraphrase_is_nearer_than_another_matter(
    embedder: MiniLM, question: str, paraphrase: str, unrelated: str
) -> None:
    asked, near, far = np.asarray(await embedder.embed([question, paraphrase, unrelated]))
    assert asked @ near > asked @ far + 0.1


async def test_load_gives_the_installed_embedder(embedder: MiniLM) -> None:
    loaded = minilm.load()
    assert loaded is not None
    np.testing.assert_array_equal(await loaded.embed(TEXTS[:1]), await embedder.embed(TEXTS[:1]))


def test_load_gives_none_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert minilm.load() is None


def test_load_gives_none_without_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    assert minilm.load() is None
