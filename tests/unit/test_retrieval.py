"""Fusion and the embedded index: what is found, where, and by whom."""

from __future__ import annotations

import math
import sqlite3
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import Access, Chunk, Document, document_id
from citestream.retrieval import sqlite_reads
from citestream.retrieval.embedder import Vectors
from citestream.retrieval.fusion import fuse
from citestream.retrieval.index import Principals
from citestream.retrieval.sqlite_index import CANDIDATES, SqliteIndex
from citestream.retrieval.vectors import VectorCache
from citestream.retrieval.words import latin_share


def test_fusion_scales_each_side_and_weighs_it() -> None:
    ranked = fuse({1: 10.0, 2: 5.0}, {2: 0.9, 3: 0.5, 4: 0.1}, weight=0.4)
    assert [key for key, _ in ranked] == [2, 1, 3]
    assert [score for _, score in ranked] == pytest.approx([0.7, 0.6, 0.2])


def test_fusion_with_one_side_alone_uses_the_whole_scale() -> None:
    assert fuse({1: 4.0, 2: 2.0}, {}, weight=0.4) == [(1, 1.0), (2, 0.5)]
    assert fuse({}, {9: 0.8, 2: 0.8}, weight=1.0) == [(2, 1.0), (9, 1.0)]
    assert fuse({}, {1: 0.8}, weight=0.0) == []
    assert fuse(dict[int, float](), {}, weight=0.4) == []


def test_fusion_knows_candidates_by_strings_too() -> None:
    assert fuse({"b": 2.0, "a": 2.0}, {"c": 0.1}, weight=0.5) == [("a", 0.5), ("b", 0.5), ("c", 0.5)]


class Letters:
    """An embedder whose vectors can be worked out by hand: which of the letters a, b, c, d, я the text has."""

    dimensions = 5

    def __init__(self, name: str = "letters/1") -> None:
        self.id = name
        self.read: list[str] = []

    def weight(self, query: str) -> float:
        return 0.4 * latin_share(query)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.read += texts
        rows = [[float(letter in text) for letter in "abcdя"] for text in texts]
        return [[number / max(math.hypot(*row), 1e-6) for number in row] for row in rows]


@pytest.fixture
async def index(tmp_path: Path) -> AsyncGenerator[SqliteIndex]:
    index = SqliteIndex(tmp_path / "index.db", Letters())
    yield index
    await index.aclose()


async def put(
    index: SqliteIndex, kb_id: str, name: str, *texts: str, vectors: bool = True, access: Access = None
) -> Document:
    text = "\n".join(texts)
    spans = [Chunk(text.index(each), text.index(each) + len(each), page=1, section="Top") for each in texts]
    document = Document(document_id(kb_id, name), name, kb_id, text, access)
    await index.put(document, text, spans, await Letters().embed(texts) if vectors else None)
    return document


async def names(index: SqliteIndex, query: str, *kb_ids: str) -> list[str]:
    return [passage.document_name for passage in await index.search(query, kb_ids, 8)]


@pytest.mark.parametrize(("kb_id", "access"), [("theirs", None), ("theirs", ()), ("mine", ()), ("mine", ("alice",))])
@pytest.mark.parametrize("secret", ["apples green", "pears green", "plums green"])
async def test_a_score_tells_nothing_of_what_may_not_be_read(
    index: SqliteIndex, secret: str, kb_id: str, access: Access
) -> None:
    for i, text in enumerate(
        ["apples red", "apples blue", "pears red", "lemons red", "melons blue", "grapes blue", "figs blue"]
    ):
        await put(index, "mine", f"{i}.md", text, vectors=False)

    async def scores(principals: Principals) -> dict[str, float]:
        passages = await index.search("apples or pears, red", ["mine"], 8, principals)
        return {each.text: each.score for each in passages}

    before = await scores(frozenset({"bob"}))
    assert set(before) == {"apples red", "apples blue", "pears red", "lemons red"}
    for i in range(20):
        await put(index, kb_id, f"secret {i}.md", secret, vectors=False, access=access)
    assert await scores(frozenset({"bob"})) == before


async def test_each_of_many_words_is_found(index: SqliteIndex) -> None:
    await put(index, "mine", "it.md", "word127", vectors=False)
    await put(index, "theirs", "it.md", "word127", vectors=False)
    query = " ".join(f"word{i}" for i in range(128))
    assert len(await index.search(query, ["mine"], 8)) == 1


async def test_what_comes_after_a_search_is_found_by_meaning_too(index: SqliteIndex) -> None:
    await put(index, "kb", "x.md", "bbb")
    assert await names(index, "za", "kb") == ["x.md"]
    await put(index, "kb", "y.md", "aaa")
    assert await names(index, "za", "kb") == ["y.md"]


async def test_the_nearest_of_many_are_found(index: SqliteIndex) -> None:
    await put(index, "kb", "half.md", *(f"abcd {i}" for i in range(CANDIDATES + 50)))
    await put(index, "kb", "best.md", "aaa")
    await put(index, "other", "half too.md", *(f"abcd {i}" for i in range(CANDIDATES + 50)))
    assert await names(index, "za", "kb", "other") == ["best.md"]


async def test_a_query_that_the_embedder_can_not_read_is_searched_by_words_alone(index: SqliteIndex) -> None:
    await put(index, "kb", "words.md", "груша")
    await put(index, "kb", "meaning.md", "яя")
    assert await names(index, "груша", "kb") == ["words.md"]
    assert await names(index, "я", "kb") == []
    assert await names(index, "я z", "kb") == ["meaning.md"]


async def test_nothing_is_embedded_that_would_weigh_nothing(tmp_path: Path) -> None:
    embedder = Letters()
    index = SqliteIndex(tmp_path / "index.db", embedder)
    await put(index, "kb", "words.md", "груша")
    for query, kb_id in (("груша", "kb"), ("a", "nowhere"), ("a", "kb")):
        await index.search(query, [kb_id], 8)
    assert embedder.read == ["a"]
    await index.aclose()


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("东京的天气预报今天很好", "天气预报"),
        ("日本語の文書を検索します", "文書を検索"),
        ("การค้นหาเอกสารภาษาไทย", "เอกสาร"),
        ("ที่นี่มีน้ำดื่ม", "น้ำดื่ม"),
        ("हिन्दी में खोज करना आसान है", "हिन्दी"),
        ("বাংলা ভাষায় নথি খোঁজা", "বাংলা"),
        ("தமிழ் மொழியில் தேடல்", "தேடல்"),
        ("كِتَابٌ عَنِ الشَّايِ", "الشَّايِ"),
        ("Die Größe der Bücher", "bucher"),
        ("Die Größe der Bücher", "bu\u0308cher"),
        ("한국어 문서", unicodedata.normalize("NFD", "문서")),
        ("the policies were changed", "policy change"),
    ],
)
async def test_words_of_many_scripts_are_found(index: SqliteIndex, text: str, query: str) -> None:
    await put(index, "kb", "it.md", text, vectors=False)
    await put(index, "kb", "other.md", "unrelated", vectors=False)
    assert (await names(index, query, "kb"))[0] == "it.md"


@pytest.mark.parametrize(
    "query", ['"', "* OR *", "text: NEAR(", "a AND NOT b", "'; DROP TABLE words", "\x00", "😀", "\u0301"]
)
async def test_a_query_is_words_and_no_syntax(index: SqliteIndex, query: str) -> None:
    await put(index, "kb", "it.md", "drop near tables")
    assert await index.search(query, ["kb"], 8) is not None
    assert await names(index, "tables", "kb") == ["it.md"]


async def test_a_document_that_goes_or_moves_leaves_no_row(index: SqliteIndex, tmp_path: Path) -> None:
    """How many rows each table has once a document is in, has got other readers, and is removed."""

    def rows() -> list[int]:
        with closing(sqlite3.connect(tmp_path / "index.db")) as file, file:
            tables = ("shelves", "documents", "chunks", "vectors", "failures", "words WHERE words MATCH 'apples'")
            return [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    document = await put(index, "kb", "x.md", "apples", "pears")
    assert rows() == [1, 1, 2, 2, 0, 1]
    await index.fail(document.document_id, "kb", "x.md", "empty")
    await put(index, "kb", "x.md", "apples", "pears", access=("alice",))
    assert rows() == [1, 1, 2, 2, 0, 1]
    await index.fail(document.document_id, "kb", "x.md", "empty")
    assert await index.remove(document.document_id)
    assert rows() == [0, 0, 0, 0, 0, 0]


async def test_vectors_that_nobody_finds_are_not_kept_in_memory(index: SqliteIndex, tmp_path: Path) -> None:
    cache = VectorCache(5)
    with closing(sqlite3.connect(tmp_path / "index.db")) as file:
        for access in (None, ("alice",), ("bob",)):
            await put(index, "kb", "x.md", "abc", access=access)
            shelves = sqlite_reads.shelves(file, ["kb"], None)
            assert len(cache.nearest(file, [1, 0, 0, 0, 0], shelves.items(), 8)) == 1
            assert cache.shelves == shelves.keys()


async def test_without_an_embedder_words_alone_are_searched(tmp_path: Path) -> None:
    index = SqliteIndex(tmp_path / "index.db", None)
    await put(index, "kb", "x.md", "tokens", vectors=False)
    assert await names(index, "tokens", "kb") == ["x.md"]
    assert await names(index, "else", "kb") == []
    await index.aclose()


async def test_vectors_of_different_embedders_are_never_mixed(index: SqliteIndex, tmp_path: Path) -> None:
    await put(index, "kb", "x.md", "abc")
    other = SqliteIndex(tmp_path / "index.db", Letters("letters/2"))
    with pytest.raises(WrongIndex, match=r"letters/1.*letters/2.*ingest again"):
        other.check()
    await other.aclose()


async def test_a_file_of_another_schema_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "index.db")) as file, file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(WrongIndex, match=r"schema version 99.*move it away"):
        SqliteIndex(tmp_path / "index.db", None).check()


async def test_a_file_that_is_no_database_is_a_store_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database, but long enough to look at" * 100)
    index = SqliteIndex(tmp_path / "index.db", None)
    with pytest.raises(StoreUnavailable, match=r"index\.db: file is not a database"):
        await index.knowledge_bases()
    await index.aclose()


async def test_a_write_that_fails_changes_nothing(index: SqliteIndex) -> None:
    await put(index, "kb", "x.md", "apples")
    text = "pears"
    broken = Document(document_id("kb", "x.md"), "x.md", "kb", text)
    with pytest.raises(StoreUnavailable):
        await index.put(broken, "h", [Chunk(0, 5, page="not a number", section=object())], None)  # type: ignore[arg-type]
    assert [passage.text for passage in await index.search("apples pears", ["kb"], 8)] == ["apples"]
    for _ in range(8):  # by whichever of the threads
        await put(index, "kb", "x.md", "plums")
    assert [passage.text for passage in await index.search("plums", ["kb"], 8)] == ["plums"]
