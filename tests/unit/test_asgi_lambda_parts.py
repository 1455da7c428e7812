"""The runtime client's smaller parts: configuration, context, logs, faults, hooks."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import struct
import time
from collections.abc import Iterator

import pytest
import snapshot_restore_py  # type: ignore[import-untyped]

from asgi_lambda import snapstart
from asgi_lambda.config import BadConfig, Config
from asgi_lambda.context import LambdaContext, request_id, trace_id
from asgi_lambda.fault import Fault
from asgi_lambda.logs import JsonFormatter, LambdaHandler, configure
from asgi_lambda.runtime import load_app


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Config(streaming=True, grace=1.5)),
        ({"AWS_SAM_LOCAL": "true"}, Config(streaming=False)),
        ({"AWS_SAM_LOCAL": "true", "ASGI_LAMBDA_INVOKE_MODE": "stream"}, Config(streaming=True)),
        ({"ASGI_LAMBDA_INVOKE_MODE": "buffered"}, Config(streaming=False)),
        ({"ASGI_LAMBDA_GRACE_SECONDS": "2.25"}, Config(grace=2.25)),
        ({"ASGI_LAMBDA_PAD_EMPTY_BODY": "1"}, Config(pad_empty_body=True)),
        ({"ASGI_LAMBDA_PAD_EMPTY_BODY": "0"}, Config()),
        ({"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}, Config(snap_start=True)),
        ({"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}, Config()),
    ],
)
def test_the_environment_configures(environ: dict[str, str], expected: Config) -> None:
    assert Config.of_environment(environ) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASGI_LAMBDA_INVOKE_MODE", "streaming"),
        ("ASGI_LAMBDA_GRACE_SECONDS", "soon"),
        ("ASGI_LAMBDA_GRACE_SECONDS", "-1"),
        ("ASGI_LAMBDA_GRACE_SECONDS", "nan"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadConfig, match=f"{name}='{value}'"):
        Config.of_environment({name: value})


def test_the_context_is_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    context = LambdaContext.of_environment("id", "arn", time.time() + 10)
    assert (context.function_name, context.memory_limit_in_mb, context.log_group_name) == ("f", "512", "")
    assert 9_000 < context.get_remaining_time_in_millis() <= 10_000
    assert LambdaContext("id", "arn", time.time() - 1).get_remaining_time_in_millis() == 0


def test_a_fault_tells_its_type_and_message_and_no_stack() -> None:
    fault = Fault.of("Function.UnhandledException", ValueError("ä"))
    told = {"errorType": "Function.UnhandledException", "errorMessage": "ValueError: ä"}
    assert json.loads(fault.body()) == told
    trailers = fault.trailers()
    assert trailers["Lambda-Runtime-Function-Error-Type"] == "Function.UnhandledException"
    assert json.loads(base64.b64decode(trailers["Lambda-Runtime-Function-Error-Body"])) == told


@pytest.mark.parametrize("handler", ["os.path.join", "os.path:join", "os/path.join"])
def test_a_handler_is_found_by_its_name(handler: str) -> None:
    assert load_app(handler) is os.path.join  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("handler", ["app", "", ":app", "module:", ".app"])
def test_a_malformed_handler_is_refused(handler: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        load_app(handler)


class Pipe:
    """What is logged to a file descriptor."""

    def __init__(self, *, framed: bool) -> None:
        self._read, self.write = os.pipe()
        self.handler = LambdaHandler(self.write, framed=framed)
        self.handler.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> bytes:
        self.handler.emit(record)
        return os.read(self._read, 65536)

    def close(self) -> None:
        os.close(self._read)
        os.close(self.write)


@pytest.fixture(params=[False, True], ids=["lines", "frames"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    pipe = Pipe(framed=request.param)
    yield pipe
    pipe.close()


def record(level: int = logging.INFO, message: str = "a %s", **more: object) -> logging.LogRecord:
    made = logging.LogRecord("some.logger", level, "x.py", 1, message, ("line\nbreak",), None)
    vars(made).update(more)
    return made


def test_a_line_is_one_object_with_the_ids_of_its_invocation() -> None:
    tokens = request_id.set("r-1"), trace_id.set("Root=1")
    try:
        line = JsonFormatter().format(record(created=1_700_000_000.25, msecs=250.0, seconds=3))
    finally:
        request_id.reset(tokens[0])
        trace_id.reset(tokens[1])
    assert "\n" not in line
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "message": "a line\nbreak",
        "logger": "some.logger",
        "requestId": "r-1",
        "traceId": "Root=1",
        "seconds": 3,
    }


def test_an_exception_is_told_with_its_stack() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        line = json.loads(JsonFormatter().format(record(exc_info=(ValueError, error, error.__traceback__))))
    assert (line["errorType"], line["errorMessage"]) == ("ValueError", "boom")
    assert "test_asgi_lambda_parts.py" in "".join(line["stackTrace"])
    assert "requestId" not in line


@pytest.mark.parametrize(
    ("level", "kind"),
    [
        (logging.DEBUG, 0xA55A000A),
        (logging.INFO, 0xA55A000E),
        (logging.WARNING, 0xA55A0012),
        (logging.ERROR, 0xA55A0016),
        (logging.CRITICAL, 0xA55A001A),
        (25, 0xA55A0002),
    ],
)
def test_a_frame_tells_level_length_and_time(level: int, kind: int) -> None:
    pipe = Pipe(framed=True)
    data = pipe.emit(record(level, created=1_700_000_000.5))
    pipe.close()
    found, length, micros = struct.unpack(">IIQ", data[:16])
    assert (found, length, micros) == (kind, len(data) - 16, 1_700_000_000_500_000)
    assert json.loads(data[16:])["message"] == "a line\nbreak"


def test_text_that_is_no_unicode_is_logged_all_the_same(pipe: Pipe) -> None:
    assert b"\\udc80" in pipe.emit(record(message="\udc80 %s"))


def test_a_record_that_can_not_be_formatted_does_no_harm(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe.handler.emit(record(message="%d"))
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.parametrize(("level", "expected"), [("", 20), ("debug", 10), ("CHATTY", 10), ("ERROR", 40)])
def test_logging_is_sent_to_the_descriptor_from_the_level_on(level: str, expected: int) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure({"AWS_LAMBDA_LOG_LEVEL": level or "INFO", "_LAMBDA_TELEMETRY_LOG_FD": "1"})
        assert root.level == expected
        assert [type(each) for each in root.handlers] == [LambdaHandler]
    finally:
        root.handlers[:], root.level = before


def test_hooks_run_the_last_first_before_and_the_first_first_after() -> None:
    ran: list[str] = []
    for name in "ab":
        snapshot_restore_py.register_before_snapshot(ran.append, f"before {name}")
        snapshot_restore_py.register_after_restore(ran.append, f"after {name}")
    state = random.getstate()
    try:
        snapstart.before_snapshot()
        snapstart.after_restore()
    finally:
        snapshot_restore_py.get_before_snapshot().clear()
        snapshot_restore_py.get_after_restore().clear()
    assert ran == ["before b", "before a", "after a", "after b"]
    assert random.getstate() != state
