"""What is read from the embedded index beside words and vectors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache

from citestream.model import Access, Document, DocumentEntry, KnowledgeBase, Passage, may_see
from citestream.retrieval.index import Indexed, Principals

_KB_IDS = "SELECT kb_id FROM shelves UNION SELECT kb_id FROM failures ORDER BY kb_id"
_KNOWLEDGE_BASES = """
SELECT kb_id, sum(documents), sum(chunks)
FROM (
    SELECT kb_id, count(*) AS documents, sum(chunk_count) AS chunks FROM shelves JOIN documents USING (shelf)
    GROUP BY kb_id
    UNION ALL SELECT kb_id, 0, 0 FROM failures
)
GROUP BY kb_id ORDER BY kb_id
"""
_ENTRIES = """
SELECT document_id, documents.name AS name, shelves.kb_id, reason, chunk_count, coalesce(failed_at, updated_at),
       shelves.access
FROM shelves JOIN documents USING (shelf) LEFT JOIN failures USING (document_id)
WHERE shelves.kb_id = :kb_id AND documents.name > :after
UNION ALL
SELECT document_id, name, kb_id, reason, 0, failed_at, access
FROM failures
WHERE kb_id = :kb_id AND name > :after
      AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.document_id = failures.document_id)
ORDER BY name LIMIT :limit
"""
_DOCUMENT = (
    "SELECT document_id, name, kb_id, text, access FROM documents JOIN shelves USING (shelf) WHERE document_id = ?"
)
_ACCESS = "SELECT document_id, access FROM documents JOIN shelves USING (shelf) WHERE document_id IN ({})"
_INDEXED = "SELECT digest, embedded FROM documents WHERE document_id = ?"
_PASSAGES = """
SELECT chunks.rowid, document_id || '-' || ordinal, document_id, name, kb_id, chunks.text, char_start, char_end, page,
       section
FROM chunks JOIN documents USING (document_id) JOIN shelves USING (shelf)
WHERE chunks.rowid IN ({})
"""


def kb_ids(connection: sqlite3.Connection) -> list[str]:
    return [kb_id for (kb_id,) in connection.execute(_KB_IDS)]


def knowledge_bases(connection: sqlite3.Connection) -> list[KnowledgeBase]:
    return [KnowledgeBase(*row) for row in connection.execute(_KNOWLEDGE_BASES)]


def entries(connection: sqlite3.Connection, kb_id: str, after: str, limit: int) -> list[DocumentEntry]:
    rows = connection.execute(_ENTRIES, {"kb_id": kb_id, "after": after, "limit": limit})
    return [
        DocumentEntry(document_id, name, kb_id, "failed" if reason else "ready", reason, count, at, _access(access))
        for document_id, name, kb_id, reason, count, at, access in rows
    ]


def document(connection: sqlite3.Connection, document_id: str) -> Document | None:
    row = connection.execute(_DOCUMENT, (document_id,)).fetchone()
    if row is None:
        return None
    document_id, name, kb_id, text, principals = row
    return Document(document_id, name, kb_id, text, _access(principals))


def access(connection: sqlite3.Connection, document_ids: Sequence[str]) -> dict[str, Access]:
    rows = connection.execute(_ACCESS.format(", ".join("?" * len(document_ids))), tuple(document_ids))
    return {document_id: _access(text) for document_id, text in rows}


def indexed(connection: sqlite3.Connection, document_id: str) -> Indexed | None:
    row = connection.execute(_INDEXED, (document_id,)).fetchone()
    return Indexed(row[0], bool(row[1])) if row else None


def shelves(connection: sqlite3.Connection, kb_ids: Sequence[str], principals: Principals) -> dict[int, int]:
    """What the principals may read of these knowledge bases: the shelves, with the generation of each."""
    wanted = set(kb_ids)
    rows = connection.execute("SELECT shelf, generation, kb_id, access FROM shelves ORDER BY shelf").fetchall()
    return {
        shelf: generation
        for shelf, generation, kb_id, text in rows
        if kb_id in wanted and may_see(_access(text), principals)
    }


def passages(connection: sqlite3.Connection, ranked: Sequence[tuple[int, float]]) -> list[Passage]:
    """Those that are there of the ranked row ids."""
    sql = _PASSAGES.format(", ".join("?" * len(ranked)))
    rows = {rowid: fields for rowid, *fields in connection.execute(sql, [rowid for rowid, _ in ranked])}
    return [Passage(*(*rows[rowid], round(score, 4))) for rowid, score in ranked if rowid in rows]


@lru_cache(maxsize=10_000)
def _access(text: str) -> Access:
    principals = json.loads(text)
    return None if principals is None else tuple(principals)
