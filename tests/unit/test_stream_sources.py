"""What an answer is written from, in its stream's record; and what keeps a question from being searched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from citestream.errors import WrongIndex
from citestream.model import Sources, Token
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.streams.entry import Entry
from citestream.streams.hub import Hub
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import entries, producing, record_of


@pytest.mark.parametrize("documents", [("d1", "d2"), ()])
async def test_the_record_says_what_an_answer_is_written_from_before_the_first_event_is_there(
    hub: Hub, log: SqliteStreamLog, documents: tuple[str, ...]
) -> None:
    go_on = asyncio.Event()
    produce = producing(go_on, Sources(documents), Token("a"), asyncio.Event())
    stream_id = await hub.start("me", produce, kb_ids=["kb1", "kb2"])
    record = await record_of(log, stream_id)
    assert (record.kb_ids, record.documents) == (("kb1", "kb2"), ())
    go_on.set()
    assert await anext(hub.follow(stream_id)) == Entry(1, "token", '{"text":"a"}')
    record = await record_of(log, stream_id)
    assert (record.kb_ids, record.documents, record.last) == (("kb1", "kb2"), documents, 1)


async def test_sources_are_no_event(hub: Hub, log: SqliteStreamLog) -> None:
    stream_id = await hub.start("me", producing(Sources(("d",)), Token("a")))
    sent = await entries(hub, stream_id)
    assert [(entry.n, entry.event) for entry in sent] == [(1, "token"), (2, "done")]
    assert await log.read(stream_id, 0) == sent


async def test_where_the_sources_can_not_be_written_the_stream_goes_on_and_nothing_of_it_is_kept(
    hub: Hub, log: SqliteStreamLog, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citestream.streams.sqlite_file._PATIENCE_SECONDS", 0.05)
    go_on = asyncio.Event()
    stream_id = await hub.start("me", producing(go_on, Sources(("d",)), Token("a")))
    with closing(sqlite3.connect(tmp_path / "streams.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        go_on.set()
        reader = hub.follow(stream_id)
        assert await anext(reader) == Entry(None, "token", '{"text":"a"}')
        other.execute("ROLLBACK")
    assert [(entry.n, entry.event) async for entry in reader if entry] == [(None, "done")]
    assert await log.read(stream_id, 0) == []
    assert "its log failed at its sources" in caplog.text


WRONG_EMBEDDER = "A knowledge base was indexed with another embedding model."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            WrongIndex("handbook holds vectors of secret-model"),
            {"code": "internal_error", "message": WRONG_EMBEDDER, "retryable": False},
        ),
        (
            EmbeddingFailed("The embedding model is busy.", retryable=True),
            {"code": "upstream_error", "message": "The embedding model is busy.", "retryable": True},
        ),
        (
            EmbeddingFailed("The embedding model refuses.", retryable=False),
            {"code": "upstream_error", "message": "The embedding model refuses.", "retryable": False},
        ),
    ],
)
async def test_what_keeps_a_question_from_being_searched_is_told_without_its_details(
    hub: Hub, error: Exception, told: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    (last,) = await entries(hub, await hub.start("me", producing(error)))
    assert json.loads(last.data) == told
    assert str(error) in caplog.text
