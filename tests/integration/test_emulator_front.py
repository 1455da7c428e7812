"""The emulator's front ends: modes and their mismatches, headers, bodies and connections."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from asgi_lambda.emulator import Emulator, Function
from tests.emulated import FOREVER, Gate, loop_function, running

PRELUDE = 'stream(rid, [prelude(201, headers={"a": "b"}), b"body"])'
RESULT = 'call("POST", f"invocation/{rid}/response", b\'{"statusCode": 201, "headers": {"a": "b"}, "body": "body"}\')'
BARE = 'stream(rid, [b"{}"], "Content-Type: text/plain")'


@pytest.mark.parametrize(
    ("code", "options", "status", "body", "mismatch"),
    [
        (PRELUDE, {}, 201, b"body", ""),
        (RESULT, {}, 200, b'{"statusCode": 201, "headers": {"a": "b"}, "body": "body"}', "answered buffered"),
        (BARE, {}, 200, b"{}", ""),
        (
            PRELUDE,
            {"buffered": True},
            200,
            b'{"statusCode": 201, "headers": {"a": "b"}}' + b"\0" * 8 + b"body",
            "BUFFERED",
        ),
        (RESULT, {"buffered": True}, 201, b"body", ""),
        (BARE, {"buffered": True}, 200, b"{}", ""),
        (PRELUDE, {"http_api": True}, 500, b'{"message":"Internal Server Error"}', "an HTTP API can't"),
        (PRELUDE, {"api_gateway": True}, 201, b"body", ""),
        (RESULT, {"api_gateway": True}, 500, b'{"message":"Internal server error"}', "without a prelude"),
        (BARE, {"api_gateway": True}, 500, b'{"message":"Internal server error"}', "without a prelude"),
        (PRELUDE, {"api_gateway": True, "buffered": True}, 201, b"", "no body"),
        (RESULT, {"api_gateway": True, "buffered": True}, 201, b"body", ""),
        (BARE, {"api_gateway": True, "buffered": True}, 502, b'{"message":"Internal server error"}', ""),
    ],
)
async def test_modes_and_their_mismatches(
    tmp_path: Path, code: str, options: dict[str, bool], status: int, body: bytes, mismatch: str
) -> None:
    async with running(loop_function(tmp_path, FOREVER + "    " + code), **options) as (emulator, client, lines):
        response = await client.get("/")
        await emulator.settled()
    assert (response.status_code, response.content) == (status, body)
    said = [line for line in lines if "MODE MISMATCH" in line]
    assert [mismatch] == [mismatch for line in said if mismatch in line] if mismatch else said == []


async def test_a_coding_is_taken_off_and_headers_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "body.gz").write_bytes(gzip.compress(b"plain text"))
    code = """
    fields = {"Content-Encoding": "gzip", "Content-Length": "30", "WWW-Authenticate": "Bearer", "Connection": "close",
              "Transfer-Encoding": "chunked"}
    stream(rid, [prelude(401, headers=fields), open("body.gz", "rb").read()])
