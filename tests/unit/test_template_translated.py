"""What SAM makes of ``template.yaml``: lint does not look at the values inside of SAM's own resources."""

from __future__ import annotations

import functools
import json
import subprocess
from itertools import chain
from typing import Any

import pytest

from tests.sam import SAM, TEMPLATE, needs_sam

pytestmark = needs_sam

ANSWERING = ("StreamFunction", "BufferedFunction")
KEPT = ("DocumentsBucket", "DocumentsBucketPolicy", "TextBucket", "TextBucketPolicy", "VectorBucket", "Table")
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


@pytest.mark.parametrize("function", ANSWERING)
def test_an_alias_serves_a_version_that_changes_with_the_configuration(function: str) -> None:
    alias = resources()[f"{function}Aliaslive"]["Properties"]
    version, attribute = alias["FunctionVersion"]["Fn::GetAtt"]
    assert (alias["FunctionName"], attribute) == ({"Ref": function}, "Version")
    description = resources()[version]["Properties"]["Description"]
    assert description == {"Fn::Select": [1, {"Fn::Split": ["policy/", {"Ref": "AnswerPolicy"}]}]}


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


def policies() -> dict[str, list[dict[str, Any]]]:
    """The statements of each policy, those too that the parameters may leave out."""
    found = {name: each["PolicyDocument"] for name, each in of_type("AWS::IAM::ManagedPolicy").items()}
    for name, role in of_type("AWS::IAM::Role").items():
        found |= {f"{name} {each['PolicyName']}": each["PolicyDocument"] for each in role["Policies"]}
    return {
        name: [each["Fn::If"][1] if "Fn::If" in each else each for each in document["Statement"]]
        for name, document in found.items()
    }


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_policies_name_their_actions_and_their_resources() -> None:
    for statements in policies().values():
        for each in statements:
            assert "*" not in as_list(each["Resource"])
            assert all(action.count(":") == 1 and "*" not in action for action in as_list(each["Action"]))


