"""Which files are found, and what becomes of them in the index."""

from __future__ import annotations

import json
import math
import os
import random
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from citestream.ingest.files import Found, SourceFile, find_files
from citestream.ingest.load import load, read
from citestream.ingest.parsed import UnreadableFile
from citestream.model import Access, Chunk, document_id
from citestream.retrieval.embedder import Embedder, Vectors
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.retrieval.words import latin_share

NFC, NFD = (unicodedata.normalize(form, "Überblick.md") for form in ("NFC", "NFD"))


class Counting:
    """An embedder that counts: how many texts it was given, each time. Texts of one length have one vector."""

    id = "counting/1"
    dimensions = 16

    def __init__(self) -> None:
        self.counts: list[int] = []

    def weight(self, query: str) -> float:
        return 0.4 * latin_share(query)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.counts.append(len(texts))
        return [_unit_vector(len(text)) for text in texts]


def _unit_vector(seed: int) -> list[float]:
    numbers = random.Random(seed)
    vector = [numbers.gauss(0, 1) for _ in range(16)]
    return [number / math.hypot(*vector) for number in vector]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
async def index(tmp_path: Path) -> AsyncGenerator[SqliteIndex]:
    index = SqliteIndex(tmp_path / "index.db", Counting())
    yield index
    await index.aclose()


def found(*paths: str | Path) -> Found:
    return find_files(map(str, paths))


async def loaded(docs: Path, index: SqliteIndex, embedder: Embedder | None = None) -> dict[str, str]:
    """What became of each file below ``docs``; the reason where it was skipped."""
    outcomes = [outcome async for outcome in load(found(docs).files.values(), "kb", index, embedder)]
    return {outcome.file.name: outcome.reason or outcome.state for outcome in outcomes}


async def text_of(index: SqliteIndex, name: str) -> str | None:
    document = await index.document(document_id("kb", name))
    return document.text if document else None


