"""Evaluations ingest as the product does, find places again, and embed each text once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from citestream.evaluation.embeddings import Cached
from citestream.evaluation.ingested import KB_ID, ingested, located
from citestream.retrieval.embedder import Vectors


class Counting:
    """An embedder that takes note of what it is given."""

    dimensions = 2

    def __init__(self, id: str = "counting/1") -> None:
        self.id = id
        self.given: list[str] = []

    def weight(self, query: str) -> float:
        return 0.25 * len(query)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.given += texts
        return [[len(text) / 8, 0.5] for text in texts]


async def test_each_text_is_embedded_once_whoever_asks(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    cached = Cached(first, tmp_path / "kept" / "vectors.db")
    assert [list(each) for each in await cached.embed(["a", "bb", "a"])] == [[0.125, 0.5], [0.25, 0.5], [0.125, 0.5]]
    again = Cached(second, tmp_path / "kept" / "vectors.db")
    assert [list(each) for each in await again.embed(["ccc", "a"])] == [[0.375, 0.5], [0.125, 0.5]]
    assert (first.given, second.given) == (["a", "bb"], ["ccc"])
    assert await again.embed([]) == []


async def test_another_embedder_has_vectors_of_its_own(tmp_path: Path) -> None:
    await Cached(Counting("counting/1"), tmp_path / "vectors.db").embed(["a"])
    other = Counting("counting/2")
    await Cached(other, tmp_path / "vectors.db").embed(["a"])
    assert other.given == ["a"]


async def test_what_two_embed_at_once_is_kept_once(tmp_path: Path) -> None:
    cached = Cached(Counting(), tmp_path / "vectors.db")
    one, other = await asyncio.gather(cached.embed(["a", "b"]), cached.embed(["b", "c"]))
    assert one[1] == other[0]


def test_else_it_is_the_embedder_that_it_stands_for(tmp_path: Path) -> None:
    cached = Cached(Counting(), tmp_path / "vectors.db")
    assert (cached.id, cached.dimensions, cached.weight("ab")) == ("counting/1", 2, 0.5)


async def test_texts_are_found_as_documents_by_name() -> None:
    texts = {"a/apples.md": "# Fruit\r\n\r\nApples are red.", "pears.txt": "Pears are green."}
    async with ingested(texts, Counting()) as index:
        (found, *_) = await index.search("apples", [KB_ID], 8)
    assert (found.document_name, found.section, found.text) == ("a/apples.md", "Fruit", "# Fruit\n\nApples are red.")


async def test_a_text_that_is_no_document_is_no_part_of_a_measurement() -> None:
    with pytest.raises(ValueError, match=r"empty\.txt is not read: empty"):
        async with ingested({"empty.txt": " "}, Counting()):
            pass


@pytest.mark.parametrize(
    ("raw", "words", "expected"),
    [
        ("One two three.", "two", (4, 7)),
        ("\r\n\r\nOne\r\ntwo", "One\r\ntwo", (0, 7)),
        ("\ufeff\n\n\n\nA no\u00adtice.  \n\n\n\nAnd a\u00a0notice", "a\u00a0notice", (15, 23)),
        ("Bu\u0308cher, Bu\u0308cher, Bu\u0308cher", " Bu\u0308cher", (8, 14)),
    ],
    ids=["as it is", "line ends", "what is dropped", "composed"],
)
def test_a_place_of_the_original_is_found_in_the_normal_form(raw: str, words: str, expected: tuple[int, int]) -> None:
    start = raw.index(words)
    assert located(raw, (start, start + len(words))) == expected


def test_of_the_same_words_the_nearest_are_meant() -> None:
    raw = "\r\n".join(["one"] * 30)
    spans = [located(raw, (at, at + 3)) for at in range(0, len(raw), 5)]
    assert spans == [(at, at + 3) for at in range(0, 30 * 4, 4)]


def test_white_space_is_no_place() -> None:
    with pytest.raises(ValueError, match="nowhere in the normalised text"):
        located("One  \n\ntwo", (3, 6))
