"""The embedded index's tables, and the transactions that change them.

The documents of a knowledge base that the same principals may read stand on one shelf, and a chunk's row id is
``shelf << 32 | n``, n never used again within it. So what a caller may read of a knowledge base is ranges of row ids
in every table: the filter costs next to nothing and can't be forgotten behind the search, and a document whose
readers change gets other row ids. The full-text table holds no copy of the text; what is removed from it has to be
given to it again, which is why ``chunks`` keeps the text.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from citestream.model import Access, Chunk, Document
from citestream.retrieval.words import TOKENIZER, segment

#: Change it with the tables, the tokenizer, or ``segment``.
VERSION: Final = 2

_SHELVES = """
CREATE TABLE shelves (
    shelf INTEGER PRIMARY KEY AUTOINCREMENT, kb_id TEXT NOT NULL, access TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0, next_chunk INTEGER NOT NULL DEFAULT 0, UNIQUE (kb_id, access)
)"""
_DOCUMENTS = """
CREATE TABLE documents (
    document_id TEXT PRIMARY KEY, shelf INTEGER NOT NULL REFERENCES shelves, name TEXT NOT NULL,
    digest TEXT NOT NULL, embedded INTEGER NOT NULL, chunk_count INTEGER NOT NULL, updated_at REAL NOT NULL,
    text TEXT NOT NULL
)"""
# The first index holds all that lists and counts need: texts are long, and lie between the rows.
_LISTS = """
CREATE INDEX documents_by_shelf ON documents (shelf, name, document_id, chunk_count, updated_at);
CREATE TABLE failures (
    document_id TEXT PRIMARY KEY, kb_id TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL,
    access TEXT NOT NULL, failed_at REAL NOT NULL
);
CREATE INDEX failures_by_kb ON failures (kb_id, name)"""
_CHUNKS = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunks (
    rowid INTEGER PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents, ordinal INTEGER NOT NULL,
    char_start INTEGER NOT NULL, char_end INTEGER NOT NULL, page INTEGER, section TEXT, text TEXT NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document_id);
CREATE TABLE vectors (rowid INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, heading, content='', tokenize='TOKENIZER');
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(1.0, 0.5)')""".replace("TOKENIZER", TOKENIZER)
SCHEMA: Final = ";".join((_SHELVES, _DOCUMENTS, _LISTS, _CHUNKS))

#: From each version to the next. In version 1 everybody could read all documents, and their age was not kept.
MIGRATIONS: Final = {
    1: ";".join(
        (
            _SHELVES,
            "INSERT INTO shelves SELECT kb, id, 'null', generation, next_chunk FROM knowledge_bases",
            _DOCUMENTS.replace("documents", "documents_2", 1),
            "INSERT INTO documents_2 "
            "SELECT document_id, kb, name, digest, embedded, chunk_count, strftime('%s', 'now'), text FROM documents",
            "DROP TABLE documents",
            "DROP TABLE knowledge_bases",
            "ALTER TABLE documents_2 RENAME TO documents",
            _LISTS,
        )
    )
}


def row_range(shelf: int) -> tuple[int, int]:
    """The first and last row id that a chunk on the shelf can have."""
    return shelf << 32, (shelf << 32) | 0xFFFFFFFF


def put(
    connection: sqlite3.Connection,
    document: Document,
    digest: str,
    chunks: Sequence[Chunk],
    vectors: Sequence[bytes] | None,
) -> None:
    """Add or replace the document, within the caller's transaction."""
    shelf, first = _shelf(connection, document)
    before = _shelf_of(connection, document.document_id)
    _delete_chunks(connection, document.document_id)
    row = (document.document_id, shelf, document.name, digest, vectors is not None, len(chunks), time.time())
    connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, document.text))
    start = row_range(shelf)[0] + first
    for ordinal, chunk in enumerate(chunks):
        text = document.text[chunk.start : chunk.end]
        rowid = start + ordinal
        place = (chunk.start, chunk.end, chunk.page, chunk.section)
        connection.execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (rowid, document.document_id, ordinal, *place, text),
        )
        words = (rowid, segment(text), _heading(document.name, chunk.section))
        connection.execute("INSERT INTO words (rowid, text, heading) VALUES (?, ?, ?)", words)
    if vectors is not None:
        rows = ((start + ordinal, vector) for ordinal, vector in enumerate(vectors))
        connection.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
    connection.execute("DELETE FROM failures WHERE document_id = ?", (document.document_id,))
    _changed(connection, shelf, len(chunks))
    if before is not None and before != shelf:
        _changed(connection, before, 0)


def fail(
    connection: sqlite3.Connection,
    document_id: str,
    kb_id: str,
    name: str,
    reason: str,
    access: Access,
) -> None:
    """Record that the file can't be read, within the caller's transaction. What there is of the document stays."""
    row = (document_id, kb_id, name, reason, json.dumps(access), time.time())
    connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", row)
    # Whatever the file is next, it has changed.
    connection.execute("UPDATE documents SET digest = '' WHERE document_id = ?", (document_id,))


def remove(connection: sqlite3.Connection, document_id: str) -> bool:
    """Remove the document and its failure, within the caller's transaction. False where there is neither."""
    failed = connection.execute("DELETE FROM failures WHERE document_id = ?", (document_id,)).rowcount
    shelf = _shelf_of(connection, document_id)
    if shelf is None:
        return failed > 0
    _delete_chunks(connection, document_id)
    connection.execute("DELETE FROM documents WHERE document_id = ?", (document_id,))
    _changed(connection, shelf, 0)
    return True


def _shelf(connection: sqlite3.Connection, document: Document) -> tuple[int, int]:
    """The shelf for the document, made where it is the first there, and the next number for a chunk."""
    place = (document.kb_id, json.dumps(document.access))
    connection.execute("INSERT OR IGNORE INTO shelves (kb_id, access) VALUES (?, ?)", place)
    sql = "SELECT shelf, next_chunk FROM shelves WHERE kb_id = ? AND access = ?"
    found: tuple[int, int] = connection.execute(sql, place).fetchone()
    return found


def _shelf_of(connection: sqlite3.Connection, document_id: str) -> int | None:
    row = connection.execute("SELECT shelf FROM documents WHERE document_id = ?", (document_id,)).fetchone()
    return row[0] if row else None


def _changed(connection: sqlite3.Connection, shelf: int, added: int) -> None:
    """What is known of the shelf's chunks holds no more; without documents it is no more itself."""
    sql = "UPDATE shelves SET generation = generation + 1, next_chunk = next_chunk + ? WHERE shelf = ?"
    connection.execute(sql, (added, shelf))
    sql = "DELETE FROM shelves WHERE shelf = ? AND NOT EXISTS (SELECT 1 FROM documents WHERE shelf = ?)"
    connection.execute(sql, (shelf, shelf))


def _delete_chunks(connection: sqlite3.Connection, document_id: str) -> None:
    sql = """
        SELECT chunks.rowid, chunks.text, documents.name, chunks.section
        FROM chunks JOIN documents USING (document_id) WHERE document_id = ?
    """
    for rowid, text, name, section in connection.execute(sql, (document_id,)).fetchall():
        old = (rowid, segment(text), _heading(name, section))
        connection.execute("INSERT INTO words (words, rowid, text, heading) VALUES ('delete', ?, ?, ?)", old)
        connection.execute("DELETE FROM vectors WHERE rowid = ?", (rowid,))
    connection.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))


def _heading(name: str, section: str | None) -> str:
    return segment(f"{PurePosixPath(name).stem} {section or ''}")
