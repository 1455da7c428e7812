"""The emulator with whole functions: what the caller gets, what Lambda does to the function, what is recorded."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_lambda.emulator import Emulator, Faults, Function, Options, Pace
from tests.emulated import Gate, loop_function

FOREVER = """
while True:
    rid, event, headers = next_event()
"""


@asynccontextmanager
async def running(function: Function, **options: Any) -> AsyncIterator[tuple[Emulator, httpx.AsyncClient, list[str]]]:
    lines: list[str] = []
    settings = Options(**{"keep": True, "say": lines.append, **options})
    async with Emulator(function, settings) as emulator, httpx.AsyncClient(base_url=emulator.url, timeout=20) as client:
        yield emulator, client, lines


async def open_gate(gate: Gate) -> None:
    await asyncio.to_thread(gate.open)


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
            await open_gate(gate)
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
    assert [line.split("bytes")[1].strip() for line in lines if line.startswith("   ")] == [
        "'data: one'",
        "'data: two'",
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


@pytest.mark.parametrize(
    ("code", "error_type", "error"),
    [
        ("sys.exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("sys.exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime.ExitError", "Runtime exited with error: signal: Killed"),
        ("wait_for('never')", "Sandbox.Timedout", "Task timed out after 0.50 seconds"),
        (
            'call(\'POST\', f\'invocation/{rid}/error\', b\'{"errorMessage":"m","errorType":"T"}\','
            " Lambda_Runtime_Function_Error_Type='Function.Bad')",
            "Function.Bad",
            "T: m",
        ),
        ("call('POST', f'invocation/{rid}/error', b'text')", "Runtime.Unknown", "b'text'"),
        ("call('POST', f'invocation/{rid}/response', b'x' * 6291557)", "Function.ResponseSizeTooLarge", None),
    ],
)
async def test_a_failure_before_the_first_byte_is_a_502(
    tmp_path: Path, code: str, error_type: str, error: str | None
) -> None:
    Gate(tmp_path / "never")
    function = loop_function(tmp_path, FOREVER + "    " + code, timeout=0.5)
    async with running(function) as (emulator, client, lines):
        response = await client.get("/")
        await emulator.settled()
    assert (response.status_code, response.text) == (502, "Internal Server Error")
    record = emulator.invocations[0]
    assert record.error_type == error_type
    assert error is None or record.error == error
    assert f"  {record.error_type}: {record.error}" in lines


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("wait_for('never')", "Sandbox.Timedout"),
        ("os._exit(1)", "Runtime.ExitError"),
        ("connection.close()", "Runtime.TruncatedResponse"),
        ("connection.sendall(b'no chunk\\r\\n')", "Runtime.TruncatedResponse"),
    ],
)
async def test_a_failure_in_mid_stream_cuts_the_body_off(tmp_path: Path, code: str, error_type: str) -> None:
    Gate(tmp_path / "never")
    gate = Gate(tmp_path / "gate")
    beginning = """
    if event["rawPath"] == "/again":
        reply(rid, "fine")
        continue
    connection = open_stream(rid, "Content-Type: " + PRELUDE)
    connection.sendall(chunk(prelude()) + chunk(b"beginning"))
    wait_for("gate")
    """
    async with running(loop_function(tmp_path, FOREVER + beginning + code, timeout=1), concurrency=1) as (
        emulator,
        client,
        _,
    ):
        async with client.stream("GET", "/") as response:
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"beginning"
            await open_gate(gate)
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(pieces)
        await emulator.settled()
        again = await client.get("/again")
        await emulator.settled()
    first, second = emulator.invocations
    assert (first.status, first.aborted, first.error_type) == (200, True, error_type)
    assert (again.status_code, again.json()) == (200, "fine")
    assert second.start == ("warm" if error_type == "Runtime.TruncatedResponse" else "cold")


async def test_environments_serve_side_by_side_and_no_more_than_there_are(tmp_path: Path) -> None:
    gates = [Gate(tmp_path / "one"), Gate(tmp_path / "two")]
    code = """
    if "gate" in event.get("queryStringParameters", {}):
        wait_for(event["queryStringParameters"]["gate"])
    reply(rid, os.getpid())
