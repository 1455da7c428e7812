"""What the Runtime API answers, call by call: our emulator and the Runtime Interface Emulator of SAM CLI agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.emulated import loop_function
from tests.lambda_platform import emulated, needs_rie, rie

MODE = "Lambda-Runtime-Function-Response-Mode: "
OK = (202, '{"status":"OK"}\n')


def refusal(status: int, error_type: str, message: str) -> tuple[int, str]:
    return status, json.dumps({"errorMessage": message, "errorType": error_type}, separators=(",", ":")) + "\n"


def no_transition(state: str, target: str) -> tuple[int, str]:
    return refusal(
        403,
        "InvalidStateTransition",
        f"State transition from {state} to {target} failed for runtime. Error: State transition is not allowed",
    )


UNKNOWN_ID = refusal(400, "InvalidRequestID", "Invalid request ID")
SENT, OPEN = "RuntimeResponseSentState", "InvocationResponse"
RESULT = """b'{"statusCode":200,"headers":{},"body":"","isBase64Encoded":false}'"""
RESPONSE = f'call("POST", f"invocation/{{rid}}/response", {RESULT})'
ERROR = """call("POST", f"invocation/{rid}/error", b'{"errorType":"E"}')"""
STREAM = 'stream(rid, [prelude(headers={}), b"body"]'
BAD_MODE = refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")

CALLS: dict[str, tuple[list[str], list[Any]]] = {
    "answered once": (
        [RESPONSE, RESPONSE, ERROR],
        [OK, no_transition(SENT, "InvocationResponse"), no_transition(SENT, "InvocationErrorResponse")],
    ),
    "streamed once": (
        [STREAM + ")", STREAM + ")[0]"],
        [OK, 403],
    ),
    "streamed with trailers": (
        [
            STREAM + ', "Trailer: " + ERRORS, trailers=["Lambda-Runtime-Function-Error-Type: Function.Broken",'
            ' "Lambda-Runtime-Function-Error-Body: e30="])'
        ],
        [OK],
    ),
    "with a mode in upper case": ([f'{STREAM}, "{MODE}Streaming")'], [BAD_MODE]),
    "with the other mode named": ([f'{STREAM}, "{MODE}buffered")'], [BAD_MODE]),
    "failed once": (
        [ERROR, ERROR],
        [OK, no_transition(SENT, "InvocationErrorResponse")],
    ),
    "of another invocation": (
        [
            'call("POST", "invocation/another/response", b"{}")',
            'call("POST", "invocation/another/error", b"{}")',
            RESPONSE,
        ],
        [UNKNOWN_ID, UNKNOWN_ID, OK],
    ),
    "in no known mode": (
        [
            'call("POST", f"invocation/{rid}/response", b"{}", Lambda_Runtime_Function_Response_Mode="slow")',
            'call("GET", "invocation/next")',
            ERROR,
        ],
        [
            BAD_MODE,
            no_transition(OPEN, "Ready"),
            no_transition(OPEN, "InvocationErrorResponse"),
        ],
    ),
    "asked for twice": (
        ["next_event()[0] == rid", RESPONSE],
        [True, OK],
    ),
    "init failed too late": (
        ['call("POST", "init/error", b"{}")', RESPONSE],
        [no_transition("Running", "InitError"), OK],
    ),
    "no such path": (
        ['call("GET", "nowhere")', 'call("GET", "restore/next")', 'call("POST", "invocation/next")', RESPONSE],
        [(404, "404 page not found\n"), (404, "404 page not found\n"), (405, ""), OK],
    ),
    "of no such method": (
        ['call("GET", f"invocation/{rid}/response")', RESPONSE],
        [(405, ""), OK],
    ),
}

CODE = """
rid, event, headers = next_event()
results = [{calls}]
with open("results.part", "w") as file:
    json.dump(results, file)
os.rename("results.part", "results.json")
"""


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("lambda_", ["emulator", pytest.param("rie", marks=needs_rie)])
def test_calls(tmp_path: Path, name: str, lambda_: str) -> None:
    calls, expected = CALLS[name]
    function = loop_function(tmp_path, CODE.format(calls=", ".join(calls)), timeout=60)
    if lambda_ == "emulator":
        with emulated(function, init_limit=5) as ours:
            ours.request("/")
            ours.last()
    else:
        with rie(function, tmp_path) as theirs:
            theirs.request("/")
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(expected))