def test_each_function_has_a_role_of_its_own_and_of_it_no_more_than_it_calls() -> None:
    roles = of_type("AWS::IAM::Role")
    of_role = {
        name: [
            {each["Ref"] for each in role["ManagedPolicyArns"]},
            [each["PolicyName"] for each in role["Policies"]],
        ]
        for name, role in roles.items()
    }
    assert of_role == {
        "StreamRole": [{"AnswerPolicy", "SharedPolicy"}, ["logs"]],
        "BufferedRole": [{"AnswerPolicy", "SharedPolicy"}, ["logs"]],
        "IngestRole": [{"SharedPolicy"}, ["ingest"]],
    }
    allowed = {
        name: {action for each in statements for action in as_list(each["Action"])}
        for name, statements in policies().items()
    }
    assert allowed == {
        "AnswerPolicy": {
            *("s3vectors:QueryVectors", "s3vectors:GetVectors", "s3:GetObject", "s3:ListBucket"),
            *("dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            *("bedrock:InvokeModelWithResponseStream", "bedrock:InvokeModel"),
        },
        "SharedPolicy": {
            *("dynamodb:GetItem", "bedrock:InvokeModel"),
            *("secretsmanager:GetSecretValue", "ssm:GetParameter", "kms:Decrypt"),
        },
        "StreamRole logs": {"logs:CreateLogStream", "logs:PutLogEvents"},
        "BufferedRole logs": {"logs:CreateLogStream", "logs:PutLogEvents"},
        "IngestRole ingest": {
            *("logs:CreateLogStream", "logs:PutLogEvents"),
            *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"),
            *("s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"),
            *("s3vectors:CreateIndex", "s3vectors:DeleteIndex", "s3vectors:PutVectors", "s3vectors:DeleteVectors"),
            *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
        },
    }


@pytest.mark.parametrize(
    ("policy", "keys"),
    [("AnswerPolicy", ["S#*", "K#*", "C#*"]), ("IngestRole ingest", ["D#*", "KBS"])],
    ids=["answers", "ingest"],
)
def test_each_writes_the_items_that_are_its_own(policy: str, keys: list[str]) -> None:
    (write,) = (each for each in policies()[policy] if "dynamodb:PutItem" in each["Action"])
    assert write["Resource"] == {"Fn::GetAtt": ["Table", "Arn"]}
    assert write["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}


def test_what_answers_reads_texts_and_no_documents() -> None:
    everywhere = json.dumps([policies()["AnswerPolicy"], policies()["SharedPolicy"]])
    assert "TextBucket" in everywhere
    assert "DocumentsBucket" not in everywhere


@pytest.mark.parametrize(
    ("function", "handler", "timeout", "memory", "name"),
    [
        ("StreamFunction", "citestream.handlers.app", {"Ref": "Timeout"}, "MemorySize", "Stream"),
        ("BufferedFunction", "citestream.handlers.buffered", 29, "MemorySize", "Buffered"),
        ("IngestFunction", "citestream.handlers.ingest", 900, "IngestMemorySize", "Ingest"),
    ],
)
def test_a_function(function: str, handler: str, timeout: Any, memory: str, name: str) -> None:
    properties = resources()[function]["Properties"]
    assert (properties["Runtime"], properties["Handler"], properties["Timeout"]) == ("python3.13", handler, timeout)
    assert properties["MemorySize"] == {"Ref": memory}
    assert properties["Architectures"] == [{"Ref": "Architecture"}]
    assert properties["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert properties["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": f"{name}LogGroup"}}
    assert properties["Environment"]["Variables"]["CITESTREAM_TABLE"] == {"Ref": "Table"}
    log = {"Fn::GetAtt": [f"{name}LogGroup", "Arn"]}
    (write,) = (each for each in chain(*policies().values()) if each["Resource"] == log)
    assert write["Sid"] == "WriteLogs"
    assert resources()[f"{name}LogGroup"]["Properties"] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


@pytest.mark.parametrize("function", ANSWERING)
def test_snapshots_and_reserved_concurrency_are_chosen(function: str) -> None:
    properties = resources("on")[function]["Properties"]
    assert properties["SnapStart"] == {"ApplyOn": {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}}
    assert properties["ReservedConcurrentExecutions"] == {
        "Fn::If": ["LimitsConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }


def test_the_ingest_has_its_parameters_at_once_and_as_many_functions_as_its_queue_gives() -> None:
    """Without versions, and without a reserved concurrency, which would have to be larger than the queue's."""
    assert not [name for name in resources() if name.startswith("IngestFunction") and ("Alias" in name or "V" in name)]
    assert "ReservedConcurrentExecutions" not in resources()["IngestFunction"]["Properties"]
    (mapping,) = of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping == {
        "EventSourceArn": {"Fn::GetAtt": ["IngestQueue", "Arn"]},
        "FunctionName": {"Ref": "IngestFunction"},
        "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": {"Ref": "IngestConcurrency"}},
    }


def test_what_the_bucket_tells_comes_to_the_queue() -> None:
    told = resources()["DocumentsBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert {each["Event"] for each in told} == {
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:LifecycleExpiration:*",
    }
    assert [each["Queue"] for each in told] == [{"Fn::GetAtt": ["IngestQueue", "Arn"]}] * 3
    policy = resources()["IngestQueuePolicy"]["Properties"]
    assert policy["Queues"] == [{"Ref": "IngestQueue"}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Principal"]) == ("sqs:SendMessage", {"Service": "s3.amazonaws.com"})


def test_a_message_is_tried_again_and_then_kept_where_an_alarm_tells_of_it() -> None:
    queues = of_type("AWS::SQS::Queue")
    queue, dead = queues["IngestQueue"], queues["DeadLetterQueue"]
    assert queue["VisibilityTimeout"] >= 6 * resources()["IngestFunction"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
        "maxReceiveCount": 8,
    }
    days = {each["MessageRetentionPeriod"] / 86_400 for each in (queue, dead)}
    assert days == {14}
    assert queue["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    alarm = resources()["DeadLetterAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]}}]
    assert (alarm["MetricName"], alarm["ComparisonOperator"], alarm["Threshold"]) == (
        "ApproximateNumberOfMessagesVisible",
        "GreaterThanThreshold",
        0,
    )
    assert alarm["AlarmActions"]["Fn::If"][:2] == ["HasAlarmTopic", [{"Ref": "AlarmTopic"}]]


def test_data_stays_when_the_stack_goes() -> None:
    kept = {name for name, each in resources().items() if each.get("DeletionPolicy") == "Retain"}
    assert kept - {name for name in kept if resources()[name]["Type"] == "AWS::Lambda::Version"} == set(KEPT)
    assert {resources()[name]["UpdateReplacePolicy"] for name in KEPT} == {"Retain"}


@pytest.mark.parametrize("bucket", ["DocumentsBucket", "TextBucket"])
def test_a_bucket_is_private_and_encrypted(bucket: str) -> None:
    properties = resources()[bucket]["Properties"]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert list(properties["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}.items() <= properties[
        "LifecycleConfiguration"
    ]["Rules"][-1].items()
    policy = resources()[f"{bucket}Policy"]["Properties"]
    assert policy["Bucket"] == {"Ref": bucket}
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}


def test_documents_have_versions_for_a_month_and_name_their_table() -> None:
    properties = resources()["DocumentsBucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rule, _ = properties["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert {"Key": "citestream-table", "Value": {"Ref": "Table"}} in properties["Tags"]
    assert "VersioningConfiguration" not in resources()["TextBucket"]["Properties"]
    assert resources()["VectorBucket"]["Properties"]["EncryptionConfiguration"] == {"SseType": "AES256"}


def test_the_table_is_the_one_that_records_and_streams_are_written_to() -> None:
    table = resources()["Table"]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert [each["AttributeName"] for each in table["KeySchema"]] == ["pk", "sk"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]) == ("by_kb", {"ProjectionType": "ALL"})
    assert [each["AttributeName"] for each in index["KeySchema"]] == ["kb_id", "name"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
