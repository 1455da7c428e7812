"""Streamed responses through the emulator: what the caller gets and when, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_lambda.emulator import Faults, Pace
from tests.emulated import FOREVER, Gate, loop_function, running


async def test_a_frame_reaches_the_caller_before_the_function_goes_on(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    code = """
    def frames():
        yield prelude(201, headers={"content-type": "text/event-stream"}, cookies=["a=1; Path=/", "b=2"])
        yield b"data: one\\n\\n"
        wait_for("gate")
        yield b"data: two\\n\\n"
    stream(rid, frames())
"""
    async with running(loop_function(tmp_path, FOREVER + code), trace=True) as (emulator, client, lines):
        async with client.stream("GET", "/") as response:
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"data: one\n\n"
            await gate.open()
            assert [piece async for piece in pieces] == [b"data: two\n\n"]
        await emulator.settled()
    assert response.status_code == 201
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.headers["x-amzn-requestid"] == emulator.invocations[0].request_id
    record = emulator.invocations[0]
    assert (record.status, record.start, record.environment, record.frames, record.body_bytes) == (
        201,
        "cold",
        1,
        2,
        22,
    )
    assert record.error_type is None
    assert not record.aborted
    assert record.billed_ms >= (record.init or 0) * 1000
    assert [line for line in lines if line.startswith("GET / 201, first byte ") and "2 frames, 22 bytes" in line]
    traced = [line.split() for line in lines if line.startswith("  environment 1 ")]
    assert [" ".join(words[4:]) for words in traced] == [
        r"11 bytes 'data: one\n\n'",
        r"11 bytes 'data: two\n\n'",
    ]


async def test_the_post_is_recorded_as_it_was_sent(tmp_path: Path) -> None:
    code = """
    stream(rid, [prelude(headers={}), b"ab", b"c"], "Content-Type: " + PRELUDE, "Trailer: " + ERRORS,
           trailers=["Lambda-Runtime-Function-Error-Type: Function.Broken",
                     "Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJYIiwiZXJyb3JNZXNzYWdlIjoibm8ifQ==",
                     "Unannounced: 1"])
"""
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, client, _):
        response = await client.get("/")
        await emulator.settled()
    record = emulator.invocations[0]
    post = record.post
    assert post
    prelude = b'{"statusCode": 200, "headers": {}}' + b"\0" * 8
    assert post.chunks == [prelude, b"ab", b"c"]
    assert post.body == prelude + b"abc"
    assert ("Transfer-Encoding", "chunked") in post.headers
    assert post.wire.startswith(f"POST {post.target} HTTP/1.1\r\nHost: lambda\r\n".encode())
    assert post.wire.endswith(
        b"\r\n1\r\nc\r\n0\r\n" + post.wire[post.wire.index(b"Lambda-Runtime-Function-Error-Type: F") :]
    )
    assert sum(size for _, size in post.times) == len(post.body)
    assert (response.status_code, response.content) == (200, b"abc")
    assert "lambda-runtime-function-error-type" not in response.headers
    assert (record.error_type, record.error) == ("Function.Broken", "X: no")
    assert set(record.trailers) == {"Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"}
    assert record.notes == ["the trailer Unannounced was not announced and is ignored"]


async def test_a_vanished_caller_is_not_told_of(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    code = """
    def pieces():
        yield prelude()
        yield b"beginning"
        wait_for("gate")
        for _ in range(20):
            yield b"more"
    print(stream(rid, pieces())[0])
    sys.stdout.flush()
"""
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, client, lines):
        async with client.stream("GET", "/") as response:
            await anext(response.aiter_raw())
        await gate.open()
        await emulator.settled()
    record = emulator.invocations[0]
    assert (record.client_gone, record.aborted, record.error_type) == (True, False, None)
    assert record.body_bytes == len("beginning") + 20 * len("more")
    assert "[1] 202" in lines


async def test_faults_can_be_asked_for(tmp_path: Path) -> None:
    code = """
    try:
        stream(rid, [prelude(), *[b"x" * 1000] * 1000])
    except (OSError, http.client.HTTPException) as error:
        print("the stream is broken", flush=True)
"""
    function = loop_function(tmp_path, FOREVER + code)
    async with running(function, faults=Faults(cut_after=5000)) as (emulator, client, lines):
        for start in ("cold", "warm"):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/")
            await emulator.settled()
            record = emulator.invocations[-1]
            assert record.post
            assert len(record.post.body) == 5000
            assert (record.error_type, record.start) == ("Runtime.TruncatedResponse", start)
    assert lines.count("[1] the stream is broken") == 2


@pytest.mark.parametrize(
    "options", [{"faults": Faults(read_rate=10_000_000)}, {"pace": Pace(burst=1_000_000, rate=8_000_000)}]
)
async def test_a_slow_reader_holds_the_function_up(tmp_path: Path, options: dict[str, Any]) -> None:
    code = '    stream(rid, [prelude(), *[b"x" * 60_000] * 50])'
    async with running(loop_function(tmp_path, FOREVER + code), **options) as (emulator, client, _):
        assert len((await client.get("/")).content) == 3_000_000
        await emulator.settled()
    assert emulator.invocations[0].duration >= 0.2  # 2 MB at 8 MB/s, or 3 at 10; less a refill


async def test_a_stream_may_be_only_so_long(tmp_path: Path) -> None:
    code = """
    try:
        print(stream(rid, [prelude(), *[b"x" * 1000] * 100]), flush=True)
    except OSError:
        print("(413,", flush=True)
"""
    async with running(loop_function(tmp_path, FOREVER + code), stream_limit=50_000) as (emulator, client, lines):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
        await emulator.settled()
    assert emulator.invocations[0].error_type == "Function.ResponseSizeTooLarge"
    assert any(line.startswith("[1] (413,") for line in lines)


@pytest.mark.parametrize(
    ("trailers", "shown"),
    [
        (["Lambda-Runtime-Function-Error-Type: Function.Bad"], "no error body"),
        (
            ["Lambda-Runtime-Function-Error-Type: Function.Bad", "Lambda-Runtime-Function-Error-Body: ***"],
            "the error body '***' is not Base64",
        ),
    ],
)
async def test_error_trailers_without_a_proper_body(tmp_path: Path, trailers: list[str], shown: str) -> None:
    lines = '"Content-Type: " + PRELUDE, "Trailer: " + ERRORS'
    code = f"    stream(rid, [prelude()], {lines}, trailers={trailers!r})"
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, client, _):
        assert (await client.get("/")).status_code == 200
        await emulator.settled()
    assert (emulator.invocations[0].error_type, emulator.invocations[0].error) == ("Function.Bad", shown)


async def test_ten_thousand_small_chunks_a_second_pass(tmp_path: Path) -> None:
    code = '    stream(rid, [prelude(headers={"content-type": "text/event-stream"}), *[b"data: {}\\n\\n"] * 20_000])'
    async with running(loop_function(tmp_path, FOREVER + code, timeout=20), keep=False) as (emulator, client, _):
        assert len((await client.get("/")).content) == 20_000 * 10
        await emulator.settled()
    assert emulator.invocations[0].frames == 20_000


async def test_events_are_unicode_all_the_way(tmp_path: Path) -> None:
    code = '    reply(rid, event["body"])'
    async with running(loop_function(tmp_path, FOREVER + code)) as (_, client, _):
        response = await client.post("/", json={"query": "Größe ✓"})
    assert json.loads(response.json()) == {"query": "Größe ✓"}
