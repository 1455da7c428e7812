"""What ``template.yaml`` says, and what its parameters make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asgi_lambda.emulator.intrinsics import NO_VALUE, Resolver, load_yaml
from citestream.settings import load_settings

ROOT = Path(__file__).parents[2]
TEMPLATE = load_yaml((ROOT / "template.yaml").read_text("utf-8"))
RESOURCES = TEMPLATE["Resources"]
PARAMETERS = TEMPLATE["Parameters"]
FUNCTIONS = ("StreamFunction", "BufferedFunction")
GIVEN = {"JwtIssuer": "https://login.example.com", "JwtAudience": "citestream"}


def resolve(node: Any, **parameters: str) -> Any:
    return Resolver(TEMPLATE, GIVEN | parameters).value(node)


def variables(function: str, **parameters: str) -> dict[str, str]:
    own = RESOURCES[function]["Properties"].get("Environment", {}).get("Variables", {})
    merged = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | own
    return {name: str(resolve(value, **parameters)) for name, value in merged.items()}


def statements(**parameters: str) -> list[Any]:
    """Those about models."""
    _, *about_models = RESOURCES["FunctionPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    found = [resolve(statement, **parameters) for statement in about_models]
    return [statement for statement in found if statement is not NO_VALUE]


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_described_checked_and_used(name: str) -> None:
    parameter = PARAMETERS[name]
    assert len(parameter["Description"]) > 20
    assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue"}
    body = json.dumps([TEMPLATE["Conditions"], TEMPLATE["Globals"], RESOURCES])
    assert f'"Ref": "{name}"' in body or f"${{{name}}}" in body
    if "Default" in parameter and "AllowedPattern" in parameter:
        assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("Model", "extractive", True),
        ("Model", "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("Model", "bedrock/zai.glm-5.3", True),
        ("Model", "openai/gpt-5.6-luna", True),
        ("Model", "ollama_chat/llama3.2:3b", True),
        ("Model", "bedrock/eu.amazon.nova-lite-v1:0", False),
        ("Model", "bedrock/us-gov.amazon.nova-lite-v1:0", False),
        ("Model", "bedrock/eu-central-1/amazon.nova-lite-v1:0", False),
        ("Model", "gpt-5.6-luna", False),
        ("Model", "", False),
        ("JwtIssuer", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example", True),
        ("JwtIssuer", "http://login.example.com", False),
        ("JwtIssuer", "", False),
        ("JwtAudience", "api://citestream", True),
        ("JwtAudience", "", False),
        ("AllowedOrigins", "https://a.example,http://localhost:3000", True),
        ("AllowedOrigins", "https://a.example/", False),
        ("AllowedOrigins", "*", False),
        ("ReservedConcurrency", "10", True),
        ("ReservedConcurrency", "-1", False),
    ],
)
def test_a_parameter_takes_what_the_product_can_use(name: str, value: str, allowed: bool) -> None:
    assert bool(re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)) is allowed


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_functions_have_settings_that_the_product_takes(function: str) -> None:
    settings = load_settings(variables(function))
    assert (settings.auth, settings.jwt_issuer, settings.jwt_audience) == (
        "jwt",
        "https://login.example.com",
        "citestream",
    )
    assert settings.data == Path("/tmp/citestream")  # noqa: S108  the one folder that a function may write to
    assert settings.samples is False
    assert settings.allowed_origins == ()
    assert load_settings(variables(function, Samples="yes")).samples is True


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_set_locally_is_declared(function: str) -> None:
    local = json.loads((ROOT / "events" / "local.json").read_text("utf-8"))["Parameters"]
    assert local.keys() <= variables(function).keys()


def test_the_streaming_function_starts_its_own_client() -> None:
    assert variables("StreamFunction")["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/run-stream"
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in variables("BufferedFunction")
    assert (ROOT / "functions" / "run-stream").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("model", "profile", "name", "resources"),
    [
        ("extractive", "global", "extractive", []),
        ("openai/gpt-5.6-luna", "global", "openai/gpt-5.6-luna", []),
        (
            "bedrock/amazon.nova-lite-v1:0",
            "none",
            "bedrock/amazon.nova-lite-v1:0",
            ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"],
        ),
        (
            "bedrock/zai.glm-5.3",
            "eu",
            "bedrock/eu.zai.glm-5.3",
            [
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.zai.glm-5.3",
                "arn:aws:bedrock:*::foundation-model/zai.glm-5.3",
            ],
        ),
    ],
)
def test_the_policy_allows_the_model_that_is_asked(model: str, profile: str, name: str, resources: list[str]) -> None:
    chosen = {"Model": model, "InferenceProfile": profile}
    assert variables("StreamFunction", **chosen)["CITESTREAM_MODEL"] == name
    assert [statement["Resource"] for statement in statements(**chosen)] == resources


def test_a_profile_is_the_one_way_to_its_models() -> None:
    profile, model = statements(Model="bedrock/amazon.nova-lite-v1:0", InferenceProfile="eu")
    assert "Condition" not in profile
    assert model["Condition"] == {"ArnEquals": {"bedrock:InferenceProfileArn": profile["Resource"]}}
    assert "Condition" not in statements(Model="bedrock/amazon.nova-lite-v1:0", InferenceProfile="none")[0]


def test_changed_parameters_make_a_new_version() -> None:
    """All that a version holds is in the policy's description, which AWS takes up to 1,000 characters of."""
    description = RESOURCES["FunctionPolicy"]["Properties"]["Description"]["Fn::Sub"]
    named = set(re.findall(r"\$\{(\w+)\}", description))
    # The processor is another artifact; the others are of the function or the stack, not of its versions.
    assert named == PARAMETERS.keys() - {"Architecture", "ReservedConcurrency", "LogRetentionDays", "WithRestApi"}
    longest = {name: "x" * each.get("MaxLength", 6) for name, each in PARAMETERS.items()}
    assert len(resolve({"Fn::Sub": description}, **longest)) <= 1000
    for function in FUNCTIONS:
        properties = RESOURCES[function]["Properties"]
        policy = {"FunctionPolicy": "arn:aws:iam::123456789012:policy/stack-FunctionPolicy-ABC"}
        assert resolve(properties["VersionDescription"], **policy) == "stack-FunctionPolicy-ABC"
        assert resolve(properties["Description"], **policy).endswith("(stack-FunctionPolicy-ABC)")
        assert properties["AutoPublishAliasAllProperties"] is True


