"""An index file of version 1, as it was made before documents had readers, goes on answering."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from citestream.model import Chunk, Document, DocumentEntry, KnowledgeBase, Passage, document_id
from citestream.retrieval.index import Indexed
from citestream.retrieval.sqlite_index import SqliteIndex

# To the letter what was written then.
VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE knowledge_bases (
    kb INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL DEFAULT 0, next_chunk INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents (
    document_id TEXT PRIMARY KEY, kb INTEGER NOT NULL REFERENCES knowledge_bases, name TEXT NOT NULL,
    digest TEXT NOT NULL, embedded INTEGER NOT NULL, chunk_count INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX documents_by_kb ON documents (kb, chunk_count);
CREATE TABLE chunks (
    rowid INTEGER PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents, ordinal INTEGER NOT NULL,
    char_start INTEGER NOT NULL, char_end INTEGER NOT NULL, page INTEGER, section TEXT, text TEXT NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document_id);
CREATE TABLE vectors (rowid INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(
    text, heading, content='', tokenize='porter unicode61 remove_diacritics 2 categories ''L* N* Co Mc Mn'''
);
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(1.0, 0.5)');
PRAGMA user_version = 1;
"""
IDS = {name: document_id(kb_id, name) for kb_id, name in (("one", "a.md"), ("one", "b.md"), ("two", "c.md"))}


class OneOrTwo:
    """An embedder of two numbers: has the text an "1", and has it a "2"?"""

    id = "one-or-two/1"
    dimensions = 2

    def weight(self, query: str) -> float:
        return 0.5

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float("1" in text), float("2" in text)] for text in texts]


def write_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(VERSION_1)
        file.execute("PRAGMA foreign_keys = ON")
        file.execute("INSERT INTO meta VALUES ('embedder', 'one-or-two/1')")
        # The first knowledge base has been removed, and so has been the first chunk of the third one.
        file.execute("INSERT INTO knowledge_bases VALUES (2, 'one', 4, 3), (3, 'two', 2, 2)")
        for kb, name, ordinal, n, text in (
            (2, "a.md", 0, 0, "apples 1"),
            (2, "a.md", 1, 1, "pears 2"),
            (2, "b.md", 0, 2, "more apples"),
            (3, "c.md", 0, 1, "apples again 2"),
        ):
            rowid, whole = kb << 32 | n, "apples 1\npears 2" if name == "a.md" else text
            row = (IDS[name], kb, name, f"1:{name}", 1, 1 + (name == "a.md"), whole)
            file.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            start = whole.index(text)
            chunk = (rowid, IDS[name], ordinal, start, start + len(text), None, "Fruit", text)
            file.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", chunk)
            file.execute("INSERT INTO words (rowid, text, heading) VALUES (?, ?, ?)", (rowid, text, f"{name[0]} Fruit"))
            vector = struct.pack("<2e", "1" in text, "2" in text)
            file.execute("INSERT INTO vectors VALUES (?, ?)", (rowid, vector))


@pytest.fixture
async def index(tmp_path: Path) -> AsyncGenerator[SqliteIndex]:
    write_version_1(tmp_path / "index.db")
    index = SqliteIndex(tmp_path / "index.db", OneOrTwo())
    yield index
    await index.aclose()


async def test_its_documents_are_found_by_words_and_by_meaning(index: SqliteIndex) -> None:
    best, *_ = await index.search("pears", ["one"], 8, frozenset())
    assert best == Passage(f"{IDS['a.md']}-1", IDS["a.md"], "a.md", "one", "pears 2", 9, 16, None, "Fruit", 1.0)
    (nearest,) = await index.search("2", ["two"], 8, frozenset())
    assert nearest.document_name == "c.md"
    found = await index.search("apples", ["one", "two"], 8)
    assert {passage.document_name for passage in found} == {"a.md", "b.md", "c.md"}


async def test_its_documents_are_listed_as_they_were(index: SqliteIndex) -> None:
    entries = await index.documents("one")
    assert entries == [
        DocumentEntry(IDS[name], name, "one", "ready", None, count, entry.updated_at, None)
        for entry, name, count in zip(entries, ("a.md", "b.md"), (2, 1), strict=True)
    ]
    assert all(time.time() - 60 < entry.updated_at <= time.time() for entry in entries)
    assert await index.knowledge_bases() == [KnowledgeBase("one", 2, 3), KnowledgeBase("two", 1, 1)]
    assert await index.document(IDS["a.md"]) == Document(IDS["a.md"], "a.md", "one", "apples 1\npears 2")
    assert await index.indexed(IDS["a.md"]) == Indexed("1:a.md", embedded=True)


async def test_its_documents_change_and_go_as_others_do(index: SqliteIndex, tmp_path: Path) -> None:
    text = "plums 1"
    document = Document(IDS["a.md"], "a.md", "one", text, ("alice",))
    await index.put(document, hashlib.sha256(text.encode()).hexdigest(), [Chunk(0, 7)], [[1.0, 0.0]])
    assert await index.remove(IDS["b.md"])
    await index.fail(IDS["c.md"], "two", "c.md", "empty")
    assert [each.text for each in await index.search("plums apples pears", ["one", "two"], 8)] == [
        "plums 1",
        "apples again 2",
    ]
    assert await index.search("plums", ["one"], 8, frozenset({"bob"})) == []
    with closing(sqlite3.connect(tmp_path / "index.db")) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("SELECT kb_id FROM shelves WHERE shelf <= 3").fetchall() == [("two",)]


def test_it_has_the_tables_of_a_new_file_then(tmp_path: Path) -> None:
    def tables(name: str) -> list[tuple[str, ...]]:
        SqliteIndex(tmp_path / name, None).check()
        with closing(sqlite3.connect(tmp_path / name)) as file:
            names = file.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
            columns = "SELECT m.name, c.* FROM sqlite_master AS m, pragma_table_info(m.name) AS c ORDER BY 1, 2"
            return [*names, *file.execute(columns), *file.execute("PRAGMA foreign_key_list('chunks')")]

    write_version_1(tmp_path / "old.db")
    assert tables("old.db") == tables("new.db")
