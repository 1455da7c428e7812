"""Execution environments: processes side by side, frozen, restored, and what they are given."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from asgi_lambda.emulator import Function
from tests.emulated import FOREVER, Gate, loop_function, running


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
            await gate.open()
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


@pytest.mark.skipif(not Path("/proc").exists(), reason="this system does not tell the state of processes")
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
        await gate.open()
        await emulator.settled()
    assert emulator.invocations[0].error_type is None
    assert emulator.invocations[0].duration > 0


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


async def test_without_snapstart_there_is_no_restore(tmp_path: Path) -> None:
    code = 'answer = call("GET", "restore/next")' + FOREVER + "    reply(rid, answer)"
    async with running(loop_function(tmp_path, code)) as (_, client, _):
        assert (await client.get("/")).json() == [404, "404 page not found\n"]


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


async def test_what_runs_is_ended_with_the_emulator(tmp_path: Path) -> None:
    Gate(tmp_path / "never")
    async with running(loop_function(tmp_path, FOREVER + '    wait_for("never")'), shutdown_grace=0) as (
        emulator,
        client,
        _,
    ):
        request = asyncio.create_task(client.get("/"))
        while not emulator.invocations:
            await asyncio.sleep(0)
    with pytest.raises(httpx.HTTPError):
        await request
    assert emulator.invocations[0].error_type == "Emulator.Failed"


async def test_a_snapshot_s_process_that_ends_is_replaced(tmp_path: Path) -> None:
    code = """
call("GET", "restore/next")
rid, event, headers = next_event()
reply(rid, os.getpid())
"""
    async with running(loop_function(tmp_path, code), snap_start=True, concurrency=1) as (emulator, client, _):
        pids = set()
        for _ in range(2):
            pids.add((await client.get("/")).json())
            await emulator.settled()
    assert len(pids) == 2
    assert [(each.status, each.error_type) for each in emulator.invocations] == [(200, "Runtime.ExitError")] * 2


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


async def test_an_environment_can_be_started_before_the_first_request(tmp_path: Path) -> None:
    async with running(loop_function(tmp_path, FOREVER + "    reply(rid, 1)"), prestart=True) as (emulator, client, _):
        assert (await client.get("/")).json() == 1
        await emulator.settled()
    assert emulator.invocations[0].start == "warm"