async def test_only_what_is_new_or_changed_is_indexed(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    (docs / "b.md").write_text("bananas")
    embedder = Counting()
    assert await loaded(docs, index, embedder) == {"a.md": "added", "b.md": "added"}
    (docs / "b.md").write_text("blueberries")
    assert await loaded(docs, index, embedder) == {"a.md": "unchanged", "b.md": "updated"}
    assert await text_of(index, "b.md") == "blueberries"
    assert embedder.counts == [2, 1]


async def test_what_was_indexed_by_words_alone_is_embedded_once_it_can_be(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    embedder = Counting()
    assert await loaded(docs, index) == {"a.md": "added"}
    assert await loaded(docs, index) == {"a.md": "unchanged"}
    assert await loaded(docs, index, embedder) == {"a.md": "updated"}
    assert await loaded(docs, index, embedder) == {"a.md": "unchanged"}
    assert await loaded(docs, index) == {"a.md": "unchanged"}
    assert embedder.counts == [1]
    assert len(await index.search("something else", ["kb"], 8)) == 1


async def listed(index: SqliteIndex) -> dict[str, tuple[str | None, int, Access]]:
    """Of each document listed: why it failed, its chunks, and who may read it."""
    entries = await index.documents("kb")
    return {entry.document_name: (entry.reason, entry.chunk_count, entry.access) for entry in entries}


def restrict(path: Path, *principals: str) -> None:
    """Have the file beside it say so."""
    path.with_name(f"{path.name}.access.json").write_text(json.dumps({"principals": principals}))


async def test_a_document_that_turns_bad_keeps_its_old_version_until_it_is_good_again(
    docs: Path, index: SqliteIndex
) -> None:
    (docs / "a.md").write_text("apples")
    await loaded(docs, index)
    (docs / "a.md").write_bytes(b"")
    (docs / "b.md").write_text("bananas")
    assert await loaded(docs, index) == {"a.md": "empty", "b.md": "added"}
    assert await text_of(index, "a.md") == "apples"
    assert await listed(index) == {"a.md": ("empty", 1, None), "b.md": (None, 1, None)}
    (docs / "a.md").write_text("apples")
    assert await loaded(docs, index) == {"a.md": "updated", "b.md": "unchanged"}
    assert await listed(index) == {"a.md": (None, 1, None), "b.md": (None, 1, None)}


async def test_a_document_that_turns_into_no_file_is_bad_each_time(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    await loaded(docs, index)
    (docs / "a.md").unlink()
    os.mkfifo(docs / "a.md")
    for _ in range(2):
        assert await loaded(docs, index) == {"a.md": "not a regular file"}


async def test_who_may_read_a_document_is_part_of_it(docs: Path, index: SqliteIndex) -> None:
    path = docs / "a.md"
    path.write_text("apples")
    assert await loaded(docs, index) == {"a.md": "added"}
    for principals in (("alice", "hr"), ("alice",), ()):
        restrict(path, *principals)
        assert await loaded(docs, index) == {"a.md": "updated"}
        assert await loaded(docs, index) == {"a.md": "unchanged"}
        assert await listed(index) == {"a.md": (None, 1, principals)}
    path.with_name("a.md.access.json").unlink()
    assert await loaded(docs, index) == {"a.md": "updated"}
    assert await listed(index) == {"a.md": (None, 1, None)}


async def test_an_access_file_that_says_the_same_in_other_words_changes_nothing(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    restrict(docs / "a.md", "hr", "alice")
    await loaded(docs, index)
    restrict(docs / "a.md", "alice", "hr", "hr")
    assert await loaded(docs, index) == {"a.md": "unchanged"}


async def test_a_document_for_nobody_knows_whom_is_withdrawn(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    (docs / "b.md").write_text("bananas")
    restrict(docs / "a.md")
    await loaded(docs, index)
    for name in ("a.md", "b.md"):
        (docs / f"{name}.access.json").write_text("alice")
    reasons = await loaded(docs, index)
    assert [reason.split(": ")[:2] for reason in reasons.values()] == [
        ["a.md.access.json", "not JSON"],
        ["b.md.access.json", "not JSON"],
    ]
    assert await listed(index) == {name: (reason, 0, ()) for name, reason in reasons.items()}
    assert (await text_of(index, "a.md"), await text_of(index, "b.md")) == (None, None)
    assert await index.search("apples bananas", ["kb"], 8) == []
    restrict(docs / "a.md", "alice")
    assert (await loaded(docs, index))["a.md"] == "added"
    assert (await listed(index))["a.md"] == (None, 1, ("alice",))


@pytest.mark.parametrize(("principals", "stays"), [(("alice",), True), (("alice", "bob"), False), (None, False)])
async def test_a_bad_version_for_other_readers_takes_the_old_one_with_it(
    docs: Path, index: SqliteIndex, principals: Access, stays: bool
) -> None:
    (docs / "a.md").write_text("apples")
    restrict(docs / "a.md", "alice")
    await loaded(docs, index)
    (docs / "a.md").write_text("")
    if principals is None:
        (docs / "a.md.access.json").unlink()
    else:
        restrict(docs / "a.md", *principals)
    assert await loaded(docs, index) == {"a.md": "empty"}
    assert await text_of(index, "a.md") == ("apples" if stays else None)
    assert await listed(index) == {"a.md": ("empty", int(stays), principals)}


async def test_a_large_document_is_embedded_in_slices_each_vector_with_its_chunk(
    docs: Path, index: SqliteIndex
) -> None:
    sections = [f"# {i}\n\n{'x' * i}" for i in range(1, 151)]
    (docs / "large.md").write_text("\n\n".join(sections))
    (docs / "small.md").write_text("one more")
    embedder = Counting()
    assert await loaded(docs, index, embedder) == {"large.md": "added", "small.md": "added"}
    assert embedder.counts == [64, 64, 22, 1]
    for query in (sections[9], sections[99], sections[149]):
        best, *_ = await index.search("y" * len(query), ["kb"], 1)
        assert best.text == query


async def test_small_documents_are_embedded_together_each_vector_with_its_document(
    docs: Path, index: SqliteIndex
) -> None:
    for i in range(1, 101):
        (docs / f"{i:03}.md").write_text("x" * i)
    embedder = Counting()
    assert set((await loaded(docs, index, embedder)).values()) == {"added"}
    assert embedder.counts == [64, 36]
    for i in (1, 64, 65, 100):
        best, *_ = await index.search("y" * i, ["kb"], 1)
        assert best.document_name == f"{i:03}.md"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"\xff.md", "its name holds characters that can't be shown"),
        (b"line\nbreak.md", "its name holds characters that can't be shown"),
        (b"pipe.md", "not a regular file"),
        (b"loop.md", "Too many levels of symbolic links"),
        (b"nowhere.md", "No such file or directory"),
    ],
)
@pytest.mark.parametrize("named", ["itself", "folder", "glob"])
async def test_a_file_that_can_not_be_read_is_skipped_and_the_rest_is_kept(
    docs: Path, index: SqliteIndex, name: bytes, reason: str, named: str
) -> None:
    bad = docs / os.fsdecode(name)
    if name == b"pipe.md":
        os.mkfifo(bad)
    elif name in (b"loop.md", b"nowhere.md"):
        bad.symlink_to(bad if name == b"loop.md" else docs / "not there")
    else:
        bad.write_text("text")
    (docs / "a.md").write_text("apples")
    paths = {"itself": [bad, docs / "a.md"], "folder": [docs], "glob": [docs / "*.md"]}[named]
    files = find_files(os.fspath(path) for path in paths).files.values()
    outcomes = [outcome async for outcome in load(files, "kb", index, None)]
    assert {outcome.file.path.name: outcome.reason for outcome in outcomes} == {bad.name: reason, "a.md": ""}
    assert await text_of(index, "a.md") == "apples"
    shown = {b"\xff.md": r"\xff.md", b"line\nbreak.md": r"line\nbreak.md"}.get(name, bad.name)
    assert await listed(index) == {shown: (reason, 0, None), "a.md": (None, 1, None)}


async def test_a_name_has_at_most_512_characters(docs: Path, index: SqliteIndex) -> None:
    (docs / "a.md").write_text("apples")
    files = [SourceFile(docs / "a.md", f"{'n' * length}.md") for length in (509, 510)]
    outcomes = [outcome async for outcome in load(files, "kb", index, None)]
    assert {len(each.file.name): each.reason for each in outcomes} == {512: "", 513: "its name is over 512 characters"}
    assert {len(name): reason for name, (reason, *_) in (await listed(index)).items()} == {
        512: None,
        513: "its name is over 512 characters",
    }


async def test_what_reads_for_other_sources_checks_the_name_and_the_content(docs: Path) -> None:
    (docs / "download.md").write_text("# Apples\n\nAre red.")
    assert read(docs / "download.md", "fruit/apples.md") == (
        "# Apples\n\nAre red.",
        [Chunk(0, 18, None, "Apples")],
    )
    with pytest.raises(UnreadableFile, match="characters that can't be shown"):
        read(docs / "download.md", "fruit\n.md")


async def test_where_there_is_nothing_to_load_nothing_is_embedded(index: SqliteIndex) -> None:
    embedder = Counting()
    assert [outcome async for outcome in load([], "kb", index, embedder)] == []
    assert embedder.counts == []


# --- files


def test_paths_are_shown_with_what_is_not_utf_8_escaped(docs: Path) -> None:
    assert SourceFile(docs / os.fsdecode(b"caf\xe9/\xc3\xa9.md"), "é.md").shown == f"{docs}/caf\\xe9/é.md"
    missing = os.fsdecode(b"\xff.md")
    assert found(missing, missing + "*").refused == [
        ("\\xff.md", "no such file or folder"),
        ("\\xff.md*", "no file matches"),
    ]


@pytest.mark.parametrize("written", [NFC, NFD])
def test_a_name_is_one_however_its_accents_are_written(docs: Path, written: str) -> None:
    (docs / written).write_text("text")
    assert found(docs).files == {NFC: SourceFile(docs / written, NFC)}
    assert document_id("kb", written) == document_id("kb", NFC)


def test_a_name_that_is_not_utf_8_has_an_id_too() -> None:
    assert document_id("kb", os.fsdecode(b"\xff.md")) != document_id("kb", os.fsdecode(b"\xfe.md"))


def test_two_files_of_one_name_are_refused_and_one_file_named_twice_is_not(docs: Path) -> None:
    for name in ("a", "b"):
        (docs / name).mkdir()
        (docs / name / "x.md").symlink_to(docs / name / "x.md")
    both = found(docs / "a" / "x.md", docs / "a" / ".." / "a" / "x.md", docs / "b" / "x.md")
    assert list(both.files) == ["x.md"]
    assert both.refused == [(f"{docs}/b/x.md", f"its name, x.md, is taken by {docs}/a/x.md")]


def too_deep(folder: Path) -> Path:
    """A folder far below that can't be read by anybody, an administrator included: its path is too long."""
    deepest, above = folder, os.open(folder, os.O_RDONLY)
    while len(str(deepest)) <= os.pathconf(folder, "PC_PATH_MAX"):
        deepest /= "d" * 200
        os.mkdir(deepest.name, dir_fd=above)
        last, above = above, os.open(deepest.name, os.O_RDONLY, dir_fd=above)
        os.close(last)
    os.close(above)
    return deepest


@pytest.mark.parametrize("pattern", ["", "**", "**/*.md"])
def test_a_folder_that_can_not_be_read_is_refused_and_the_rest_is_found(docs: Path, pattern: str) -> None:
    (docs / "a.md").write_text("text")
    deepest = too_deep(docs)
    everything = found(docs / pattern)
    assert list(everything.files) == ["a.md"]
    assert everything.refused == [(str(deepest), "File name too long")]


def test_only_folders_that_can_hold_a_match_are_entered(docs: Path) -> None:
    (docs / "a.md").write_text("text")
    too_deep(docs)
    assert (list(found(docs / "*.md").files), found(docs / "*.md").refused) == (["a.md"], [])


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["a.md", "one/a.md", "one/two/b.md"]),
        ("**", ["a.md", "one/a.md", "one/two/b.md"]),
        ("**/*", ["a.md", "one/a.md", "one/two/b.md"]),
        ("**/**/[ab].md", ["a.md", "one/a.md", "one/two/b.md"]),
        ("*", ["a.md"]),
        ("*/*.md", ["one/a.md"]),
        ("*/**", ["one/a.md", "one/two/b.md"]),
        ("**/two/*", ["one/two/b.md"]),
        ("one/**/*.md", ["a.md", "two/b.md"]),
        ("o*/two/b.md", ["one/two/b.md"]),
        ("**/.hidden.md", ["one/.hidden.md"]),
        ("*/.[gh]*", ["one/.hidden.md"]),
        (".g*/*.md", [".git/c.md"]),
        ("**/*.png", []),
    ],
)
def test_what_a_glob_means(docs: Path, pattern: str, names: list[str]) -> None:
    for name in ("a.md", "one/a.md", "one/.hidden.md", "one/two/b.md", ".git/c.md", "one/two/photo.png"):
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text("text")
    assert list(found(docs / pattern).files) == names


