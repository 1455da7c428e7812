"""The providers' keys out of Secrets Manager and SSM, to where LiteLLM looks for them, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from citestream import provider
from citestream.aws import Aws
from citestream.cli import main
from citestream.provider_keys import Keys, Reference, load_keys, parse_keys
from tests.aws import AwsServer
from tests.openai_server import OpenAIServer, Status

KEY = "sk-kept-0123456789abcdef"


@pytest.fixture
async def aws() -> AsyncGenerator[Aws]:
    aws = Aws()
    yield aws
    await aws.aclose()


@pytest.fixture
def secret(aws_server: AwsServer) -> str:
    """The name of a secret that holds keys by provider."""
    name = f"llm-{uuid4().hex}"
    kept = {"openai": f"{KEY}\n", "empty": "  ", "number": 7}
    aws_server.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(kept))
    return name


@pytest.fixture
def parameter(aws_server: AwsServer) -> str:
    """The name of an encrypted parameter that is a key."""
    name = f"/llm/{uuid4().hex}"
    aws_server.client("ssm").put_parameter(Name=name, Value=KEY, Type="SecureString")
    return name


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("A_TEST_API_KEY", "of this machine")
    return "A_TEST_API_KEY"


async def test_a_member_of_a_secret(secret: str, aws: Aws) -> None:
    references = parse_keys(f"OPENAI_API_KEY=secretsmanager:{secret}#openai")
    assert await load_keys(references, aws) == {"OPENAI_API_KEY": KEY}


async def test_a_whole_secret_by_its_arn(aws_server: AwsServer, aws: Aws) -> None:
    made = aws_server.client("secretsmanager").create_secret(Name=uuid4().hex, SecretString=KEY)
    assert await load_keys(parse_keys(f"OPENAI_API_KEY={made['ARN']}"), aws) == {"OPENAI_API_KEY": KEY}


async def test_an_encrypted_parameter(parameter: str, aws: Aws) -> None:
    assert await load_keys(parse_keys(f"OPENAI_API_KEY=ssm:{parameter}"), aws) == {"OPENAI_API_KEY": KEY}


@pytest.mark.parametrize("member", ["", "anthropic", "empty", "number"])
async def test_what_is_no_key_is_left_out_and_told_without_what_is_there(
    secret: str, parameter: str, aws: Aws, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Reference("secretsmanager", secret, member) if member else Reference("ssm", parameter, "openai")
    with caplog.at_level(logging.INFO, "citestream"):
        found = await load_keys({"A_KEY": broken, "B_KEY": Reference("ssm", parameter)}, aws)
    assert found == {"B_KEY": KEY}
    (message,) = caplog.messages
    assert message.startswith(f"A_KEY can't be read from {broken}: ")
    assert KEY not in message


async def test_what_is_not_there_is_told(aws_server: AwsServer, aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    references = parse_keys("A_KEY=ssm:/nothing/here B_KEY=secretsmanager:nothing-here")
    assert await load_keys(references, aws) == {}
    told = sorted(caplog.messages)
    assert told[0].startswith("A_KEY can't be read from ssm:/nothing/here: ParameterNotFound")
    assert told[1].startswith("B_KEY can't be read from secretsmanager:nothing-here: ")
    assert "ResourceNotFoundException" in told[1]


async def test_keys_are_read_once_for_the_process(
    aws_server: AwsServer, parameter: str, variable: str, aws: Aws
) -> None:
    keys = Keys(parse_keys(f"{variable}=ssm:{parameter}"), aws)
    await asyncio.gather(*(keys.in_place() for _ in range(5)))
    await keys.in_place()
    assert os.environ[variable] == KEY
    assert aws_server.calls() == {"ssm.PutParameter": 1, "ssm.GetParameter": 1}


async def test_a_key_that_could_not_be_read_is_read_a_little_later(
    aws_server: AwsServer, parameter: str, variable: str, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_server.fail("ssm", "GetParameter", "AccessDeniedException")
    keys = Keys(parse_keys(f"{variable}=ssm:{parameter}"), aws)
    await keys.in_place()
    await keys.in_place()
    assert os.environ[variable] == "of this machine"
    monkeypatch.setattr(keys, "_due_at", 0.0)
    await keys.in_place()
    assert os.environ[variable] == KEY
    assert aws_server.calls()["ssm.GetParameter"] == 2


async def test_litellm_is_given_out_with_its_keys_in_place(parameter: str, variable: str, aws: Aws) -> None:
    provider.use_keys(parse_keys(f"{variable}=ssm:{parameter}"), aws)
    await provider.library()
    assert os.environ[variable] == KEY


async def test_closing_what_litellm_keeps_open_asks_for_no_key(aws_server: AwsServer, variable: str, aws: Aws) -> None:
    await provider.library()
    provider.use_keys(parse_keys(f"{variable}=ssm:/nothing/here"), aws)
    await aws.aclose()
    try:
        await provider.close()
    finally:
        provider.use_keys({}, aws)
    assert aws_server.calls() == {}


def test_an_ingest_on_this_machine_embeds_with_the_key_that_is_kept_on_aws(
    parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of this machine")
    (tmp_path / "tea.md").write_text("Green tea is brewed at 80 degrees.")
    arguments = ["ingest", str(tmp_path / "tea.md"), "--kb", "drinks", "--data", str(tmp_path / "data")]
    with OpenAIServer() as openai:
        reply = openai.reply(Status(401), to="embeddings")
        env = {"CITESTREAM_EMBEDDING_MODEL": "openai/m", "CITESTREAM_EMBEDDING_API_BASE": openai.base_url}
        result = CliRunner().invoke(main, arguments, env=env | {"CITESTREAM_KEYS": f"OPENAI_API_KEY=ssm:{parameter}"})
    assert result.exit_code == 1
    assert reply.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in result.output
