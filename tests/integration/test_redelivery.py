"""Messages that failed come again soon: against a real queue of the tests' AWS."""

from __future__ import annotations

from typing import Any

import pytest

from citestream.ingest.redelivery import bring_back, pause
from tests.aws import AwsServer
from tests.bucket import QuickAws


@pytest.mark.parametrize(
    ("received", "least", "most"), [(1, 15, 30), (2, 30, 60), (5, 240, 480), (8, 1800, 3600), (900, 1800, 3600)]
)
def test_the_pause_doubles_up_to_an_hour(received: int, least: int, most: int) -> None:
    assert all(least <= pause(received) <= most for _ in range(50))


def received(sqs: Any, url: str, visible_for: int) -> list[dict[str, Any]]:
    """The messages of the queue as a function's event has them."""
    found = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=visible_for, AttributeNames=["All"]
    )
    return [
        {"messageId": each["MessageId"], "receiptHandle": each["ReceiptHandle"], "attributes": each["Attributes"]}
        for each in found.get("Messages", [])
    ]


async def test_only_what_failed_comes_again_early(
    aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("citestream.ingest.redelivery._FIRST_SECONDS", 0)
    sqs = aws_server.client("sqs")
    url = sqs.create_queue(QueueName="documents")["QueueUrl"]
    for body in ("good", "failed"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    records = received(sqs, url, 5400)
    assert len(records) == 2
    failed = records[1]["messageId"]
    aws = QuickAws()
    reply = {"batchItemFailures": [{"itemIdentifier": failed}]}
    await bring_back(aws, url, {"Records": records}, reply)
    assert [each["messageId"] for each in received(sqs, url, 5400)] == [failed]
    await bring_back(aws, url, {"Records": records}, {"batchItemFailures": []})
    await bring_back(aws, url + "-gone", {"Records": records}, reply)
    assert [record.levelname for record in caplog.records if record.name == "citestream.ingest"] == ["WARNING"]
    await aws.aclose()
