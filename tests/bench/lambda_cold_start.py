"""How long a question takes that finds no process: from its start to the first byte of server-sent events."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.lambda_receiver import Receiver
from tests.openai_server import OpenAIServer
from tests.sam import ARTIFACTS, ROOT, deployed_python

_ARCHITECTURE = {"aarch64": "arm64"}.get(os.uname().machine, "x86_64")
_DELIMITER = bytes(8)  # ends the prelude
_FIRST_TOKEN = b"event: token"


@dataclass(frozen=True)
class Start:
    """Seconds from the process's start until it asked for an event, sent its first byte of events, and its first
    token, which LiteLLM is needed for."""

    ready: float
    first_byte: float
    first_token: float


def package() -> tuple[Path, str, str]:
    """What is started: the newest artifact for this machine on the deployed Python, or else the sources on this one;
    the third says which."""
    places = [*(ARTIFACTS / _ARCHITECTURE).glob("*/StreamFunction"), ROOT / ".aws-sam" / "build" / "StreamFunction"]
    built = [each for each in places if f'"{_ARCHITECTURE}"' in _stamp(each)]
    try:
        python = str(deployed_python())
    except pytest.skip.Exception:
        built = []
    if not built:
        version = ".".join(map(str, sys.version_info[:2]))
        return ROOT / "functions", sys.executable, f"the sources, not the artifact, on Python {version}"
    newest = max(built, key=lambda each: (each / "built.json").stat().st_mtime)
    return newest, python, f"{newest.relative_to(ROOT)} on Python 3.13"


def _stamp(artifact: Path) -> str:
    path = artifact / "built.json"
    return path.read_text() if path.exists() else ""


def measure(root: Path, python: str, times: int) -> list[Start]:
    """Start it so many times on an index of the sample documents, found by words alone in the artifact."""
    with tempfile.TemporaryDirectory() as data, OpenAIServer() as server:
        environment = {
            "CITESTREAM_AUTH": "none",
            "CITESTREAM_DATA": data,
            "CITESTREAM_MODEL": "openai/m",
            "CITESTREAM_API_BASE": server.base_url,
        }
        _start(root, python, environment | {"CITESTREAM_SAMPLES": "1"})  # which also brings the files into memory
        return [_start(root, python, environment) for _ in range(times)]


def _start(root: Path, python: str, environment: dict[str, str]) -> Start:
    with Receiver() as receiver:
        began = time.monotonic_ns()
        with _function(root, python, environment | {"AWS_LAMBDA_RUNTIME_API": receiver.address}):
            receiver.ready()
            response = receiver.invoke()
    waited = (response.delivered - began) / 1e9
    assert _FIRST_TOKEN in response.wire, response.wire
    first_event = response.wire.index(_DELIMITER) + len(_DELIMITER)
    # The prelude is a chunk of its own: what follows is a chunk's size, and then an event.
    first_byte = response.until(response.wire[: first_event + len("\r\nff\r\n:")]) / 1e3
    return Start(waited, waited + first_byte, waited + response.until(_FIRST_TOKEN) / 1e3)


@contextmanager
def _function(root: Path, python: str, environment: dict[str, str]) -> Iterator[None]:
    fixed = {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "_HANDLER": "citestream.handlers.app",
        "LAMBDA_TASK_ROOT": str(root),
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_LOG_LEVEL": "ERROR",
    }
    with subprocess.Popen([root / "run-stream", python], env=fixed | environment, cwd=root, stdout=2) as process:
        try:
            yield
        finally:
            process.kill()