def test_access_files_are_no_files_of_another_kind(docs: Path) -> None:
    for name in ("a.md", "a.md.access.json", "b.json"):
        (docs / name).write_text("text")
    for everything in (found(docs), found(docs / "*")):
        assert (list(everything.files), everything.other_kinds) == (["a.md"], 1)


@pytest.mark.parametrize("pattern", ["", "**", "**/*.md"])
def test_links_make_no_loops(docs: Path, pattern: str) -> None:
    (docs / "sub").mkdir()
    (docs / "sub" / "a.md").write_text("text")
    for name in ("loop", "again", "sub/up", "sub/self"):
        (docs / name).symlink_to(docs / "sub" if name == "sub/self" else docs)
    everything = found(docs / pattern)
    assert (list(everything.files), everything.refused) == (["sub/a.md"], [])


@pytest.mark.parametrize("pattern", ["", "**", "*"])
def test_links_lead_to_nothing_outside_of_the_folder(docs: Path, tmp_path: Path, pattern: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (docs / "..data").mkdir()
    (docs / "..data" / "it.md").write_text("text")
    (docs / "file.md").symlink_to(outside / "secret.md")
    (docs / "folder").symlink_to(outside)
    (docs / "inside.md").symlink_to("..data/it.md")
    everything = found(docs / pattern)
    assert list(everything.files) == ["inside.md"]
    expected = {f"{docs}/file.md": "a link to a file outside of the folder"}
    if pattern != "*":
        expected[f"{docs}/folder"] = "a link to a folder outside of the folder"
    assert dict(everything.refused) == expected


def test_a_link_that_is_named_itself_is_meant(docs: Path, tmp_path: Path) -> None:
    (docs / "a.md").write_text("text")
    (tmp_path / "link.md").symlink_to(docs / "a.md")
    (tmp_path / "folder").symlink_to(docs)
    everything = found(tmp_path / "link.md", tmp_path / "folder")
    assert (list(everything.files), everything.refused) == (["link.md", "a.md"], [])


def test_a_glob_in_a_folder_that_is_not_there(docs: Path) -> None:
    assert found(docs / "nowhere" / "*.md").refused == [(f"{docs}/nowhere", "No such file or directory")]
