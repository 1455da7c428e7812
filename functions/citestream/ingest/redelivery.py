"""When a message that failed comes again: soon at first, since most trouble is short, then later and later."""

from __future__ import annotations

import logging
import random
from typing import Any

from citestream.aws import Aws, Refused
from citestream.errors import StoreUnavailable

_LOG = logging.getLogger("citestream.ingest")

_FIRST_SECONDS = 30
_LONGEST_SECONDS = 3600


async def bring_back(aws: Aws, queue_url: str, event: Any, reply: dict[str, Any]) -> None:
    """Let the failed messages of a batch be seen again before the queue's own time, which is made for crashes.

    ``event`` is SQS's, ``reply`` says which of its messages failed.
    """
    failed = {each["itemIdentifier"] for each in reply["batchItemFailures"]}
    again = [record for record in event["Records"] if record["messageId"] in failed and "receiptHandle" in record]
    entries = [
        {"Id": str(i), "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": pause(_received(record))}
        for i, record in enumerate(again)
    ]
    if not entries:
        return
    try:
        done = await aws.call("sqs", "change_message_visibility_batch", QueueUrl=queue_url, Entries=entries)
        trouble = ", ".join(each["Code"] for each in done.get("Failed", []))
    except (StoreUnavailable, Refused) as error:
        trouble = str(error)
    if trouble:
        _LOG.warning("messages come again at the queue's own time only: %s", trouble)


def pause(received: int) -> int:
    """Seconds to wait after the message was received so often; at random, since they failed together."""
    longest = min(_FIRST_SECONDS * 2 ** (received - 1), _LONGEST_SECONDS)
    return random.randint(longest // 2, longest)  # noqa: S311  no secret


def _received(record: dict[str, Any]) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))
