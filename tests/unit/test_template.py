"""What ``template.yaml`` says, and what its parameters make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asgi_lambda.emulator.intrinsics import NO_VALUE, Resolver, load_yaml
from citestream.settings import load_settings
from citestream.stores import EMBEDDING_MODEL

ROOT = Path(__file__).parents[2]
TEMPLATE = load_yaml((ROOT / "template.yaml").read_text("utf-8"))
RESOURCES = TEMPLATE["Resources"]
PARAMETERS = TEMPLATE["Parameters"]
ANSWERING = ("StreamFunction", "BufferedFunction")
FUNCTIONS = (*ANSWERING, "IngestFunction")
GIVEN = {"JwtIssuer": "https://login.example.com", "JwtAudience": "citestream"}
# What "Ref" makes of resources, and of the stack.
MADE = {
    "Table": "stack-Table-ABC",
    "TextBucket": "stack-textbucket-abc",
    "DocumentsBucket": "citestream-documents-abc",
    "IngestQueue": "https://sqs.us-east-1.amazonaws.com/123456789012/stack-IngestQueue-ABC",
    "VectorBucket": "arn:aws:s3vectors:us-east-1:123456789012:bucket/stack-vectorbucket-abc",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/Stack/51af3dc0-da77-11e4-872e-1234567db123",
}


def resolve(node: Any, **parameters: str) -> Any:
    return Resolver(TEMPLATE, GIVEN | MADE | parameters).value(node)


def variables(function: str, **parameters: str) -> dict[str, str]:
    own = RESOURCES[function]["Properties"].get("Environment", {}).get("Variables", {})
    merged = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | own
    return {name: str(resolve(value, **parameters)) for name, value in merged.items()}


def about(policy: str, *sids: str, **parameters: str) -> list[Any]:
    """The policy's statements of these names, as far as the parameters ask for them."""
    every = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]
    chosen = [each for each in every if each.get("Fn::If", [None, each])[1]["Sid"] in sids]
    found = [resolve(statement, **parameters) for statement in chosen]
    return [statement for statement in found if statement is not NO_VALUE]


def statements(**parameters: str) -> list[Any]:
    """Those about the model that answers."""
    return about("AnswerPolicy", "AskProfile", "AskModel", **parameters)


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
        ("EmbeddingModel", "bedrock/cohere.embed-multilingual-v3", True),
        ("EmbeddingModel", "openai/text-embedding-3-small", True),
        ("EmbeddingModel", "bedrock/eu.cohere.embed-v4:0", False),
        ("EmbeddingModel", "extractive", False),
        ("EmbeddingModel", "", False),
        ("ProviderKeys", "OPENAI_API_KEY=secretsmanager:citestream#openai", True),
        ("ProviderKeys", "A_KEY=ssm:/citestream/a B_KEY=arn:aws:ssm:eu-west-1:123456789012:parameter/b", True),
        ("ProviderKeys", "OPENAI_API_KEY=sk-example", False),
        ("ProviderKeys", "secretsmanager:citestream", False),
        ("ProviderKeys", "A_KEY=ssm:a,B_KEY=ssm:b", False),
        ("ProviderKeyArns", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:citestream-??????", True),
        (
            "ProviderKeyArns",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/a,arn:aws:kms:eu-west-1:123456789012:key/1-2",
            True,
        ),
        ("ProviderKeyArns", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", False),
        ("ProviderKeyArns", "arn:aws:s3:eu-west-1:123456789012:a", False),
        ("ProviderKeyArns", "arn:aws:ssm:eu-west-1:123456789012:parameter/a,", False),
        ("AlarmTopic", "arn:aws:sns:eu-west-1:123456789012:on-call", True),
        ("AlarmTopic", "on-call@example.com", False),
    ],
)
def test_a_parameter_takes_what_the_product_can_use(name: str, value: str, allowed: bool) -> None:
    assert bool(re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)) is allowed


@pytest.mark.parametrize("function", ANSWERING)
def test_a_function_that_answers_has_settings_that_the_product_takes(function: str) -> None:
    settings = load_settings(variables(function))
    assert (settings.auth, settings.jwt_issuer, settings.jwt_audience) == (
        "jwt",
        "https://login.example.com",
        "citestream",
    )
    assert (settings.jwt_kb_claim, settings.jwt_groups_claim) == ("kb_ids", "groups")
    assert settings.data == Path("/tmp/citestream")  # noqa: S108  the one folder that a function may write to
    assert settings.samples is False
    assert settings.allowed_origins == ()


