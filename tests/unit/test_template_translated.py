"""What SAM makes of ``template.yaml``: lint does not look at the values inside of SAM's own resources."""

from __future__ import annotations

import functools
import json
import subprocess
from typing import Any

import pytest

from tests.sam import SAM, TEMPLATE, needs_sam

pytestmark = needs_sam

FUNCTIONS = ("StreamFunction", "BufferedFunction")
# The translator is installed with SAM CLI, in an environment of its own.
TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

class NoManagedPolicies:
    def load(self):
        return {}

template = yaml_parse(open(sys.argv[1]).read())
template["Globals"]["Function"]["CodeUri"] = {"Bucket": "example", "Key": "artifact"}
parameters = {"AWS::Region": "eu-central-1", **json.loads(sys.argv[2])}
print(json.dumps(transform(template, parameters, NoManagedPolicies())["Resources"]))
"""


@functools.cache
def resources(snap_start: str = "off") -> dict[str, Any]:
    parameters = {"JwtIssuer": "https://login.example.com", "JwtAudience": "citestream", "SnapStart": snap_start}
    run = subprocess.run(
        (SAM.with_name("python"), "-c", TRANSLATE, TEMPLATE, json.dumps(parameters)),
        env={"AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in resources().items() if each["Type"] == kind}


def permissions(function: str) -> list[dict[str, Any]]:
    alias = {"Ref": f"{function}Aliaslive"}
    return [each for each in of_type("AWS::Lambda::Permission").values() if each["FunctionName"] == alias]


def test_the_function_url_streams_and_is_open() -> None:
    (url,) = of_type("AWS::Lambda::Url").values()
    assert url == {
        "TargetFunctionArn": {"Ref": "StreamFunctionAliaslive"},
        "AuthType": "NONE",
        "InvokeMode": "RESPONSE_STREAM",
    }


def test_the_function_url_has_both_permissions() -> None:
    public = [each for each in permissions("StreamFunction") if each["Principal"] == "*"]
    assert sorted(public, key=lambda each: len(each["Action"])) == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": "StreamFunctionAliaslive"},
            "Principal": "*",
            "InvokedViaFunctionUrl": True,
        },
        {
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": {"Ref": "StreamFunctionAliaslive"},
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        },
    ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_alias_serves_a_version_that_changes_with_the_configuration(function: str) -> None:
    alias = resources()[f"{function}Aliaslive"]["Properties"]
    version, attribute = alias["FunctionVersion"]["Fn::GetAtt"]
    assert (alias["FunctionName"], attribute) == ({"Ref": function}, "Version")
    description = resources()[version]["Properties"]["Description"]
    assert description == {"Fn::Select": [1, {"Fn::Split": ["policy/", {"Ref": "FunctionPolicy"}]}]}


@pytest.mark.parametrize("kind", ["AWS::IAM::ManagedPolicy", "AWS::Lambda::Version"])
def test_cloudformation_makes_anew_what_has_another_description(kind: str) -> None:
    code = f"""
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
print(*PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-central-1", {kind!r}).schema["createOnlyProperties"])
"""
    run = subprocess.run((SAM.with_name("python"), "-c", code), capture_output=True, text=True)
    assert "/properties/Description" in run.stdout.split(), run.stderr


def test_nobody_but_the_apis_and_the_url_may_invoke() -> None:
    principals = {each["Principal"] for each in of_type("AWS::Lambda::Permission").values()}
    assert principals == {"*", "apigateway.amazonaws.com"}
    assert [each["Principal"] for each in permissions("BufferedFunction")] == ["apigateway.amazonaws.com"]


def test_the_http_api_sends_all_to_the_buffered_function() -> None:
    body = resources()["HttpApi"]["Properties"]["Body"]
    assert list(body["paths"]) == ["$default"]
    method = body["paths"]["$default"]["x-amazon-apigateway-any-method"]
    assert method["isDefaultRoute"] is True
    integration = method["x-amazon-apigateway-integration"]
    assert integration["payloadFormatVersion"] == "2.0"
    assert "${BufferedFunctionAliaslive}/invocations" in integration["uri"]["Fn::Sub"]


def test_the_rest_api_streams_from_the_streaming_function() -> None:
    api = resources()["RestApi"]
    assert api["Condition"] == "HasRestApi"
    assert set(api["Properties"]["Body"]["paths"]) == {"/", "/{proxy+}"}
    for methods in api["Properties"]["Body"]["paths"].values():
        integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        assert integration["type"] == "aws_proxy"
        assert integration["responseTransferMode"] == "STREAM"
        assert integration["timeoutInMillis"] == 900_000
        assert integration["uri"]["Fn::Sub"].endswith(
            ":lambda:path/2021-11-15/functions/${StreamFunctionAliaslive}/response-streaming-invocations"
        )


def test_without_the_rest_api_nothing_of_it_is_there() -> None:
    of_it = {name for name, each in resources().items() if each.get("Condition") == "HasRestApi"}
    kinds = sorted(resources()[name]["Type"].rsplit("::", 1)[1] for name in of_it)
    assert kinds == ["Deployment", "Permission", "RestApi", "Stage"]
    others = json.dumps({name: each for name, each in resources().items() if name not in of_it})
    assert '"RestApi"' not in others
    assert "${RestApi}" not in others


def test_nothing_answers_cors_but_the_app() -> None:
    assert "cors" not in json.dumps(resources()).casefold()


def test_policies_name_their_resources() -> None:
    policy = resources()["FunctionPolicy"]["Properties"]["PolicyDocument"]
    statements = [each["Fn::If"][1] if "Fn::If" in each else each for each in policy["Statement"]]
    assert [each["Sid"] for each in statements] == ["WriteLogs", "AskProfile", "AskModel"]
    for each in statements:
        named = each["Resource"] if isinstance(each["Resource"], list) else [each["Resource"]]
        assert "*" not in named
        assert all(action.count(":") == 1 and "*" not in action for action in each["Action"])
    roles = of_type("AWS::IAM::Role")
    assert {name: each["ManagedPolicyArns"] for name, each in roles.items()} == {
        "FunctionRole": [{"Ref": "FunctionPolicy"}]
    }


@pytest.mark.parametrize(
    ("function", "handler", "timeout", "log"),
    [
        ("StreamFunction", "citestream.handlers.app", {"Ref": "Timeout"}, "StreamLogGroup"),
        ("BufferedFunction", "citestream.handlers.buffered", 29, "BufferedLogGroup"),
    ],
)
def test_a_function(function: str, handler: str, timeout: Any, log: str) -> None:
    properties = resources()[function]["Properties"]
    assert (properties["Runtime"], properties["Handler"], properties["Timeout"]) == ("python3.13", handler, timeout)
    assert properties["Architectures"] == [{"Ref": "Architecture"}]
    assert properties["Role"] == {"Fn::GetAtt": ["FunctionRole", "Arn"]}
    assert properties["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": log}}
    assert properties["Environment"]["Variables"]["CITESTREAM_AUTH"] == "jwt"
    assert resources()[log]["Properties"] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_snapshots_and_reserved_concurrency_are_chosen(function: str) -> None:
    properties = resources("on")[function]["Properties"]
    assert properties["SnapStart"] == {"ApplyOn": {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}}
    assert properties["ReservedConcurrentExecutions"] == {
        "Fn::If": ["LimitsConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }
