"""The embedded index's tables, and the transactions that change them.

A chunk's row id is ``knowledge base << 32 | n``, n never used again within it, so that a knowledge base is a range of
row ids in every table: the filter costs nothing and can't be forgotten behind the search. The full-text table holds
no copy of the text; what is removed from it has to be given to it again, which is why ``chunks`` keeps the text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import PurePosixPath

from citestream.model import Chunk, Document
from citestream.retrieval.words import TOKENIZER, segment

#: Change it with the tables, the tokenizer, or ``segment``.
VERSION = 1
SCHEMA = """
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
CREATE VIRTUAL TABLE words USING fts5(text, heading, content='', tokenize='TOKENIZER');
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(1.0, 0.5)')
""".replace("TOKENIZER", TOKENIZER)


def row_range(kb: int) -> tuple[int, int]:
    """The first and last row id that a chunk of the knowledge base can have."""
    return kb << 32, (kb << 32) | 0xFFFFFFFF


def put(
    connection: sqlite3.Connection,
    document: Document,
    digest: str,
    chunks: Sequence[Chunk],
    vectors: Sequence[bytes] | None,
) -> None:
    """Add or replace the document, within the caller's transaction."""
    connection.execute("INSERT OR IGNORE INTO knowledge_bases (id) VALUES (?)", (document.kb_id,))
    sql = "SELECT kb, next_chunk FROM knowledge_bases WHERE id = ?"
    kb, first = connection.execute(sql, (document.kb_id,)).fetchone()
    _delete_chunks(connection, document.document_id)
    row = (document.document_id, kb, document.name, digest, vectors is not None, len(chunks), document.text)
    connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    start = row_range(kb)[0] + first
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
    _changed(connection, kb, len(chunks))


def remove(connection: sqlite3.Connection, document_id: str) -> bool:
    """Remove the document, and its knowledge base with the last one, within the caller's transaction."""
    found = connection.execute("SELECT kb FROM documents WHERE document_id = ?", (document_id,)).fetchone()
    if found is None:
        return False
    _delete_chunks(connection, document_id)
    connection.execute("DELETE FROM documents WHERE document_id = ?", (document_id,))
    _changed(connection, found[0], 0)
    sql = "DELETE FROM knowledge_bases WHERE kb = ? AND NOT EXISTS (SELECT 1 FROM documents WHERE kb = ?)"
    connection.execute(sql, (found[0], found[0]))
    return True


def _changed(connection: sqlite3.Connection, kb: int, added: int) -> None:
    sql = "UPDATE knowledge_bases SET generation = generation + 1, next_chunk = next_chunk + ? WHERE kb = ?"
    connection.execute(sql, (added, kb))


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
