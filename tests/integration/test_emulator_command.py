"""``citestream.emulate.run``: a template's function, served until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from click.testing import CliRunner

from citestream.cli import main
from citestream.emulate import EmulateError, run
from tests.emulated import loop_function
from tests.lambda_platform import ROOT

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: { Type: String }
Resources:
  Stream:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: main.handler
      Runtime: python0.0
      Timeout: 5
      FunctionUrlConfig: { AuthType: NONE, InvokeMode: RESPONSE_STREAM }
      Environment:
        Variables: { AWS_LAMBDA_EXEC_WRAPPER: /var/task/run-stream, DATA: a, ISSUER: !Ref Issuer, MORE: b }
"""
CODE = """
while True:
    rid, event, headers = next_event()
    reply(rid, {name: os.environ.get(name) for name in ("DATA", "ISSUER", "MORE")})
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    loop_function(tmp_path / "code", CODE)
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


@contextmanager
def emulating(template: Path, env_vars: Path | None, **settings: Any) -> Iterator[tuple[str, IO[str]]]:
    """Run it in a process of its own, end it as a terminal does; yields its URL and its output."""
    arguments = f"Path({str(template)!r}), {f'Path({str(env_vars)!r})' if env_vars else None}"
    code = f"""
        from pathlib import Path
        from citestream.emulate import run
        run({arguments}, function="Stream", port=0, **{settings!r})
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            while " at http://" not in line:
                assert line
                line = process.stdout.readline()
            yield line.split()[2], process.stdout
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


def test_the_template_s_function_is_served_until_it_is_told_to_stop(template: Path) -> None:
    env_vars = template.parent / "local.json"
    env_vars.write_text(json.dumps({"Parameters": {"DATA": "local", "TYPO": "x"}}))
    with emulating(template, env_vars, environ={"MORE": "given"}) as (url, output):
        assert httpx.get(url).json() == {"DATA": "local", "ISSUER": None, "MORE": "given"}
        assert output.readline().startswith("GET / 200, first byte ")


def test_what_is_left_out_is_said(template: Path, tmp_path: Path) -> None:
    env_vars = tmp_path / "local.json"
    env_vars.write_text(json.dumps({"Parameters": {"TYPO": "x"}}))
    said: list[str] = []
    with pytest.raises(EmulateError, match=r"the artifact needs python0\.0: put it on the PATH"):
        run(template, env_vars, function="Stream", built=True, say=said.append)
    assert said == [
        f"{env_vars}: Parameters: TYPO: not in {template}, so it is left out, as SAM would do",
        "not set, since only a deployment knows it: ISSUER (Issuer)",
    ]


def test_it_ends_when_it_is_told_to(template: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if " at http://" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    url = "FunctionUrlConfig: { AuthType: NONE, InvokeMode: RESPONSE_STREAM }"
    template.write_text(TEMPLATE.replace(url, "MemorySize: 128"))
    run(template, None, function="Stream", port=0, environ={"ISSUER": "x"}, say=say)
    assert len(said) == 1
    assert said[0].endswith("(HTTP API, buffered, 10 environments at most)")


@pytest.mark.parametrize(("built", "status"), [(False, 200), (True, 200)])
def test_what_sam_built_can_be_served(template: Path, tmp_path: Path, built: bool, status: int) -> None:
    interpreter = f"python{sys.version_info.major}.{sys.version_info.minor}"
    template.write_text(TEMPLATE.replace("python0.0", interpreter))
    settings: dict[str, Any] = {"concurrency": 1}
    if built:
        artifact = tmp_path / ".aws-sam" / "build" / "Stream"
        artifact.parent.mkdir(parents=True)
        (tmp_path / "code").rename(artifact)
        settings["built"] = True
    with emulating(template, None, **settings) as (url, _):
        assert httpx.get(url).status_code == status


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"function": "Missing"}, "has no function 'Missing'"),
        ({"function": "Stream", "built": True}, "run sam build first"),
        ({"function": "Stream", "built": Path("nowhere")}, "nowhere is no folder"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(template: Path, settings: dict[str, Any], message: str) -> None:
    template.write_text(TEMPLATE.replace("python0.0", Path(sys.executable).name))
    with pytest.raises(EmulateError) as raised:
        run(template, None, say=lambda line: None, **settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_port_in_use(template: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmulateError, match=f"127.0.0.1:{port}: Address already in use"):
            run(template, None, function="Stream", port=port, say=lambda line: None)


def test_settings_that_are_wrong_are_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(EmulateError, match=r"CITESTREAM_ANSWER_SECONDS='abc'"):
        run(ROOT / "template.yaml", ROOT / "events/local.json", environ={"CITESTREAM_ANSWER_SECONDS": "abc"})


def test_a_template_s_only_function_needs_no_name(template: Path) -> None:
    with pytest.raises(EmulateError, match="address"):
        run(template, None, host="203.0.113.1", port=1, say=lambda line: None)


@pytest.mark.parametrize("pair", ["=x", "NAME"])
def test_a_variable_without_a_name_or_a_value_is_refused(pair: str) -> None:
    result = CliRunner().invoke(main, ["emulate", "-e", pair])
    assert (result.exit_code, "--env takes NAME=VALUE" in result.output) == (2, True)
