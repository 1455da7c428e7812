"""The runtime client under our emulator and under AWS's own: the same app, the same answers, the same faults.

What AWS's emulator can't show runs on ours alone, below: streams in time, trailers, more than 6 MB, pace.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_lambda.emulator import Faults
from tests.lambda_platform import Emulated, Platform, emulated, function, needs_rie, rie

PLATFORMS = ["emulator", pytest.param("rie", marks=needs_rie)]
# The app is told to end halfway.
BRIEF: dict[str, Any] = {"timeout": 4, "ASGI_LAMBDA_GRACE_SECONDS": "2"}


@contextmanager
def serving(name: str, folder: Path, **settings: Any) -> Iterator[Platform]:
    made = function(folder, **settings)
    with emulated(made) if name == "emulator" else rie(made, folder) as platform:
        yield platform


@pytest.fixture(scope="module", params=PLATFORMS)
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with serving(request.param, tmp_path_factory.mktemp("function")) as platform:
        yield platform


@pytest.fixture(scope="module", params=PLATFORMS)
def brief(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with serving(request.param, tmp_path_factory.mktemp("function"), **BRIEF) as platform:
        yield platform


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(function(tmp_path_factory.mktemp("function"))) as platform:
        yield platform


@pytest.fixture(scope="module")
def our_brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(function(tmp_path_factory.mktemp("function"), **BRIEF)) as platform:
        yield platform


def test_a_request_reaches_the_app_as_it_was_sent(platform: Platform) -> None:
    outcome = platform.request("/echo?a=1&a=%C3%A4", "PUT", bytes(range(256)), {"x-one": "1", "cookie": "a=1; b=2"})
    told = outcome.json()
    assert outcome.status == 200
    assert outcome.headers["content-type"] == "application/json"
    assert (told["method"], told["path"], told["raw_path"], told["query_string"]) == (
        "PUT",
        "/echo",
        "/echo",
        "a=1&a=%C3%A4",
    )
    assert (told["body"], told["more_body"]) == (bytes(range(256)).hex(), False)
    assert [pair for pair in told["headers"] if pair[0] == "x-one"] == [["x-one", "1"]]
    assert [pair for pair in told["headers"] if pair[0] == "cookie"] == [["cookie", "a=1; b=2"]]
    assert told["client"] == ["127.0.0.1", 0]
    assert told["request_id"]
    assert told["trace"][0] == told["trace"][1]
    assert bool(told["trace"][0]) is platform.streams  # AWS's emulator tells none


def test_the_app_starts_once_and_its_state_is_there_for_every_request(platform: Platform) -> None:
    first, second = (platform.request("/echo").json() for _ in range(2))
    assert first["started"] == second["started"]
    assert first["seen"][0] == second["seen"][0] == "lifespan.startup"
    assert first["state"] == second["state"] == {"since": "startup"}
    assert first["request_id"] != second["request_id"]


def test_a_stream_is_complete_and_an_empty_piece_is_not_its_end(platform: Platform) -> None:
    outcome = platform.request("/events")
    assert outcome.headers["content-type"] == "text/event-stream"
    assert outcome.body == b"".join(b"data: %d\n\n" % number for number in range(5)) + b"data: end\n\n"


def test_status_headers_and_cookies_arrive(platform: Platform) -> None:
    outcome = platform.request("/headers")
    assert (outcome.status, outcome.body) == (201, b"ok")
    assert outcome.headers["x"] == "1, 2"
    assert outcome.cookies == ["a=1", "b=2"]


def test_bytes_arrive_as_bytes(platform: Platform) -> None:
    assert platform.request("/binary").body == bytes(range(256))


@pytest.mark.parametrize(("path", "method", "status"), [("/no_content", "GET", 204), ("/echo", "HEAD", 200)])
def test_where_no_body_belongs_none_is_sent(platform: Platform, path: str, method: str, status: int) -> None:
    outcome = platform.request(path, method)
    assert (outcome.status, outcome.body) == (status, b"")


@pytest.mark.parametrize("path", ["/raise_before", "/raise_at", "/long_head", "/nothing"])
def test_a_failure_before_the_start_is_a_500(platform: Platform, path: str) -> None:
    outcome = platform.request(path)
    assert (outcome.status, outcome.body) == (500, b"Internal Server Error")
    assert outcome.headers["content-type"] == "text/plain; charset=utf-8"
    assert platform.request("/echo").status == 200


@pytest.mark.parametrize(("path", "sent"), [("/raise_after", b"so far"), ("/half", b"half")])
def test_after_a_failure_in_mid_stream_the_process_lives_on(platform: Platform, path: str, sent: bytes) -> None:
    before = platform.request("/echo").json()["pid"]
    assert platform.request(path).body == sent
    assert platform.request("/echo").json()["pid"] == before


def test_what_is_sent_after_the_end_is_refused(platform: Platform) -> None:
    assert platform.request("/too_much").body == b"all"
    assert "too early or too late" in platform.request("/echo").json()["seen"][-1]


def test_background_work_is_done_before_the_next_request(platform: Platform) -> None:
    assert platform.request("/background").body == b"done"
    assert platform.request("/echo").json()["seen"][-1] == "background work is done"


@pytest.mark.parametrize(
    ("path", "status", "sent"),
    [
        ("/hang", 200, b"so far"),
        ("/hang_before", 504, b"Gateway Timeout"),
        ("/end_in_time", 200, b"so far and the end"),
    ],
)
def test_the_deadline_ends_the_app_and_not_the_process(brief: Platform, path: str, status: int, sent: bytes) -> None:
    before = brief.request("/echo").json()["pid"]
    outcome = brief.request(path)
    assert (outcome.status, outcome.body) == (status, sent)
    assert brief.request("/echo").json()["pid"] == before


def test_an_app_that_can_not_be_cancelled_ends_with_its_process(brief: Platform) -> None:
    before = brief.request("/echo").json()["pid"]
    outcome = brief.request("/stuck")
    print(
        "OUTCOME", outcome, brief.output()[-600:], getattr(getattr(brief, "last", lambda: None)(), "error_type", None)
    )
    assert outcome.body.startswith(b"so far") or outcome.error
    assert brief.request("/echo").json()["pid"] != before
    assert "the app can't be cancelled, or Lambda not be answered: this process ends" in brief.output()


def test_logs_are_objects_with_the_id_of_the_request(platform: Platform) -> None:
    platform.request("/raise_before")
    lines = [line[line.index("{") :] for line in platform.output().splitlines() if '"the app failed"' in line]
    told = json.loads(lines[-1])
    assert (told["level"], told["errorType"], told["errorMessage"]) == ("ERROR", "ValueError", "before")
    assert told["requestId"]
    assert "raise_before" in "".join(told["stackTrace"])


@needs_rie
def test_an_event_that_is_no_request_gets_an_error_that_says_so(tmp_path: Path) -> None:
    with rie(function(tmp_path), tmp_path) as platform:
        error = platform.invoke({"Records": []}).error
        assert error is not None
        assert error["errorType"] == "Function.UnsupportedEvent"
        assert "Records" in error["errorMessage"]
        assert platform.request("/echo").status == 200


@needs_rie
def test_over_six_megabytes_lambda_refuses_what_is_not_streamed(tmp_path: Path) -> None:
    with rie(function(tmp_path), tmp_path) as platform:
        error = platform.request("/large?7000000").error
        assert error is not None
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        assert platform.request("/echo").status == 200


def test_under_sam_local_a_response_is_one_object(tmp_path: Path) -> None:
    with emulated(function(tmp_path, AWS_SAM_LOCAL="true"), buffered=True) as platform:
        assert platform.request("/events").body.count(b"data: ") == 6
        post = platform.last().post
        assert post is not None
        assert json.loads(post.body)["isBase64Encoded"] is False


def test_in_buffered_mode_a_response_is_one_object(tmp_path: Path) -> None:
    with emulated(function(tmp_path, **BRIEF, ASGI_LAMBDA_INVOKE_MODE="buffered"), buffered=True) as platform:
        assert platform.request("/events").body.count(b"data: ") == 6
        post = platform.last().post
        assert post is not None
        assert json.loads(post.body)["headers"]["content-type"] == "text/event-stream"
        assert platform.request("/binary").body == bytes(range(256))
        assert platform.request("/headers").cookies == ["a=1", "b=2"]
        for path in ("/raise_after", "/raise_before", "/half", "/hang"):
            failed = platform.request(path)
            assert (failed.status, failed.body) == (500, b"Internal Server Error"), path
        assert platform.request("/hang_before").status == 504
        too_large = platform.request("/large?7000000")
        assert (too_large.status, too_large.body) == (500, b"Internal Server Error")
        assert platform.request("/echo").json()["method"] == "GET"


def test_a_stream_is_written_as_lambda_wants_it(ours: Emulated) -> None:
    ours.request("/events")
    post = ours.last().post
    assert post is not None
    headers = {name.lower(): value for name, value in post.headers}
    assert headers["lambda-runtime-function-response-mode"] == "streaming"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    assert headers["lambda-runtime-invocation-id"]
    prelude, *frames = post.chunks
    assert prelude == b'{"statusCode":200,"headers":{"content-type":"text/event-stream"}}' + bytes(8)
    assert frames == [*(b"data: %d\n\n" % number for number in range(5)), b"data: end\n\n"]
    assert post.trailers == {}


def test_each_piece_is_on_its_way_when_it_is_sent(ours: Emulated, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    ours.settle()
    with httpx.stream("GET", f"{ours.emulator.url}/gated?{gate}") as response:
        arriving = response.iter_raw()
        for number in range(5):
            assert next(arriving) == b"data: %d\n\n" % number
            gate.write_bytes(b"")  # the next one is not sent before
        assert b"".join(arriving) == b"data: end\n\n"


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/raise_before", "Function.UnhandledException", "ValueError: before"),
        ("/raise_at", "Function.UnhandledException", "BadResponse: the response header b'x'"),
        ("/long_head", "Function.UnhandledException", "over 16384 bytes"),
        ("/nothing", "Function.IncompleteResponse", "without a complete response"),
        ("/raise_after", "Function.UnhandledException", "ValueError: after"),
        ("/half", "Function.IncompleteResponse", "without a complete response"),
    ],
)
def test_trailers_tell_lambda_what_failed(ours: Emulated, path: str, kind: str, message: str) -> None:
    check_trailers(ours, path, kind, message)


@pytest.mark.parametrize("path", ["/hang", "/hang_before"])
def test_trailers_tell_lambda_that_time_was_up(our_brief: Emulated, path: str) -> None:
    check_trailers(our_brief, path, "Function.DeadlineExceeded", "in time")


def check_trailers(platform: Emulated, path: str, kind: str, message: str) -> None:
    platform.request(path)
    trailers = {name.lower(): value for name, value in platform.last().trailers.items()}
    assert trailers["lambda-runtime-function-error-type"] == kind
    told = json.loads(base64.b64decode(trailers["lambda-runtime-function-error-body"]))
    assert told["errorType"] == kind
    assert message in told["errorMessage"]
    assert "stackTrace" not in told


def test_an_app_that_fails_when_all_is_said_has_answered(ours: Emulated) -> None:
    assert ours.request("/raise_at_the_end").body == b"all"
    assert ours.last().trailers == {}
    assert "when all was said" in ours.output()


def test_the_app_has_the_time_until_the_margin(our_brief: Emulated) -> None:
    our_brief.request("/hang")
    assert our_brief.last().duration > 1.9
    assert our_brief.request("/end_in_time").body == b"so far and the end"
    assert our_brief.last().duration > 2.2  # it says that it ends itself


def test_what_blocks_the_process_is_killed_with_it(our_brief: Emulated) -> None:
    before = our_brief.request("/echo").json()["pid"]
    assert our_brief.request("/block").body == b"so far<aborted>"
    assert our_brief.last().error_type == "Sandbox.Timedout"
    assert our_brief.request("/echo").json()["pid"] != before


def test_a_long_message_of_an_error_is_cut(platform: Platform) -> None:
    before = platform.request("/echo").json()["pid"]
    assert platform.request("/raise_at_length").body == b"so far"  # Lambda takes no trailers over 4 KiB
    assert platform.request("/echo").json()["pid"] == before


def test_printed_text_is_not_kept_back(ours: Emulated) -> None:
    ours.request("/print_a_line")
    assert "a line without a flush" in ours.output()


def test_an_app_that_has_said_everything_is_not_cut_off(tmp_path: Path) -> None:
    # At 2 MiB/s it takes 3.6 s, longer than an app may that has more to say.
    with emulated(function(tmp_path, timeout=7, ASGI_LAMBDA_GRACE_SECONDS="4"), keep=False) as platform:
        assert len(platform.request("/large_piece?14000128").body) == 14_000_128


def test_without_descriptors_an_invocation_is_not_repeated(tmp_path: Path) -> None:
    with emulated(function(tmp_path)) as platform:
        assert platform.request("/no_descriptors").status == 502
        assert platform.output().count("uses up its descriptors") == 1
        assert platform.last().error_type == "Runtime.ExitError"


def test_twenty_megabytes_stream(tmp_path: Path) -> None:
    with emulated(function(tmp_path), pace=None, keep=False) as platform:
        assert platform.request("/large?20000000").body == b"x" * 20_000_000
        assert platform.request("/large_piece?20000000").body == bytes(range(256)) * (20_000_000 // 256)


def test_a_slow_reader_slows_the_app(tmp_path: Path) -> None:
    with emulated(function(tmp_path), pace=None, keep=False, faults=Faults(read_rate=2_000_000)) as platform:
        platform.request("/pace")
        (waited,) = [line for line in platform.request("/echo").json()["seen"] if line.startswith("waited")]
        assert int(waited.split()[-1]) < 12_000_000  # sockets hold some of it, the process nothing


def test_the_runtime_api_breaking_off_ends_the_response_and_not_the_process(tmp_path: Path) -> None:
    with emulated(function(tmp_path), faults=Faults(cut_after=200)) as platform:
        before = platform.request("/nothing")  # short enough
        assert before.status == 500
        platform.request("/large?2000000")
        assert platform.last().error_type == "Runtime.TruncatedResponse"
        assert "broken off" in platform.output()


def test_an_empty_body_can_be_padded(tmp_path: Path) -> None:
    with emulated(function(tmp_path, ASGI_LAMBDA_PAD_EMPTY_BODY="1")) as platform:
        platform.request("/no_content")
        post = platform.last().post
        assert post is not None
        assert post.chunks[1:] == [b"\n"]
        platform.request("/headers")
        post = platform.last().post
        assert post is not None
        assert post.chunks[1:] == [b"ok"]


def test_rest_api_events_are_answered_in_their_format(tmp_path: Path) -> None:
    with emulated(function(tmp_path), api_gateway=True) as platform:
        told = platform.request("/echo?a=1&a=2").json()
        assert (told["path"], told["root_path"], told["query_string"]) == ("/Prod/echo", "/Prod", "a=1&a=2")
        outcome = platform.request("/headers")
        assert outcome.cookies == ["a=1", "b=2"]
        post = platform.last().post
        assert post is not None
        assert json.loads(post.chunks[0].rstrip(b"\0"))["multiValueHeaders"]["x"] == ["1", "2"]


def test_a_restored_environment_serves(tmp_path: Path) -> None:
    with emulated(function(tmp_path), snap_start=True, concurrency=2) as platform:
        assert platform.request("/echo").json()["seen"][0] == "lifespan.startup"
        assert platform.last().start == "restore"
        assert platform.request("/echo").status == 200
        assert platform.last().start == "warm"


def test_being_told_to_stop_runs_the_shutdown(tmp_path: Path) -> None:
    with emulated(function(tmp_path)) as platform:
        assert platform.request("/echo").status == 200
    assert "shut down" in platform.output()


@pytest.mark.parametrize(
    ("handler", "environ", "message"),
    [
        ("no_such_module.app", {}, "No module named 'no_such_module'"),
        ("lambda_app.no_such_app", {}, "no_such_app"),
        ("app", {}, "not of the form"),
        ("lambda_app.app", {"ASGI_LAMBDA_INVOKE_MODE": "x"}, "stream or buffered"),
    ],
)
def test_what_can_not_start_says_why(tmp_path: Path, handler: str, environ: dict[str, Any], message: str) -> None:
    with emulated(function(tmp_path, handler=handler, **environ)) as platform:
        assert platform.request("/echo").status == 502
        assert message in platform.output()


def test_the_platforms_own_client_takes_over_once_it_streams(tmp_path: Path) -> None:
    platform_client = tmp_path / "platform"
    (platform_client / "awslambdaric").mkdir(parents=True)
    for name in ("__init__.py", "bootstrap.py"):
        (platform_client / "awslambdaric" / name).touch()
    client = platform_client / "awslambdaric" / "lambda_runtime_client.py"
    folder = tmp_path / "function"
    folder.mkdir()
    chosen = function(folder, LAMBDA_RUNTIME_DIR=str(platform_client), ASGI_LAMBDA_PLATFORM_HANDLER="lambda_app.app")
    client.write_text("# buffers")
    with emulated(chosen) as platform:
        assert platform.request("/echo").status == 200
        assert "takes over" not in platform.output()
    client.write_text('HEADER = "Lambda-Runtime-Function-Response-Mode"')
    with emulated(chosen) as platform:
        platform.request("/echo")
        assert "it takes over, with lambda_app.app" in platform.output()
    with emulated(replace(chosen, environ={**chosen.environ, "ASGI_LAMBDA_PLATFORM_HANDLER": ""})) as platform:
        assert platform.request("/echo").status == 200


@pytest.mark.timeout(300)
def test_a_thousand_invocations_leave_nothing_behind(tmp_path: Path) -> None:
    with emulated(function(tmp_path), freeze=False, keep=False) as platform:

        def held(rounds: int) -> dict[str, int]:
            for _ in range(rounds):
                assert platform.request("/raise_after").body == b"so far"
                assert platform.request("/echo").status == 200
            found: dict[str, int] = platform.request("/size").json()
            return found

        before, after = held(50), held(475)
    assert after["tasks"] == before["tasks"]
    assert after["files"] == before["files"]
    assert after["kib"] < before["kib"] + 1024


def test_started_by_hand_it_says_what_it_needs() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "AWS_LAMBDA_RUNTIME_API"}
    done = subprocess.run([sys.executable, "-m", "asgi_lambda", "a:b"], env=environ, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"usage: python -m asgi_lambda module:app" in done.stderr
