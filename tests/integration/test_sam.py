"""SAM CLI with ``template.yaml``: checked, built, and run locally where Docker and the base image are there.

SAM CLI shows no stream: a streaming function that it runs answers buffered. What is shown here is that the artifact,
the wrapper, the handlers and the environment fit together.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sam import EVENTS, ROOT, SAM, TEMPLATE, built, deployed_python, needs_sam

pytestmark = [needs_sam, pytest.mark.timeout(300)]

ARCHITECTURE = {"aarch64": "arm64"}.get(os.uname().machine, "x86_64")
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
INVOCATIONS = (
    ("StreamFunction", "base64-body"),
    ("StreamFunction", "function-url-json"),
    ("StreamFunction", "function-url-stream"),
    ("StreamFunction", "http-api"),
    ("StreamFunction", "rest-api-v1"),
    ("BufferedFunction", "function-url-stream"),
    ("BufferedFunction", "http-api"),
)


def environment() -> dict[str, str]:
    recipe = {"LAMBDA_PYTHON": str(deployed_python()), "BUILT": str(built(ARCHITECTURE))}
    own = {"SAM_CLI_TELEMETRY": "0", "SAM_SKIP_PULL_IMAGE": "1", **recipe}
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | own


def sam(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run((SAM, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True)


@functools.cache
def needs_docker() -> None:
    """Skip the test where containers can't be run: CI has no daemon, and the emulator's tests need none."""
    try:
        version = subprocess.run(("docker", "version"), capture_output=True, text=True)
        image = subprocess.run(("docker", "image", "inspect", IMAGE), capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no docker here: nothing is run by `sam local`")
    if version.returncode:
        pytest.skip("no Docker daemon answers: nothing is run by `sam local`")
    if image.returncode:
        pytest.skip(f"Lambda's base image, {IMAGE}, is not here: nothing is run by `sam local`")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what ``sam build`` makes."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    run = sam("build", "--build-dir", folder, "--parameter-overrides", f"Architecture={ARCHITECTURE}")
    assert run.returncode == 0, run.stderr
    return folder


def local(*arguments: str | Path, build: Path) -> tuple[str | Path, ...]:
    where = ("--template", build / "template.yaml", "--parameter-overrides", f"Architecture={ARCHITECTURE}")
    return ("local", *arguments, *where, "--env-vars", EVENTS / "local.json")


def test_the_template_is_valid() -> None:
    run = sam("validate", "--lint", "--template", TEMPLATE)
    assert run.returncode == 0, run.stderr


def test_the_template_has_nothing_that_lint_finds() -> None:
    run = subprocess.run((SAM.with_name("cfn-lint"), TEMPLATE), cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("", 0)


def test_sam_builds_the_functions_for_the_template_s_architecture(build: Path) -> None:
    names = ("StreamFunction", "BufferedFunction", "IngestFunction")
    stamps = [json.loads((build / name / "built.json").read_text()) for name in names]
    assert stamps[0] == stamps[1] == stamps[2]
    assert stamps[0]["architecture"] == ARCHITECTURE
    template = (build / "template.yaml").read_text()
    assert "&id" not in template  # CloudFormation knows no aliases, and no merged mappings
    assert "<<" not in template


@pytest.mark.parametrize(("function", "event"), INVOCATIONS)
def test_sam_invokes_a_function_with_an_http_event(function: str, event: str, build: Path) -> None:
    needs_docker()
    run = sam(*local("invoke", function, "--event", EVENTS / f"{event}.json", build=build))
    assert run.returncode == 0, run.stderr
    response = json.loads(run.stdout)
    assert response["statusCode"] == 200
    _check_answer(response["headers"]["content-type"], response["body"])


def test_sam_serves_the_api(build: Path) -> None:
    needs_docker()
    with _api(build) as client:
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/").headers["content-type"].startswith("text/html")
        question = json.loads(json.loads((EVENTS / "function-url-stream.json").read_text())["body"])
        for accept in ("text/event-stream", "application/json"):
            response = client.post("/api/v1/search", json=question, headers={"accept": accept})
            assert response.status_code == 200
            assert response.headers["content-type"].startswith(accept)
            _check_answer(response.headers["content-type"], response.text)


@contextmanager
def _api(build: Path) -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = str(reserved.getsockname()[1])
    command = (SAM, *local("start-api", "--port", port, "--warm-containers", "LAZY", build=build))
    with (build / "start-api.log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log)
    try:
        # Asked again until it listens.
        transport = httpx.HTTPTransport(retries=7)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=60) as client:
            yield client
    finally:
        server.terminate()  # which removes its containers, too
        assert server.wait(60) == 0, (build / "start-api.log").read_text()


def _check_answer(content_type: str, body: str) -> None:
    """A cited answer, as JSON or as a stream that has ended well."""
    if content_type == "application/json":
        answer: dict[str, Any] = json.loads(body)
        assert "[1]" in answer["answer"]
        assert answer["citations"][0]["number"] == 1
    else:
        assert content_type == "text/event-stream; charset=utf-8"
        assert body.startswith(": open\nevent: ")
        assert body.index("event: token\n") < body.index("event: citation\n") < body.index("event: done\n")
