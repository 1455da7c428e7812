"""Failures of the function, as the emulator shows them to the caller and names them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from asgi_lambda.emulator import Function
from tests.emulated import FOREVER, Gate, loop_function, running
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry


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
    function = loop_function(tmp_path, FOREVER + "    " + code, timeout=0.5 if "never" in code else 20)
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
async def test_a_failure_in_mid_stream_cuts_the_body_off(
    tmp_path: Path, code: str, error_type: str, hurry: Hurry
) -> None:
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
    function = loop_function(tmp_path, FOREVER + beginning + code, timeout=1000)
    async with running(function, concurrency=1) as (emulator, client, _):
        async with client.stream("GET", "/") as response:
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"beginning"
            await gate.open()
            if error_type == "Sandbox.Timedout":
                hurry(1000)
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(pieces)
        await emulator.settled()
        again = await client.get("/again")
        await emulator.settled()
    first, second = emulator.invocations
    assert (first.status, first.aborted, first.error_type) == (200, True, error_type)
    assert (again.status_code, again.json()) == (200, "fine")
    assert second.start == ("warm" if error_type == "Runtime.TruncatedResponse" else "cold")


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
    limit = 0.3 if "never" in code else 10
    async with running(function, snap_start=True, restore_limit=limit) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    assert emulator.invocations[0].error_type == error_type


async def test_publishing_a_snapshot_that_fails_is_told_at_once(tmp_path: Path) -> None:
    async with running(loop_function(tmp_path, "sys.exit(4)"), snap_start=True) as (_, _, lines):
        assert lines == ["init fails: Runtime.ExitError: Runtime exited with error: exit status 4"]


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (
            "call('POST', 'init/error', b'{}', Lambda_Runtime_Function_Error_Type='Runtime.NoModule')",
            "Runtime.NoModule",
        ),
        ("sys.exit(1)", "Runtime.ExitError"),
    ],
)
async def test_an_init_that_fails_is_tried_once_more(tmp_path: Path, code: str, error_type: str) -> None:
    function = loop_function(tmp_path, f"open('starts', 'a').write('x')\n{code}")
    async with running(function) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    assert (tmp_path / "starts").read_text() == "xx"
    record = emulator.invocations[0]
    assert record.error_type == error_type
    assert record.notes[0].startswith("init failed and is tried again: ")


async def test_an_init_that_does_not_end_is_tried_once_more(tmp_path: Path, hurry: Hurry) -> None:
    Gate(tmp_path / "never")
    gates = [Gate(tmp_path / name) for name in ("first", "second")]
    code = """
again = os.path.exists("started")
open("started", "w").close()
wait_for("second" if again else "first")
wait_for("never")
"""
    async with running(loop_function(tmp_path, code, timeout=1000), init_limit=1000) as (emulator, client, _):
        asking = asyncio.create_task(client.get("/"))
        for gate in gates:
            await gate.open()
            hurry(1000)
        assert (await asking).status_code == 502
        await emulator.settled()
    record = emulator.invocations[0]
    assert record.error_type == "Sandbox.Timedout"
    assert record.notes == ["init failed and is tried again: Sandbox.Timedout: init did not end within 1000 s"]


async def test_an_init_that_takes_too_long_goes_on_in_the_invocation_s_time(tmp_path: Path, hurry: Hurry) -> None:
    code = """
first = not os.path.exists("started")
open("started", "w").close()
if first:
    wait_for("gate")
    wait_for("never")
"""
    Gate(tmp_path / "never")
    gate = Gate(tmp_path / "gate")
    function = loop_function(tmp_path, code + FOREVER + "    reply(rid, 1)", timeout=1000)
    async with running(function, init_limit=1000) as (emulator, client, _):
        asking = asyncio.create_task(client.get("/"))
        await gate.open()
        hurry(1000)
        assert (await asking).json() == 1
        await emulator.settled()
    record = emulator.invocations[0]
    assert (record.start, record.init, record.error_type) == ("cold", None, None)
    assert record.notes == ["init failed and is tried again: Sandbox.Timedout: init did not end within 1000 s"]


async def test_a_wrapper_that_is_not_there(tmp_path: Path) -> None:
    function = Function(tmp_path, "x.y", wrapper="/var/task/missing")
    async with running(function) as (emulator, client, _):
        assert (await client.get("/")).status_code == 502
        await emulator.settled()
    record = emulator.invocations[0]
    assert record.error_type == "Runtime.InvalidEntrypoint"
    assert record.error == f"No such file or directory: {tmp_path / 'missing'}"


async def test_a_slow_caller_gets_all_that_was_sent_before_the_cut(tmp_path: Path) -> None:
    code = """
    connection = open_stream(rid, "Content-Type: " + PRELUDE)
    connection.sendall(chunk(prelude()) + chunk(b"x" * 5_000_000))
    connection.close()
"""
    async with running(loop_function(tmp_path, FOREVER + code)) as (emulator, client, _):
        received = bytearray()

        async def read(response: httpx.Response) -> None:
            async for piece in response.aiter_raw():
                received.extend(piece)

        async with client.stream("GET", "/") as response:
            await emulator.settled()
            with pytest.raises(httpx.RemoteProtocolError):
                await read(response)
    assert len(received) == 5_000_000
    assert emulator.invocations[0].aborted
