"""Functions whose runtime loop is written by hand, byte by byte, for tests of what Lambda makes of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from asgi_lambda.emulator import Emulator, Function, Options

# What the loops have in common. ``call`` and ``stream`` return the status and the body that the Runtime API answered.
LOOP = '''
import http.client, json, os, socket, sys, time

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
ROOT = "/2018-06-01/runtime/"
PRELUDE = "application/vnd.awslambda.http-integration-response"
ERRORS = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
NULS = b"\\0" * 8

def call(method, path, body=b"", **headers):
    connection = http.client.HTTPConnection(HOST, int(PORT))
    connection.request(method, ROOT + path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer

def next_event():
    connection = http.client.HTTPConnection(HOST, int(PORT))
    connection.request("GET", ROOT + "invocation/next")
    response = connection.getresponse()
    event = json.loads(response.read())
    connection.close()
    return response.headers["Lambda-Runtime-Aws-Request-Id"], event, response.headers

def chunk(data):
    return b"%x\\r\\n%b\\r\\n" % (len(data), data)

def open_stream(rid, *lines):
    connection = socket.create_connection((HOST, int(PORT)))
    head = [f"POST {ROOT}invocation/{rid}/response HTTP/1.1", "Host: lambda", "Transfer-Encoding: chunked", *lines]
    if not any(line.startswith("Lambda-Runtime-Function-Response-Mode") for line in lines):
        head.append("Lambda-Runtime-Function-Response-Mode: streaming")
    connection.sendall("\\r\\n".join([*head, "", ""]).encode())
    return connection

def stream(rid, pieces, *lines, trailers=()):
    connection = open_stream(rid, *(lines or ["Content-Type: " + PRELUDE, "Trailer: " + ERRORS]))
    for piece in pieces:
        connection.sendall(chunk(piece))
    connection.sendall("".join(["0\\r\\n", *(line + "\\r\\n" for line in trailers), "\\r\\n"]).encode())
    response = http.client.HTTPResponse(connection)
    response.begin()
    answer = response.status, response.read().decode()
    connection.close()
    return answer

def prelude(status=200, **fields):
    return json.dumps({"statusCode": status, **fields}).encode() + NULS

def reply(rid, value):
    return stream(rid, [prelude(headers={"content-type": "application/json"}), json.dumps(value).encode()])

def wait_for(name):
    """Block until a test lets it go on: ``Gate(root / name).open()``."""
    with open(name, "rb") as gate:
        gate.read()
'''


def loop_function(folder: Path, code: str, **settings: Any) -> Function:
    """A function in ``folder`` whose wrapper runs ``code`` after ``LOOP``."""
    (folder / "loop.py").write_text(LOOP)
    (folder / "main.py").write_text(f"from loop import *\n{code}")
    wrapper = folder / "run-stream"
    wrapper.write_text('#!/bin/sh\nexec "$1" main.py\n')
    wrapper.chmod(0o755)
    return Function(folder, "main.handler", wrapper="/var/task/run-stream", **{"timeout": 20, **settings})


#: What Lambda gives a process less time for than a busy machine may need.
PATIENT: dict[str, Any] = {"init_limit": 60.0, "restore_limit": 60.0, "shutdown_grace": 30.0}

# What precedes the code of one invocation.
FOREVER = """
while True:
    rid, event, headers = next_event()
"""


class Gate:
    """Where a function waits (``wait_for``) until the test opens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)

    async def open(self) -> None:
        """Let the function go on, when it has come here; returns then."""
        await asyncio.to_thread(self._path.write_bytes, b"")


@asynccontextmanager
async def running(function: Function, **options: Any) -> AsyncIterator[tuple[Emulator, httpx.AsyncClient, list[str]]]:
    """The function in the emulator, a client of it, and the lines that the emulator says."""
    lines: list[str] = []
    settings = Options(**PATIENT | {"keep": True, "say": lines.append} | options)
    async with (
        Emulator(function, settings) as emulator,
        httpx.AsyncClient(base_url=emulator.url, timeout=None) as client,  # noqa: S113  the test's own limit will do
    ):
        yield emulator, client, lines
