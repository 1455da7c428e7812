"""What a client waits for on a warm server, and what the server takes: first byte, first token, memory, imports."""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.bench.made_up import built, questions

CHUNKS = 10_000


@contextmanager
def server(data: Path) -> Iterator[tuple[int, int]]:
    """Serve ``data`` in a process of its own; yields its port and process id."""
    line = [
        sys.executable,
        "-c",
        "from citestream.cli import main; main()",
        "serve",
        "--port",
        "0",
        "--data",
        str(data),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CITESTREAM_")}
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=environment, **pipes) as process:
        assert process.stderr is not None
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.stderr.read()


def first_byte_and_token(port: int, question: str) -> tuple[float, float]:
    """Milliseconds from the request's last byte to the stream's first byte, and to its first token."""
    body = httpx.Request("POST", "http://x", json={"query": question}).read()
    head = (
        "POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        started = time.perf_counter()
        received, first_byte, first_token = b"", 0.0, 0.0
        while chunk := connection.recv(65536):
            received += chunk
            now = (time.perf_counter() - started) * 1000
            if not first_byte and b": open\n" in received:
                first_byte = now
            if not first_token and b"event: token" in received:
                first_token = now
    return first_byte, first_token


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def import_seconds() -> float:
    code = "import time; t = time.perf_counter(); import citestream.app; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def line(name: str, values: list[float], unit: str, wanted: str) -> None:
    spread = f"p99 {statistics.quantiles(values, n=100)[98]:8.2f}" if len(values) > 20 else ""
    print(f"{name:44} p50 {statistics.median(values):8.2f} {spread} {unit}   (wanted: {wanted})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="keep the index in this folder, for the next time")
    options = parser.parse_args()
    line("import citestream.app", [import_seconds() for _ in range(7)], "s", "under 0.35")
    with tempfile.TemporaryDirectory() as folder:
        data = built(options.keep or Path(folder), CHUNKS, 1)
        with server(data) as (port, pid):
            measured = [first_byte_and_token(port, question) for question in questions(options.questions + 5)][5:]
            line("first byte, warm server", [first for first, _ in measured], "ms", "under 10")
            tokens = [token for _, token in measured if token]
            line(f"first token, extractive, {CHUNKS} chunks", tokens, "ms", "under 150")
            line("resident, embedder and vectors loaded", [resident_mb(pid)], "MB", "under 250")


if __name__ == "__main__":
    main()