def test_the_recipe_is_told_the_architecture() -> None:
    for function in FUNCTIONS:
        metadata = resolve(RESOURCES[function]["Metadata"], Architecture="x86_64")
        assert metadata == {"BuildMethod": "makefile", "WorkingDirectory": "functions/architecture/x86_64"}
    folders = {path.name for path in (ROOT / "functions" / "architecture").iterdir()}
    assert folders == set(PARAMETERS["Architecture"]["AllowedValues"])


def test_wheels_are_for_no_newer_system_than_lambdas() -> None:
    for path in (ROOT / "functions" / "architecture").glob("*/wheels.txt"):
        versions = [tuple(map(int, found)) for found in re.findall(r"manylinux_(\d+)_(\d+)_", path.read_text())]
        assert max(versions) == (2, 34)


def test_requirements_are_pinned_with_hashes_and_tell_nothing_of_the_machine() -> None:
    text = (ROOT / "functions" / "requirements.txt").read_text("utf-8")
    entries = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+ \\", line) for line in entries)
    assert text.count("--hash=sha256:") >= len(entries)
    assert not re.search(r"^--|https?:|file:", text, re.MULTILINE)
    asked = re.findall(r"^([a-z][\w-]*)", (ROOT / "functions" / "requirements.in").read_text("utf-8"), re.MULTILINE)
    assert set(asked) <= {re.split(r"[\[=]", line)[0] for line in entries}