def test_what_takes_documents_in_knows_nothing_of_callers() -> None:
    names = variables("IngestFunction").keys()
    assert not [name for name in names if "JWT" in name or "AUTH" in name or name == "CITESTREAM_MODEL"]
    settings = load_settings(variables("IngestFunction"))
    assert settings.documents_bucket == "citestream-documents-abc"
    for function in ANSWERING:
        assert "CITESTREAM_DOCUMENTS_BUCKET" not in variables(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_the_same_stores_and_the_same_embedder(function: str) -> None:
    settings = load_settings(variables(function))
    assert settings.table == "stack-Table-ABC"
    assert settings.vector_bucket == "stack-vectorbucket-abc"  # and not its ARN
    assert settings.text_bucket == "stack-textbucket-abc"
    assert (settings.embedding_model, settings.embedding_dimensions) == ("bedrock/amazon.titan-embed-text-v2:0", 1024)
    assert (settings.text_search, settings.text_language, settings.keys) == (True, "en", "")
    assert settings.embedding_model == EMBEDDING_MODEL
    key = "OPENAI_API_KEY=ssm:/citestream/openai"
    chosen = {"TextSearch": "off", "TextLanguage": "de", "ProviderKeys": key, "EmbeddingDimensions": "256"}
    settings = load_settings(variables(function, **chosen))
    assert (settings.text_search, settings.text_language, settings.keys) == (False, "de", key)
    assert settings.embedding_dimensions == 256


@pytest.mark.parametrize("language", PARAMETERS["TextLanguage"]["AllowedValues"])
def test_a_language_is_one_that_the_product_takes(language: str) -> None:
    assert load_settings(variables("IngestFunction", TextLanguage=language)).text_language == language


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_local_function_has_no_store_on_aws(function: str) -> None:
    local = json.loads((ROOT / "events" / "local.json").read_text("utf-8"))["Parameters"]
    declared = variables(function)
    settings = load_settings(declared | {name: value for name, value in local.items() if name in declared})
    stores = {settings.table, settings.vector_bucket, settings.text_bucket, settings.documents_bucket}
    assert stores == {""}
    assert settings.embedding_model == ""


def test_what_is_set_locally_is_declared() -> None:
    local = json.loads((ROOT / "events" / "local.json").read_text("utf-8"))["Parameters"]
    assert local.keys() <= {name for function in FUNCTIONS for name in variables(function)}
    for function in ANSWERING:
        assert local.keys() - variables(function).keys() == {"CITESTREAM_DOCUMENTS_BUCKET"}


def test_the_streaming_function_starts_its_own_client() -> None:
    assert variables("StreamFunction")["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/run-stream"
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in variables("BufferedFunction")
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in variables("IngestFunction")
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


@pytest.mark.parametrize(
    ("model", "resources"),
    [
        (
            "bedrock/amazon.titan-embed-text-v2:0",
            ["arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"],
        ),
        ("openai/text-embedding-3-small", []),
    ],
)
def test_the_policy_allows_the_model_that_embeds(model: str, resources: list[str]) -> None:
    found = about("SharedPolicy", "Embed", EmbeddingModel=model)
    assert [statement["Resource"] for statement in found] == resources


def test_the_policy_allows_the_keys_that_are_named_and_no_other() -> None:
    assert about("SharedPolicy", "ReadKeys") == []
    arns = [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:citestream-AbCdEf",
        "arn:aws:kms:eu-west-1:123456789012:key/1",
    ]
    (found,) = about("SharedPolicy", "ReadKeys", ProviderKeyArns=",".join(arns))
    assert found["Resource"] == arns


def test_changed_parameters_make_a_new_version() -> None:
    """All that a version holds is in its policies' descriptions, which AWS takes up to 1,000 characters of."""
    answer, shared = (RESOURCES[each]["Properties"]["Description"] for each in ("AnswerPolicy", "SharedPolicy"))
    text, names = answer["Fn::Sub"]
    assert {"Ref": "SharedPolicy"} in names["Shared"]["Fn::Select"][1]["Fn::Split"]  # another one makes this another
    named = set(re.findall(r"\$\{(\w+)\}", text + shared["Fn::Sub"])) - {"Shared"}
    # The processor is another artifact, and permissions are the roles' own; the others are of the function or the
    # stack, not of versions, or of the ingest, which has none.
    without = {"Architecture", "ProviderKeyArns", "ReservedConcurrency", "LogRetentionDays", "WithRestApi"}
    assert named == PARAMETERS.keys() - without - {"IngestMemorySize", "IngestConcurrency", "AlarmTopic"}
    longest = {name: "x" * each.get("MaxLength", 6) for name, each in PARAMETERS.items()}
    longest["SharedPolicy"] = "arn:aws:iam::123456789012:policy/" + "x" * 128
    assert len(resolve(answer, **longest)) <= 1000
    assert len(resolve(shared, **longest)) <= 1000
    for function in ANSWERING:
        properties = RESOURCES[function]["Properties"]
        policy = {"AnswerPolicy": "arn:aws:iam::123456789012:policy/stack-AnswerPolicy-ABC"}
        assert resolve(properties["VersionDescription"], **policy) == "stack-AnswerPolicy-ABC"
        assert resolve(properties["Description"], **policy).endswith("(stack-AnswerPolicy-ABC)")
        assert properties["AutoPublishAliasAllProperties"] is True


def test_the_bucket_tells_a_queue_that_knows_its_name() -> None:
    bucket = RESOURCES["DocumentsBucket"]
    name = resolve(bucket["Properties"]["BucketName"])
    assert name == "citestream-documents-51af3dc0-da77-11e4-872e-1234567db123"
    assert re.fullmatch(r"[a-z0-9-]{3,63}", name)
    assert bucket["DependsOn"] == "IngestQueuePolicy"
    (statement,) = RESOURCES["IngestQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert resolve(statement["Condition"]) == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{name}"},
    }


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
