"""The work on a batch of messages: each by itself, so that one that fails is the only one to come back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from citestream.errors import StoreUnavailable, WrongIndex
from citestream.ingest.bucket import BucketIngest
from citestream.ingest.s3_events import BadEvent, Message, changed, messages
from citestream.retrieval.embedder import EmbeddingFailed

_LOG = logging.getLogger("citestream.ingest")

# To record that time is over, before it is, and to remove what was written: S3 Vectors removes some 2,500 a second.
_GRACE_SECONDS = 60.0


class Late(Exception):
    """There was not enough time left for a document; the message comes again, and finds more."""


async def work(event: Any, ingest: BucketIngest, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Handle the messages of an SQS event, and report those that are to come again (a partial batch response).

    See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html. Raises BadEvent.
    """
    whole = seconds_left() - _GRACE_SECONDS
    done: set[str] = set()
    failed: list[str] = []
    for message in messages(event):
        try:
            for key in _keys(message, ingest.bucket):
                # All messages were there before the first look: what a look has seen is newer than any of them.
                if key not in done:
                    await _sync(ingest, key, seconds_left() - _GRACE_SECONDS, whole)
                    done.add(key)
        except (BadEvent, Late, StoreUnavailable, EmbeddingFailed, WrongIndex) as error:
            _LOG.error("message %s comes again: %s", message.message_id, error)
            failed.append(message.message_id)
        except Exception:  # what is wrong with one message must not bring back the others
            _LOG.exception("message %s comes again: unforeseen", message.message_id)
            failed.append(message.message_id)
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _keys(message: Message, bucket: str) -> list[str]:
    places = changed(message)
    for name, key in places:
        if name != bucket:
            raise BadEvent(f"{key} is in the bucket {name}, not in {bucket}")
    return [key for _, key in places]


async def _sync(ingest: BucketIngest, key: str, seconds: float, whole: float) -> None:
    """Bring the index in step with the object, within the time. Raises Late where others had a part of it."""
    try:
        await ingest.sync(key, max(seconds, 0.0), give_up=seconds >= 0.9 * whole)
    except TimeoutError:
        raise Late(f"{key}: {seconds:.0f} s are not enough") from None
