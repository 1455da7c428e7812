"""Our log and our frames under the conformance suite of Durable Streams, through the shim of tests/durable_streams.py.

Its groups about following by SSE, idempotent producers, closure, reading what was written, and of writers at the same
time those that bring no order of their own. Requests go to one of two instances and the other in turn. What can't apply
is listed, and must go on failing as it does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from citestream.aws import Aws
from citestream.sse import frames
from citestream.streams.log import StreamLog
from tests.durable_streams import EVENT_NAMES, DurableStreams
from tests.node import give_up, script
from tests.node import node as node
from tests.server import serving
from tests.streams import DynamoStore, SqliteStore

#: How many tests of each group pass.
PASSING = {
    "SSE Mode": 23,
    "Idempotent Producer Operations": 29,
    "Stream Closure": 31,
    "Read-Your-Writes Consistency": 3,
    "Property-Based Tests (fast-check) Concurrent Writer Stress Tests concurrent appends without seq": 1,
    "Property-Based Tests (fast-check) Concurrent Writer Stress Tests mixed readers and writers": 1,
}


class Exclusion(NamedTuple):
    """Tests that can't apply: why, and what they say when they fail."""

    reason: str
    failure: str
    tests: Sequence[str]


EXCLUDED = [
    Exclusion(
        "our Content-Type names the charset (the last one also wants no-cache, where we say no-store)",
        "expected 'text/event-stream; charset=utf-8' to be 'text/event-stream'",
        [
            "SSE Mode should return text/event-stream content-type for SSE requests",
            "SSE Mode should accept live=sse query parameter for application/json",
            "SSE Mode should auto-detect binary streams and return base64 encoded data in SSE mode",
            "SSE Mode should have correct SSE headers (no Content-Length, proper Cache-Control)",
        ],
    ),
    Exclusion(
        "they look for `data:{`; we put a space behind the colon, which every reader of SSE takes away",
        "Cannot read properties of null",
        [
            "SSE Mode should generate streamCursor in SSE control events",
            "SSE Mode should handle cursor collision with jitter in SSE mode",
        ],
    ),
    Exclusion(
        "they look for a text's lines and quotes as they are; our data is JSON on one line, in which they are escaped",
        "to contain 'data:",
        [
            "SSE Mode should handle newlines in text/plain payloads",
            "SSE Mode should prevent CRLF injection in payloads - embedded event boundaries become literal data",
        ],
    ),
    Exclusion(
        "we have no long polls: who waits for events follows the stream",
        "expected 200 to be 204",
        [
            "Stream Closure Long-poll with Stream Closure longpoll-closed-stream-immediate: "
            "No wait when closed stream at tail, returns immediately",
            "Stream Closure Long-poll with Stream Closure longpoll-closed-returns-204-with-header: "
            "Returns 204 with Stream-Closed: true",
        ],
    ),
    Exclusion(
        "the log has no delete: it removes a stream by itself when it has been kept long enough",
        "expected [ 200, 204 ] to include 405",
        ["Stream Closure Edge Cases delete-closed-stream: Deleting a closed stream removes it (returns 404 after)"],
    ),
]


@pytest.fixture(params=["sqlite", "dynamodb"])
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[list[StreamLog]]:
    if request.param == "dynamodb":
        instances = (Aws(), Aws())
        dynamo = DynamoStore(request.getfixturevalue("aws_stores").table, instances)
        yield [dynamo.log(), dynamo.log()]
        for each in instances:
            await each.aclose()
    else:
        sqlite = SqliteStore(tmp_path / "streams.db")
        yield [sqlite.log(), sqlite.log()]
        await sqlite.aclose()


@pytest.mark.timeout(300)
def test_the_suite_passes_but_for_what_can_not_apply(
    logs: list[StreamLog], node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "EVENT_NAMES", EVENT_NAMES)
    with serving(DurableStreams(logs).app()) as url:
        outcomes = run_suite(node, url, tmp_path)
    failed = {each["fullName"]: each["failureMessages"][0] for each in outcomes if each["status"] == "failed"}
    expected = {test: each.failure for each in EXCLUDED for test in each.tests}
    wrong = [f"{test}: {why}" for test, why in failed.items() if test not in expected or expected[test] not in why]
    assert not wrong, "\n".join(wrong)
    assert expected.keys() - failed.keys() == set(), "what was listed as not applying has passed"
    passed = [each["fullName"] for each in outcomes if each["status"] == "passed"]
    assert Counter(group for test in passed for group in PASSING if test.startswith(group)) == PASSING


def run_suite(node: str, url: str, folder: Path) -> list[dict[str, Any]]:
    """The outcome of each test, as Vitest reports it."""
    if release(node) < (20, 19):
        give_up("needs Node.js 20.19 or later, for Vitest")
    suite = script("durable_streams.test.mjs", folder)
    report = folder / "report.json"
    groups = "|".join(map(re.escape, PASSING))
    line = [node, str(folder / "node_modules" / "vitest" / "vitest.mjs"), "run", "--root", str(folder), suite.name]
    line += ["--testNamePattern", f"^({groups}) ", "--testTimeout", "20000", "--pool", "threads"]
    line += ["--reporter", "json", "--outputFile", str(report)]
    environ = os.environ | {"SERVER_URL": url, "NO_COLOR": "1"}
    done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert report.exists(), done.stderr
    (file,) = json.loads(report.read_text())["testResults"]
    outcomes: list[dict[str, Any]] = file["assertionResults"]
    return outcomes


def release(node: str) -> tuple[int, ...]:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", version)))[:2]