"""
    async with running(loop_function(tmp_path, FOREVER + code), concurrency=2) as (emulator, client, _):
        held = [asyncio.create_task(client.get(f"/?gate={name}")) for name in ("one", "two")]
        while len(emulator.invocations) < 2:
            await asyncio.sleep(0)
        refused = await client.get("/")
        for gate in gates:
            await open_gate(gate)
        pids = [(await each).json() for each in held]
        await emulator.settled()
        warm = (await client.get("/")).json()
    assert refused.status_code == 429
    assert refused.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert refused.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert len(set(pids)) == 2
    assert warm in pids
    assert [each.start for each in emulator.invocations] == ["cold", "cold", None, "warm"]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def reach_state(pid: int, wanted: str) -> None:
    """Return once the process is in this state; the test's time limit ends the wait."""
    while state_of(pid) != wanted:
        await asyncio.sleep(0)


@pytest.mark.parametrize("freeze", [True, False])
async def test_the_process_is_frozen_between_invocations(tmp_path: Path, freeze: bool) -> None:
    async with running(loop_function(tmp_path, FOREVER + "    reply(rid, os.getpid())"), freeze=freeze) as (
        emulator,
        client,
        _,
    ):
        for _ in range(2):
            pid = (await client.get("/")).json()
            await emulator.settled()
            await reach_state(pid, "T" if freeze else "S")


async def test_work_after_the_response_keeps_the_environment_busy_and_is_billed(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    code = '    reply(rid, 1)\n    wait_for("gate")'
    async with running(loop_function(tmp_path, FOREVER + code), concurrency=1) as (emulator, client, _):
        assert (await client.get("/")).json() == 1
        assert (await client.get("/")).status_code == 429
        await open_gate(gate)
        await emulator.settled()
    assert emulator.invocations[0].error_type is None
    assert emulator.invocations[0].duration > 0


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
        await open_gate(gate)
        await emulator.settled()
    record = emulator.invocations[0]
    assert (record.client_gone, record.aborted, record.error_type) == (True, False, None)
    assert record.body_bytes == len("beginning") + 20 * len("more")
    assert "[1] 202" in lines


async def test_a_snapshot_is_restored(tmp_path: Path) -> None:
    code = """
born = call("GET", "restore/next")[0]
while True:
    rid, event, headers = next_event()
    reply(rid, [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], born])
"""
    async with running(loop_function(tmp_path, code), snap_start=True, concurrency=1) as (emulator, client, _):
        for _ in range(2):
            assert (await client.get("/")).json() == ["snap-start", 200]
            await emulator.settled()
    first, second = emulator.invocations
    assert (first.start, second.start) == ("restore", "warm")
    assert first.restore is not None
    assert first.init is None


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (
            "call('POST', 'restore/error', b'{}', Lambda_Runtime_Function_Error_Type='Runtime.AfterRestoreError')",
            "Runtime.AfterRestoreError",
        ),
        ("wait_for('never')", "Sandbox.Timedout"),
    ],
)
async def test_a_restore_that_fails_is_a_502(tmp_path: Path, code: str, error_type: str) -> None:
    Gate(tmp_path / "never")
    function = loop_function(tmp_path, f'call("GET", "restore/next")\n{code}\nnext_event()')
    async with running(function, snap_start=True, restore_limit=0.3) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    assert emulator.invocations[0].error_type == error_type


async def test_publishing_a_snapshot_that_fails_is_told_at_once(tmp_path: Path) -> None:
    async with running(loop_function(tmp_path, "sys.exit(4)"), snap_start=True) as (_, _, lines):
        assert lines == ["publishing fails: Runtime.ExitError: Runtime exited with error: exit status 4"]


async def test_without_snapstart_there_is_no_restore(tmp_path: Path) -> None:
    code = 'answer = call("GET", "restore/next")' + FOREVER + "    reply(rid, answer)"
    async with running(loop_function(tmp_path, code)) as (_, client, _):
        assert (await client.get("/")).json() == [404, "404 page not found\n"]


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (
            "call('POST', 'init/error', b'{}', Lambda_Runtime_Function_Error_Type='Runtime.NoModule')",
            "Runtime.NoModule",
        ),
        ("sys.exit(1)", "Runtime.ExitError"),
        ("wait_for('never')", "Sandbox.Timedout"),
    ],
)
async def test_an_init_that_fails_is_tried_once_more(tmp_path: Path, code: str, error_type: str | None) -> None:
    Gate(tmp_path / "never")
    function = loop_function(tmp_path, f"open('starts', 'a').write('x')\n{code}", timeout=0.3)
    async with running(function, init_limit=0.3) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    assert (tmp_path / "starts").read_text() == "xx"
    record = emulator.invocations[0]
    assert record.error_type == error_type
    assert record.notes[0].startswith("init failed and is tried again: ")


