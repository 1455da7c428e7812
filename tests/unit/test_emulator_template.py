"""Functions read out of SAM templates, with what overrides their environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asgi_lambda.emulator.intrinsics import NO_VALUE, Resolver, Unresolved, load_yaml
from asgi_lambda.emulator.template import TemplateError, read_overrides, read_template

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Size: { Type: Number, Default: 512 }
  Model: { Type: String, Default: a/b }
  Issuer: { Type: String }
  Live: { Type: String, Default: "no" }
Conditions:
  IsLive: !Equals [!Ref Live, "yes"]
Globals:
  Function:
    Runtime: python3.13
    CodeUri: code/
    MemorySize: !Ref Size
    Environment:
      Variables:
        SHARED: all
        MODEL: !Sub "${AWS::Region}/${Model}"
        ISSUER: !Ref Issuer
        TABLE: !GetAtt Table.Arn
        GONE: !If [IsLive, "1", !Ref AWS::NoValue]
Resources:
  Stream:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.app
      Timeout: 30
      LoggingConfig: { LogFormat: JSON }
      FunctionUrlConfig: { AuthType: NONE, InvokeMode: RESPONSE_STREAM }
      Environment:
        Variables: { SHARED: mine, OWN: !If [IsLive, a, b], NUMBER: 5, SWITCH: true }
  Plain:
    Type: AWS::Serverless::Function
    Properties: { Handler: app.plain, FunctionUrlConfig: { AuthType: NONE }, Environment: { Variables: { PLAIN: 1 } } }
  Bare:
    Type: AWS::Serverless::Function
    Properties: { Handler: app.bare, Timeout: !Ref Table }
  Table:
    Type: AWS::DynamoDB::Table
  Api:
    Type: AWS::Serverless::Api
    Properties: { StageName: live }
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_a_function_with_its_globals(template: Path) -> None:
    declared = read_template(template, "Stream")
    assert (declared.handler, declared.runtime, declared.code) == ("app.app", "python3.13", template.parent / "code")
    assert (declared.timeout, declared.memory, declared.log_format) == (30.0, 512, "JSON")
    assert (declared.invoke_mode, declared.stage) == ("RESPONSE_STREAM", "live")
    assert declared.variables == {
        "SHARED": "mine",
        "MODEL": "us-east-1/a/b",
        "OWN": "b",
        "NUMBER": "5",
        "SWITCH": "true",
    }
    assert declared.unresolved == {"ISSUER": "Issuer", "TABLE": "Fn::GetAtt Table.Arn"}


def test_defaults_and_parameters(template: Path) -> None:
    declared = read_template(template, "Plain", {"Issuer": "https://a", "Live": "yes", "Size": "128"})
    assert (declared.timeout, declared.memory, declared.log_format) == (3.0, 128, "Text")
    assert declared.invoke_mode == "BUFFERED"
    assert declared.variables["ISSUER"] == "https://a"
    assert declared.variables["GONE"] == "1"


@pytest.mark.parametrize(
    ("text", "function", "message"),
    [
        (TEMPLATE, "Missing", "has no function 'Missing'; it has Bare, Plain, Stream"),
        (TEMPLATE, "Bare", "Bare's Timeout depends on Table"),
        ("a: [", "Stream", "template.yaml: while parsing"),
        ("- a", "Stream", "it holds no mapping"),
        ("", "Stream", "it holds no mapping"),
        ("Resources:", "Stream", "it has none"),
    ],
)
def test_templates_of_no_use(tmp_path: Path, text: str, function: str, message: str) -> None:
    (tmp_path / "template.yaml").write_text(text)
    with pytest.raises(TemplateError) as raised:
        read_template(tmp_path / "template.yaml", function)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="No such file"):
        read_template(tmp_path / "template.yaml", "Stream")


def test_overrides(template: Path) -> None:
    path = template.parent / "local.json"
    overrides = {
        "Parameters": {"SHARED": "x", "MODEL": "m", "PLAIN": "p", "TYPO": "t", "ISSUER": 1},
        "Stream": {"MODEL": "n", "PLAIN": "q", "SWITCH": False},
        "Streem": {},
    }
    path.write_text(json.dumps(overrides))
    chosen, undeclared = read_overrides(path, "Stream", template)
    assert chosen == {"SHARED": "x", "MODEL": "n", "ISSUER": "1", "SWITCH": "false"}
    assert undeclared == ["Streem: no such function", "Parameters: TYPO", "Stream: PLAIN"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "local.json: Expecting"),
        ("[]", "is not an object of objects"),
        ('{"SHARED": "x"}', "is not an object of objects"),
        ('{"Parameters": {"SHARED": null}}', "the value of SHARED is None, not a string"),
    ],
)
def test_overrides_of_no_use(template: Path, text: str, message: str) -> None:
    path = template.parent / "local.json"
    path.write_text(text)
    with pytest.raises(TemplateError, match=message):
        read_overrides(path, "Stream", template)


def test_overrides_that_are_not_there(template: Path) -> None:
    with pytest.raises(TemplateError, match="No such file"):
        read_overrides(template.parent / "missing.json", "Stream", template)


RULES = """
Parameters:
  Name: { Default: n }
  Switch: { Default: true }
Mappings:
  Map: { n: { size: 7 } }
Conditions:
  Is: !And [!Equals [!Ref Name, n], !Not [!Equals [a, b]], !Condition Either]
  Either: !Or [!Equals [a, b], !Equals [!Ref Switch, "true"]]
"""


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ("!Ref Name", "n"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref AWS::NoValue", NO_VALUE),
        ("{Ref: Name}", "n"),
        ("{Name: Ref}", {"Name": "Ref"}),
        ("!If [Is, a, b]", "a"),
        ("{Fn::If: [Is, a, b]}", "a"),
        ("!Sub x${Name}", "xn"),
        ("!Sub '${!Name}'", "${Name}"),
        ("!Sub ['${Name}-${Own}-${Switch}', {Own: !Ref Name}]", "n-n-true"),
        ("!Join ['-', [a, !Ref Name, 1]]", "a-n-1"),
        ("!Select [1, !Split [/, a/b]]", "b"),
        ("!FindInMap [Map, !Ref Name, size]", 7),
        ("[a, !Ref AWS::NoValue, {b: !Ref Name, c: !Ref AWS::NoValue}]", ["a", {"b": "n"}]),
        ("5", 5),
    ],
)
def test_intrinsic_functions(node: str, value: Any) -> None:
    resolver = Resolver(load_yaml(RULES), {})
    assert resolver.value(load_yaml(node)) == value


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ("!Ref Bucket", "Bucket"),
        ("!Sub '${Bucket.Arn}'", "Bucket.Arn"),
        ("!GetAtt Bucket.Arn", "Fn::GetAtt Bucket.Arn"),
        ("!ImportValue x", "Fn::ImportValue x"),
        ("!If [Absent, a, b]", "the condition Absent"),
        ("!FindInMap [Map, m, size]", "m in a mapping"),
        ("!Transform {Name: x}", "Fn::Transform"),
    ],
)
def test_what_only_a_deployment_knows(node: str, what: str) -> None:
    with pytest.raises(Unresolved) as raised:
        Resolver(load_yaml(RULES), {}).value(load_yaml(node))
    assert str(raised.value).startswith(what)
