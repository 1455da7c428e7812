"""What every index does, whatever it is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from citestream.errors import WrongIndex
from citestream.model import Access, Chunk, Document, DocumentEntry, KnowledgeBase, Passage, document_id, may_see
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.index import Index, Indexed, Principals
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.settings import load_settings
from citestream.stores import open_aws_index
from tests.bucket import QuickAws, WordBag

#: Opens the test's index as one more process does.
Open = Callable[[Embedder], Index]


def open_sqlite(request: pytest.FixtureRequest) -> Open:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda embedder: SqliteIndex(folder / "index.db", embedder)


def open_aws(request: pytest.FixtureRequest) -> Open:
    settings = load_settings(request.getfixturevalue("aws_stores").environ)
    return lambda embedder: open_aws_index(settings, embedder, QuickAws())


OPENERS: dict[str, Callable[[pytest.FixtureRequest], Open]] = {"sqlite": open_sqlite, "aws": open_aws}


@pytest.fixture(params=OPENERS)
async def open_index(request: pytest.FixtureRequest) -> AsyncGenerator[Open]:
    opener = OPENERS[request.param](request)
    async with AsyncExitStack() as stack:

        def opened(embedder: Embedder) -> Index:
            index = opener(embedder)
            stack.push_async_callback(index.aclose)
            return index

        yield opened


@pytest.fixture
async def index(open_index: Open) -> Index:
    return open_index(WordBag())


async def put(index: Index, kb_id: str, name: str, *texts: str, access: Access = None) -> Document:
    """A document of these chunks, on page 1 of a section named Top."""
    text = "\n".join(texts)
    starts = [len("\n".join(["", *texts[:i]])) for i in range(len(texts))]
    spans = [Chunk(start, start + len(each), 1, "Top") for start, each in zip(starts, texts, strict=True)]
    document = Document(document_id(kb_id, name), name, kb_id, text, access)
    await index.put(document, f"digest of {text}", spans, await WordBag().embed(texts))
    return document


async def fail(index: Index, kb_id: str, name: str, reason: str, access: Access = None) -> str:
    id = document_id(kb_id, name)
    await index.fail(id, kb_id, name, reason, access)
    return id


async def found(index: Index, query: str, *kb_ids: str, top_k: int = 8, principals: Principals = None) -> list[str]:
    return [passage.document_name for passage in await index.search(query, kb_ids or ["kb"], top_k, principals)]


async def listed(index: Index, kb_id: str = "kb", **paging: Any) -> list[str]:
    return [entry.document_name for entry in await index.documents(kb_id, **paging)]


# --- what is found


async def test_a_passage_is_a_span_of_its_document(index: Index) -> None:
    document = await put(index, "one", "x/y.md", "The first chunk.", "A second 👩‍👩‍👧 chunk about tokens.")
    (best, *_) = await index.search("tokens", ["one"], 8)
    assert best == Passage(
        f"{document.document_id}-1",
        document.document_id,
        "x/y.md",
        "one",
        "A second 👩‍👩‍👧 chunk about tokens.",
        17,
        len(document.text),
        1,
        "Top",
        best.score,
    )
    assert document.text[best.char_start : best.char_end] == best.text


async def test_words_and_meaning_both_find(index: Index) -> None:
    await put(index, "kb", "words.md", "the car papers")
    await put(index, "kb", "meaning.md", "an automobile")
    await put(index, "kb", "neither.md", "bread butter cheese")
    assert (await found(index, "car"))[:2] == ["words.md", "meaning.md"]


async def test_scores_are_from_0_to_1_and_the_best_come_first(index: Index) -> None:
    for i in range(6):
        await put(index, "kb", f"{i}.md", "pay " * i + "bread butter cheese milk")
    scores = [passage.score for passage in await index.search("salary pay bread", ["kb"], 6)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (3, 3), (20, 5)])
async def test_no_more_are_given_than_asked_for(index: Index, top_k: int, count: int) -> None:
    await put(index, "kb", "x.md", *(f"apples number {i}" for i in range(5)))
    assert len(await found(index, "apples", top_k=top_k)) == count


async def test_only_the_named_knowledge_bases_are_searched(index: Index) -> None:
    for kb_id in ("one", "two", "three"):
        await put(index, kb_id, f"{kb_id}.md", "tokens abc")
    assert await found(index, "tokens", "two") == ["two.md"]
    assert sorted(await found(index, "tokens", "one", "three", "nowhere")) == ["one.md", "three.md"]
    assert await found(index, "tokens", "nowhere") == []
    assert await index.search("tokens", [], 8) == []


async def test_an_empty_index_has_nothing(index: Index) -> None:
    assert await index.search("anything", ["kb"], 8) == []
    assert await index.kb_ids() == []
    assert await index.knowledge_bases() == []
    assert await index.documents("kb") == []
    assert await index.access([]) == {}
    assert await index.document("unknown") is None
    assert await index.indexed("unknown") is None
    assert not await index.remove("unknown")


@pytest.mark.parametrize(
    "query",
    [
        "apples " + "x" * 1_993,
        "apples " + " ".join(f"w{i}" for i in range(400)),
        'apples "* OR NEAR( text: \x00 😀 \u0301',
        "apples AND NOT apples'; DROP TABLE words",
    ],
    ids=["long word", "many words", "signs", "syntax"],
)
async def test_any_text_can_be_asked(index: Index, query: str) -> None:
    await put(index, "kb", "it.md", "apples and pears")
    assert await found(index, query) == ["it.md"]


async def test_what_is_written_is_there_for_other_processes(index: Index, open_index: Open) -> None:
    other = open_index(WordBag())
    assert await found(other, "first") == []
    document = await put(index, "kb", "x.md", "the first text")
    assert await found(other, "first") == ["x.md"]
    assert await other.document(document.document_id) == document


# --- documents that come, change and go


async def test_a_document_is_given_back_whole(index: Index) -> None:
    document = await put(index, "kb", "Überblick 文書 😀.md", "één", "𝔘nicode 👩‍👩‍👧 here", access=("alice", "grün"))
    assert await index.document(document.document_id) == document
    assert await index.indexed(document.document_id) == Indexed(f"digest of {document.text}", embedded=True)
    assert await found(index, "één") == ["Überblick 文書 😀.md"]


async def test_a_replaced_document_is_found_in_its_new_version_only(index: Index) -> None:
    await put(index, "kb", "x.md", "apples and pears", "old chunk")
    document = await put(index, "kb", "x.md", "bananas only")
    assert [passage.text for passage in await index.search("apples bananas old", ["kb"], 8)] == ["bananas only"]
    assert await index.knowledge_bases() == [KnowledgeBase("kb", 1, 1)]
    assert await index.document(document.document_id) == document


class Meanwhile(WordBag):
    """Embeds when something else has been done."""

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._work = work

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        await self._work()
        return await super().embed(texts)


def version(number: int) -> list[str]:
    return [f"apples {number} {part}" for part in range(4)]


@pytest.mark.parametrize("principals", [None, frozenset({"alice"}), frozenset({"bob"})], ids=str)
@pytest.mark.parametrize("access", [None, ("alice",)])
async def test_a_document_that_is_replaced_in_the_midst_of_a_search_is_found_in_one_version(
    index: Index, open_index: Open, access: Access, principals: Principals
) -> None:
    await put(index, "kb", "x.md", *version(1))
    searched = open_index(Meanwhile(lambda: put(index, "kb", "x.md", *version(2), access=access)))
    passages = await searched.search("apples", ["kb"], 8, principals)
    texts = sorted(passage.text for passage in passages)
    assert texts == (version(2) if may_see(access, principals) else [])


async def test_a_document_that_is_replaced_beside_a_search_is_found_in_one_version(
    index: Index, open_index: Open
) -> None:
    other = open_index(WordBag())
    await put(other, "kb", "x.md", *version(0))
    for number in range(1, 11):
        passages, _ = await asyncio.gather(
            index.search("apples", ["kb"], 8), put(other, "kb", "x.md", *version(number))
        )
        assert sorted(passage.text for passage in passages) in (version(number - 1), version(number))


async def test_a_removed_document_leaves_nothing(index: Index) -> None:
    document = await put(index, "kb", "x.md", "apples", "pears")
    assert await index.remove(document.document_id)
    assert not await index.remove(document.document_id)
    assert await found(index, "apples") == []
    assert await index.document(document.document_id) is None
    assert await index.indexed(document.document_id) is None
    assert await index.access([document.document_id]) == {}
    assert (await index.kb_ids(), await index.knowledge_bases(), await index.documents("kb")) == ([], [], [])
    await put(index, "kb", "y.md", "apples")
    assert await found(index, "apples") == ["y.md"]


async def test_documents_of_one_name_in_two_knowledge_bases_are_two(index: Index) -> None:
    one, two = [await put(index, kb_id, "x.md", f"apples of {kb_id}") for kb_id in ("one", "two")]
    assert await index.remove(one.document_id)
    assert await found(index, "apples", "one", "two") == ["x.md"]
    assert await index.document(two.document_id) == two
    assert await index.kb_ids() == ["two"]


async def test_what_there_is_is_counted(index: Index) -> None:
    await put(index, "b", "1.md", "one", "two", "three", access=())
    await put(index, "b", "2.md", "four")
    await put(index, "a", "3.md", "five", "six")
    assert await index.knowledge_bases() == [KnowledgeBase("a", 1, 2), KnowledgeBase("b", 2, 4)]
    assert await index.kb_ids() == ["a", "b"]


async def test_vectors_of_different_embedders_are_never_mixed(index: Index, open_index: Open) -> None:
    document = await put(index, "kb", "x.md", "apples")
    other = open_index(WordBag("word-bag/2"))
    with pytest.raises(WrongIndex, match=r"word-bag/64.*word-bag/2"):
        await other.search("apples", ["kb"], 8)
    with pytest.raises(WrongIndex, match=r"word-bag/64.*word-bag/2"):
        await put(other, "kb", "y.md", "pears")
    assert await other.document(document.document_id) == document
    assert await listed(index) == ["x.md"]


# --- who may read


@pytest.mark.parametrize(
    ("who", "names"),
    [
        (None, ["alice.md", "nobody.md", "open.md", "staff.md"]),
        ("", ["open.md"]),
        ("alice", ["alice.md", "open.md", "staff.md"]),
        ("hr", ["open.md", "staff.md"]),
        ("alice hr", ["alice.md", "open.md", "staff.md"]),
        ("bob Alice ali *", ["open.md"]),
    ],
    ids=str,
)
async def test_only_who_may_read_a_document_finds_it(index: Index, who: str | None, names: list[str]) -> None:
    principals = None if who is None else frozenset(who.split())
    for name, access in (("open", None), ("nobody", ()), ("alice", ("alice",)), ("staff", ("alice", "hr"))):
        await put(index, "kb", f"{name}.md", "all of one text", access=access)
    assert sorted(await found(index, "text", principals=principals)) == names
    assert sorted(await found(index, "all one", principals=principals)) == names


async def test_what_is_withheld_takes_nobodys_place(index: Index) -> None:
    chunks = [f"car pay leave car pay leave {i}" for i in range(110)]  # more than any side puts up
    await put(index, "kb", "secret.md", *chunks, access=("alice",))
    for i in range(3):
        await put(index, "kb", f"{i}.md", f"automobile and bread number {i}, and butter, cheese and milk; car")
    assert await found(index, "car pay leave", top_k=3, principals=frozenset({"alice"})) == ["secret.md"] * 3
    assert sorted(await found(index, "car pay leave", top_k=3, principals=frozenset())) == ["0.md", "1.md", "2.md"]


async def test_who_may_read_a_document_changes_with_it(index: Index) -> None:
    bob = frozenset({"bob"})
    for access, is_found in ((None, True), (("alice",), False), (("alice", "bob"), True), ((), False), (None, True)):
        document = await put(index, "kb", "x.md", "apples", access=access)
        assert await found(index, "apples", principals=bob) == ["x.md"] * is_found
        assert await found(index, "apples") == ["x.md"]
        assert await index.access([document.document_id]) == {document.document_id: access}
        assert await index.document(document.document_id) == document
        assert [entry.access for entry in await index.documents("kb")] == [access]
        assert await index.knowledge_bases() == [KnowledgeBase("kb", 1, 1)]


async def test_access_is_told_of_the_documents_that_are_there(index: Index) -> None:
    some = await put(index, "one", "x.md", "apples", access=("alice", "hr"))
    other = await put(index, "two", "y.md", "pears")
    failed = await fail(index, "two", "z.md", "empty", ("alice",))
    asked = [other.document_id, "unknown", some.document_id, failed]
    assert await index.access(asked) == {some.document_id: ("alice", "hr"), other.document_id: None}


# --- what is listed


async def test_documents_are_listed_by_name(index: Index) -> None:
    before = time.time()
    await put(index, "other", "0.md", "apples")
    names = ["B.md", "a.md", "a/b.md", "a1.md", "é.md", "文.md", "😀.md"]
    for name in reversed(names):
        await put(index, "kb", name, "apples", "pears", access=("alice",) if name == "a.md" else None)
    entries = await index.documents("kb")
    assert entries == [
        DocumentEntry(
            document_id("kb", name), name, "kb", "ready", None, 2, entry.updated_at, ("alice",) if i == 1 else None
        )
        for i, (name, entry) in enumerate(zip(names, entries, strict=True))
    ]
    assert all(before <= entry.updated_at <= time.time() for entry in entries)


async def test_a_list_is_read_in_pages(index: Index) -> None:
    for i in range(7):
        access: Access = ("alice",) if i % 2 else None
        if i % 3:
            await put(index, "kb", f"{i}.md", "apples", access=access)
        else:
            await fail(index, "kb", f"{i}.md", "empty", access)
    pages, after = [], ""
    while page := await listed(index, after=after, limit=3):
        pages.append(page)
        after = page[-1]
    assert pages == [["0.md", "1.md", "2.md"], ["3.md", "4.md", "5.md"], ["6.md"]]
    assert await listed(index, after="3") == ["3.md", "4.md", "5.md", "6.md"]


# --- files that can't be read


async def test_a_file_that_never_could_be_read_is_listed_and_no_document(index: Index) -> None:
    failed = await fail(index, "kb", "x.pdf", "empty", ("alice",))
    (entry,) = await index.documents("kb")
    assert entry == DocumentEntry(failed, "x.pdf", "kb", "failed", "empty", 0, entry.updated_at, ("alice",))
    assert await index.document(failed) is None
    assert await index.indexed(failed) is None
    assert await index.kb_ids() == ["kb"]
    assert await index.knowledge_bases() == [KnowledgeBase("kb", 0, 0)]
    assert await found(index, "empty x") == []
    assert await index.remove(failed)
    assert not await index.remove(failed)
    assert (await index.kb_ids(), await index.knowledge_bases(), await index.documents("kb")) == ([], [], [])


async def test_a_file_that_can_be_read_no_more_is_answered_from_as_it_was(index: Index) -> None:
    document = await put(index, "kb", "x.md", "apples", "pears", access=("alice",))
    for reason in ("over the limit", "empty"):
        await fail(index, "kb", "x.md", reason, ("alice",))
    (entry,) = await index.documents("kb")
    assert (entry.state, entry.reason, entry.chunk_count, entry.access) == ("failed", "empty", 2, ("alice",))
    assert await index.document(document.document_id) == document
    assert len(await found(index, "apples pears")) == 2
    assert await index.knowledge_bases() == [KnowledgeBase("kb", 1, 2)]


async def test_a_file_that_has_failed_counts_as_changed(index: Index) -> None:
    document = await put(index, "kb", "x.md", "apples")
    await fail(index, "kb", "x.md", "empty")
    assert await index.indexed(document.document_id) == Indexed("", embedded=True)


@pytest.mark.parametrize("was_there", [True, False])
async def test_a_file_that_can_be_read_again_has_failed_no_more(index: Index, was_there: bool) -> None:
    if was_there:
        await put(index, "kb", "x.md", "apples")
    await fail(index, "kb", "x.md", "empty", ("alice",))
    document = await put(index, "kb", "x.md", "pears")
    (entry,) = await index.documents("kb")
    assert (entry.state, entry.reason, entry.chunk_count, entry.access) == ("ready", None, 1, None)
    assert await index.document(document.document_id) == document
    assert await found(index, "pears") == ["x.md"]


async def test_a_failed_document_is_removed_with_what_is_recorded_of_it(index: Index) -> None:
    document = await put(index, "kb", "x.md", "apples")
    await fail(index, "kb", "x.md", "empty")
    assert await index.remove(document.document_id)
    assert await index.documents("kb") == []
    assert await index.kb_ids() == []
