"""The two Lambdas that the runtime client is held to: our emulator, and the Runtime Interface Emulator of SAM CLI."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import pytest

from asgi_lambda.emulator import Emulator, Function, Invocation, Options
from tests.emulated import PATIENT

ROOT = Path(__file__).parent.parent
SAM = ROOT / "build" / "sam"
HANDLER = "lambda_app.app"


@dataclass
class Outcome:
    """What a caller gets. ``error`` is what Lambda tells of an invocation that has failed as a whole."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    body: bytes = b""
    error: dict[str, Any] | None = None

    def json(self) -> Any:
        return json.loads(self.body)


class Platform(Protocol):
    """A Lambda with one function and one environment; ``output`` is what the function has printed."""

    streams: bool

    def request(
        self, path: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Outcome: ...

    def output(self) -> str: ...


def task_root(folder: Path) -> Path:
    """A function's folder: the runtime client as it is deployed, and the app that the tests are about."""
    for name, target in (
        ("asgi_lambda", ROOT / "functions/asgi_lambda"),
        ("run-stream", ROOT / "functions/run-stream"),
        ("lambda_app.py", ROOT / "tests/lambda_app.py"),
    ):
        (folder / name).symlink_to(target)
    return folder


def function(folder: Path, *, timeout: float = 60, handler: str = HANDLER, **environ: str) -> Function:
    environ |= measured(folder)
    return Function(
        task_root(folder), handler, wrapper="/var/task/run-stream", environ=environ, timeout=timeout, log_format="JSON"
    )


def measured(folder: Path) -> dict[str, str]:
    """What has a process of a function, whose environment is its own, measure coverage where this process does."""
    if "COVERAGE_RUN" not in os.environ:
        return {}
    start = folder / "coverage-start"
    start.mkdir(parents=True, exist_ok=True)
    (start / "sitecustomize.py").write_text("import coverage\n\ncoverage.process_startup()\n")
    return {
        "PYTHONPATH": str(start),
        "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"),
        "COVERAGE_FILE": str(ROOT / ".coverage"),
    }


class Emulated:
    """Our emulator, in a thread of its own."""

    streams = True

    def __init__(self, emulator: Emulator, loop: asyncio.AbstractEventLoop, lines: list[str]) -> None:
        self.emulator = emulator
        self._loop = loop
        self._lines = lines
        self._client = httpx.Client()

    def request(
        self, path: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Outcome:
        self.settle()  # with one environment, a request during the background work of the last would be refused
        content = bytearray()
        with self._client.stream(method, self.emulator.url + path, content=body, headers=headers) as response:
            try:
                for piece in response.iter_raw():
                    content += piece
            except httpx.RemoteProtocolError:
                content += b"<aborted>"
        cookies = response.headers.get_list("set-cookie")
        return Outcome(response.status_code, dict(response.headers), cookies, bytes(content))

    def last(self) -> Invocation:
        """The last invocation, when it has come to its end."""
        self.settle()
        return self.emulator.invocations[-1]

    def settle(self) -> None:
        asyncio.run_coroutine_threadsafe(self.emulator.settled(), self._loop).result(60)

    def output(self) -> str:
        return "\n".join(self._lines)

    def close(self) -> None:
        self._client.close()


@contextmanager
def emulated(function: Function, **options: Any) -> Iterator[Emulated]:
    lines: list[str] = []
    options = PATIENT | {"concurrency": 1, "keep": True, "say": lines.append} | options
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="emulator")
    thread.start()
    emulator = Emulator(function, Options(**options))

    def do(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        do(emulator.__aenter__())
        try:
            with closing(Emulated(emulator, loop, lines)) as platform:
                yield platform
        finally:
            do(emulator.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def rie_binary() -> Path | None:
    """The Runtime Interface Emulator for this machine, where SAM CLI is installed."""
    machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    return next(SAM.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"), None)


# Where CI runs it must be there: `make test` installs it.
needs_rie = pytest.mark.skipif(
    rie_binary() is None and not os.environ.get("CI"),
    reason="no Runtime Interface Emulator: `make build/sam/.done` installs SAM CLI, which has it",
)


class Rie:
    """AWS's own parser of the wire format. It buffers, and shows a streamed response's bytes as they are."""

    streams = False

    def __init__(self, url: str, log: Path) -> None:
        self._url = f"{url}/2015-03-31/functions/function/invocations"
        self._log = log

    def request(
        self, path: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Outcome:
        raw_path, _, query = path.partition("?")
        http = {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
        event = {
            "version": "2.0",
            "rawPath": raw_path,
            "rawQueryString": query,
            "headers": {"host": "function.example", **(headers or {})},
            "requestContext": {"http": http, "stage": "$default"},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        return self.invoke(event)

    def invoke(self, event: Any) -> Outcome:
        answer = httpx.post(self._url, json=event).content
        head, delimiter, body = answer.partition(bytes(8))
        told: dict[str, Any] = json.loads(head) if head.startswith(b"{") else {"errorType": head.decode()}
        if "errorType" in told:
            return Outcome(502, error=told)
        if not delimiter:
            body = base64.b64decode(told["body"]) if told["isBase64Encoded"] else told["body"].encode()
        return Outcome(told["statusCode"], told["headers"], told.get("cookies", []), body)

    def output(self) -> str:
        return self._log.read_text()


@contextmanager
def rie(function: Function, folder: Path) -> Iterator[Rie]:
    binary = rie_binary()
    assert binary is not None
    ports = free_ports(2)
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_FUNCTION_TIMEOUT": f"{function.timeout:.0f}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "eu-west-1",
        "LAMBDA_TASK_ROOT": str(function.root),
        **function.environ,
    }
    addresses = ["--runtime-api-address", f"127.0.0.1:{ports[0]}"]
    addresses += ["--runtime-interface-emulator-address", f"127.0.0.1:{ports[1]}"]
    command = [str(function.root / "run-stream"), sys.executable, "bootstrap.py", function.handler]
    log = folder / "rie.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(binary), "--log-level", "error", *addresses, *command],
            env=environ,
            cwd=function.root,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{ports[1]}"
        try:
            wait_for(url)
            yield Rie(url, log)
        finally:
            process.terminate()
            process.wait(60)


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(url: str, seconds: float = 60) -> None:
    """Until something listens there."""
    address = urlsplit(url)
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address.hostname, address.port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
