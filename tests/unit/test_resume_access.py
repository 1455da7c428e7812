"""Who may come back to a stream: whoever may read, now, all that the answer is written from."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from citestream.http.callers import Caller, LocalCaller
from citestream.http.problems import Problem
from citestream.http.streams import StreamEndpoint
from citestream.model import Chunk, Document, Sources, Token
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.sse.cursor import Cursor
from citestream.streams.hub import Hub
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.sse import Frame, decoded
from tests.streams import LIMITS, entries, producing

PAY = Document("pay", "pay.md", "team", "Pay rises in May.", ("ada", "hr"))
OPEN = Document("open", "open.md", "team", "The office is open all day.")
ADA = Caller("ada", frozenset({"team"}), frozenset({"ada"}))
SOURCES = Sources(("pay", "open"))


@pytest.fixture
async def index(tmp_path: Path) -> AsyncGenerator[SqliteIndex]:
    index = SqliteIndex(tmp_path / "index.db", None)
    for document in (PAY, OPEN):
        await put(index, document)
    yield index
    await index.aclose()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncGenerator[Hub]:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), LIMITS)
    yield hub
    await hub.aclose()


@pytest.fixture
def streams(index: SqliteIndex, hub: Hub) -> StreamEndpoint:
    return StreamEndpoint(LocalCaller(), index, hub)


async def put(index: SqliteIndex, document: Document) -> None:
    await index.put(document, "digest", [Chunk(0, len(document.text))], None)


def request(method: str = "GET") -> Request:
    return Request({"type": "http", "method": method, "headers": [], "path": "/", "query_string": b""})


async def frames_of(response: Response) -> list[Frame]:
    body = b""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody leaves")

    async def send(message: Message) -> None:
        nonlocal body
        body += message.get("body", b"")

    await response({"type": "http"}, receive, send)
    return decoded(body)


async def status(streams: StreamEndpoint, caller: Caller, stream_id: str, cursor: int = 0, method: str = "GET") -> int:
    at = Cursor(stream_id, cursor) if cursor else None
    try:
        return (await streams.resume(request(method), caller, stream_id, at)).status_code
    except Problem as problem:
        return problem.status


async def answered(hub: Hub) -> str:
    """The id of a stream that has ended, written from both documents: a token and ``done``."""
    stream_id = await hub.start("ada", producing(SOURCES, Token("In May [1].")), kb_ids=["team"])
    assert len(await entries(hub, stream_id)) == 2
    return stream_id


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (ADA, 200),
        (replace(ADA, principals=frozenset({"somebody", "hr"})), 200),
        (replace(ADA, principals=frozenset({"leads"})), 404),
        (replace(ADA, principals=frozenset()), 404),
        (replace(ADA, principals=None), 200),
        (replace(ADA, kb_ids=None), 200),
        (replace(ADA, kb_ids=frozenset({"other"})), 404),
        (replace(ADA, kb_ids=frozenset({"other"}), principals=None), 404),
        (replace(ADA, sub="eve"), 404),
    ],
)
async def test_who_comes_back_must_be_allowed_to_read_all_sources(
    streams: StreamEndpoint, hub: Hub, caller: Caller, expected: int
) -> None:
    stream_id = await answered(hub)
    assert [await status(streams, caller, stream_id, method=method) for method in ("GET", "HEAD")] == [expected] * 2
    assert await status(streams, caller, stream_id, cursor=1) == expected
    assert await status(streams, caller, stream_id, cursor=2) == (204 if expected == 200 else 404)


async def test_who_has_the_whole_answer_collected_must_be_allowed_to_read_it_too(
    streams: StreamEndpoint, hub: Hub
) -> None:
    stream_id = await answered(hub)
    async with aclosing(await streams.entries(ADA, stream_id)) as collecting:
        assert [entry.event async for entry in collecting if entry] == ["token", "done"]
    for caller in (replace(ADA, principals=frozenset({"leads"})), replace(ADA, sub="eve")):
        with pytest.raises(Problem) as refused:
            await streams.entries(caller, stream_id)
        assert refused.value.status == 404


@pytest.mark.parametrize(
    ("access", "expected"), [(("ada",), 200), (None, 200), (("hr",), 404), ((), 404)], ids=["hers", "open", "hr", "no"]
)
async def test_what_counts_is_the_documents_list_as_it_is_now(
    streams: StreamEndpoint, hub: Hub, index: SqliteIndex, access: tuple[str, ...] | None, expected: int
) -> None:
    stream_id = await answered(hub)
    await put(index, replace(PAY, access=access))
    assert await status(streams, ADA, stream_id) == expected


async def test_what_has_been_removed_is_no_obstacle(streams: StreamEndpoint, hub: Hub, index: SqliteIndex) -> None:
    stream_id = await answered(hub)
    for document_id in SOURCES.document_ids:
        await index.remove(document_id)
    assert await status(streams, ADA, stream_id) == 200


async def test_that_a_stream_is_over_is_told_first(index: SqliteIndex, tmp_path: Path) -> None:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), replace(LIMITS, retention=-1))
    stream_id = await answered(hub)
    assert await status(StreamEndpoint(LocalCaller(), index, hub), replace(ADA, kb_ids=frozenset()), stream_id) == 410
    await hub.aclose()


@pytest.mark.parametrize(("principals", "received"), [({"ada"}, ["token", "done"]), ({"leads"}, []), (set(), [])])
async def test_before_its_sources_are_known_a_stream_is_followed_and_checked_then(
    streams: StreamEndpoint,
    hub: Hub,
    principals: set[str],
    received: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = asyncio.Event()
    stream_id = await hub.start("ada", producing(go_on, SOURCES, Token("In May [1].")), kb_ids=["team"])
    caller = replace(ADA, principals=frozenset(principals))
    response = await streams.resume(request(), caller, stream_id, None)
    go_on.set()
    assert [frame.event for frame in await frames_of(response)] == received
    assert ("may not read it" in caplog.text) == (not received)


async def test_an_answer_from_no_document_is_for_every_token_of_its_owner(streams: StreamEndpoint, hub: Hub) -> None:
    stream_id = await hub.start("ada", producing(Sources(()), Token("Nothing.")), kb_ids=["team"])
    response = await streams.resume(request(), replace(ADA, principals=frozenset()), stream_id, None)
    assert [frame.event for frame in await frames_of(response)] == ["token", "done"]


@pytest.mark.parametrize(("principals", "received"), [(frozenset({"ada"}), []), (None, ["token", "done"])])
async def test_where_the_log_has_lost_the_sources_nobody_from_whom_any_could_be_withheld_comes_back(
    streams: StreamEndpoint,
    hub: Hub,
    principals: frozenset[str] | None,
    received: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("citestream.streams.sqlite_file._PATIENCE_SECONDS", 0.05)
    go_on = asyncio.Event()
    stream_id = await hub.start("ada", producing(go_on, SOURCES, Token("In May [1].")), kb_ids=["team"])
    response = await streams.resume(request(), replace(ADA, principals=principals), stream_id, None)
    with closing(sqlite3.connect(tmp_path / "streams.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        go_on.set()
        assert [frame.event for frame in await frames_of(response)] == received
        other.execute("ROLLBACK")