async def test_an_init_that_takes_too_long_goes_on_in_the_invocation_s_time(tmp_path: Path) -> None:
    code = """
first = not os.path.exists("started")
open("started", "w").close()
if first:
    wait_for("never")
"""
    Gate(tmp_path / "never")
    function = loop_function(tmp_path, code + FOREVER + "    reply(rid, 1)", timeout=10)
    async with running(function, init_limit=0.2) as (emulator, client, _):
        assert (await client.get("/")).json() == 1
        await emulator.settled()
    record = emulator.invocations[0]
    assert (record.start, record.init, record.error_type) == ("cold", None, None)
    assert record.notes == ["init failed and is tried again: Sandbox.Timedout: init did not end within 0.2 s"]


async def test_a_wrapper_that_is_not_there(tmp_path: Path) -> None:
    function = Function(tmp_path, "x.y", wrapper="/var/task/missing")
    async with running(function) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    record = emulator.invocations[0]
    assert record.error_type == "Runtime.InvalidEntrypoint"
    assert record.error == f"No such file or directory: {tmp_path / 'missing'}"


async def test_the_process_gets_what_lambda_gives_and_nothing_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "secret")
    code = "    reply(rid, [dict(os.environ), os.getcwd(), sys.argv, headers.items()])"
    function = loop_function(
        tmp_path,
        FOREVER + code,
        environ={"DATA": "/var/task/data:/var/tasks", "AWS_REGION": "eu-west-1", "_HANDLER": "not.this"},
        timeout=7,
        memory=512,
        name="Answers",
        log_format="JSON",
    )
    async with running(function) as (_, client, _):
        environ, folder, _, headers = (await client.get("/")).json()
    assert folder == str(tmp_path)
    assert "MINE" not in environ
    expected = {
        "_HANDLER": "main.handler",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "AWS_LAMBDA_FUNCTION_NAME": "Answers",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Answers",
        "AWS_LAMBDA_EXEC_WRAPPER": f"{tmp_path}/run-stream",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "DATA": f"{tmp_path}/data:/var/tasks",
        "TZ": ":UTC",
    }
    assert expected.items() <= environ.items()
    names = {name for name, _ in headers}
    assert {"Lambda-Runtime-Deadline-Ms", "Lambda-Runtime-Trace-Id", "Lambda-Runtime-Invocation-Id"} <= names


async def test_what_the_function_writes_is_said(tmp_path: Path) -> None:
    code = """
import struct, signal
print("to stdout", flush=True)
sys.stderr.write("to stderr, without an end")
def frame(text, kind=0xa55a0003):
    os.write(int(os.environ["_LAMBDA_TELEMETRY_LOG_FD"]), struct.pack(">IIQ", kind, len(text), 1) + text)
frame(b"framed\\nin two lines\\n")
def ends(*_):
    frame(b"told to end")
    sys.exit()
signal.signal(signal.SIGTERM, ends)
"""
    async with running(loop_function(tmp_path, code + FOREVER + "    reply(rid, 1)")) as (_, client, lines):
        await client.get("/")
    said = {line for line in lines if line.startswith("[1]")}
    assert said == {"[1] to stdout", "[1] to stderr, without an end", "[1] framed\nin two lines", "[1] told to end"}


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


async def test_a_busy_rest_api_answers_500(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    code = '    reply(rid, 1)\n    wait_for("gate")'
    async with running(loop_function(tmp_path, FOREVER + code), concurrency=1, api_gateway=True) as (_, client, _):
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/")).status_code == 500
        await open_gate(gate)


@pytest.mark.parametrize(
    ("handler", "path", "status", "body", "error_type"),
    [
        ("plain.handler", "/", 200, b"from GET", None),
        ("plain.handler", "/raise", 502, b"Internal Server Error", "Runtime.ValueError"),
        ("missing.handler", "/", 502, b"Internal Server Error", "Runtime.ModuleNotFoundError"),
    ],
)
async def test_without_a_wrapper_a_plain_handler_is_called(
    tmp_path: Path, handler: str, path: str, status: int, body: bytes, error_type: str | None
) -> None:
    (tmp_path / "plain.py").write_text("""
def handler(event, context):
    if event["rawPath"] == "/raise":
        raise ValueError("no")
    assert 0 < context.get_remaining_time_in_millis() <= 3000
    return {"statusCode": 200, "body": "from " + event["requestContext"]["http"]["method"]}
""")
    async with running(Function(tmp_path, handler), buffered=True) as (emulator, client, _):
        response = await client.get(path)
        await emulator.settled()
    assert (response.status_code, response.content) == (status, body)
    assert emulator.invocations[0].error_type == error_type


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