"""
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, client, _):
        response = await client.get("/")
        await emulator.settled()
    assert response.content == b"plain text"
    assert response.headers["x-amzn-remapped-content-length"] == "30"
    assert response.headers["x-amzn-remapped-www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/octet-stream"
    assert not {"content-encoding", "content-length", "www-authenticate"} & set(response.headers)
    assert len(emulator.invocations[0].notes) == 2


async def raw_exchange(emulator: Emulator, request: bytes) -> bytes:
    """What is answered until the connection ends."""
    host, port = emulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("request_line", "headers", "end"),
    [
        ("GET / HTTP/1.1", "Connection: close", b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("GET / HTTP/1.0", "X: y", b"\r\n\r\nok"),
        ("HEAD / HTTP/1.1", "Connection: close", b"\r\n\r\n"),
        ("GET /204 HTTP/1.1", "Connection: close", b"\r\n\r\n"),
        ("GET /304 HTTP/1.1", "Connection: close", b"\r\n\r\n"),
    ],
)
async def test_bodies_on_the_wire(tmp_path: Path, request_line: str, headers: str, end: bytes) -> None:
    code = '    stream(rid, [prelude(int(event["rawPath"][1:] or 200)), b"ok"])'
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, _, _):
        answer = await raw_exchange(emulator, f"{request_line}\r\nHost: a\r\n{headers}\r\n\r\n".encode())
    head = answer[: answer.index(b"\r\n\r\n")].lower()
    assert answer.removeprefix(answer[: len(head)]) == end
    assert (b"transfer-encoding" in head) == (b"chunk" in head) == (end.endswith(b"0\r\n\r\n"))


async def test_one_connection_carries_several_requests(tmp_path: Path) -> None:
    code = '    reply(rid, event.get("body"))'
    async with running(loop_function(tmp_path, FOREVER + code), concurrency=1, freeze=False) as (emulator, client, _):
        request = (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
        )
        malformed = b"\r\n".join([request, b"ab" + b"NONSENSE", b"", b""])
        answer = await raw_exchange(emulator, malformed)
        await emulator.settled()
        for _ in range(2):
            assert (await client.post("/", content=b"x", headers={"Content-Type": "text/plain"})).json() == "x"
            await emulator.settled()
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b'4\r\n"ab"\r\n0\r\n\r\nHTTP/1.1 400 Bad Request\r\n' in answer


async def test_a_request_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    async with running(loop_function(tmp_path, "")) as (emulator, client, _):
        response = await client.post("/", content=b"x" * (6 * 1024 * 1024 + 1))
        assert (response.status_code, response.json()) == (413, {"message": "Request Too Long"})
    assert emulator.invocations[0].start is None


async def test_a_rest_api_has_a_stage_and_its_own_events(tmp_path: Path) -> None:
    code = """
    fields = {"headers": {"X": "lost", "Y": "kept"}, "multiValueHeaders": {"x": ["1", "2"]}, "cookies": ["a=b"]}
    stream(rid, [prelude(**fields), json.dumps(event).encode()])
"""
    async with running(loop_function(tmp_path, FOREVER + code), api_gateway=True, stage="live") as (
        emulator,
        client,
        _,
    ):
        response = await client.get("/a%20b?q=1&q=%C3%A4")
        outside = await client.get(emulator.url.removesuffix("/live") + "/alive")
    event = response.json()
    assert (event["path"], event["requestContext"]["path"]) == ("/a%20b", "/live/a%20b")
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "ä"]}
    assert response.headers.get_list("x") == ["1", "2"]
    assert (response.headers["y"], response.headers["set-cookie"]) == ("kept", "a=b")
    assert (outside.status_code, outside.json()) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize(("options", "status"), [({}, 429), ({"api_gateway": True}, 500), ({"http_api": True}, 503)])
async def test_a_front_end_that_finds_no_environment(tmp_path: Path, options: dict[str, bool], status: int) -> None:
    gate = Gate(tmp_path / "gate")
    code = '    call("POST", f"invocation/{rid}/error", b"{}")\n    wait_for("gate")'
    async with running(loop_function(tmp_path, FOREVER + code), concurrency=1, **options) as (emulator, client, _):
        failed = await client.get("/")
        assert (await client.get("/")).status_code == status
        await gate.open()
    assert failed.status_code == (500 if options.get("http_api") else 502)
    assert emulator.invocations[1].error == "all of 1 environments are busy"


async def test_an_http_api_buffers_decodes_the_path_and_renames_nothing(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("""
def handler(event, context):
    fields = {"WWW-Authenticate": "Bearer", "Path": event["rawPath"]}
    return {"statusCode": 401, "headers": fields, "cookies": ["a=b"], "body": event["version"]}
""")
    async with running(Function(tmp_path, "plain.handler"), http_api=True) as (emulator, client, _):
        response = await client.get("/a%2Fb")
        await emulator.settled()
    assert (response.status_code, response.text) == (401, "2.0")
    assert response.headers["www-authenticate"] == "Bearer"
    assert (response.headers["path"], response.headers["set-cookie"]) == ("/a/b", "a=b")
    assert emulator.invocations[0].notes == []
