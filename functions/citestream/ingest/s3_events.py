"""Which objects a message of the queue is about.

S3 tells of objects that were created or removed (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html),
at least once and in any order. What such an event says of its object is not believed: it says where to look.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote_plus

from pydantic import BaseModel, Field, Json, ValidationError


class BadEvent(Exception):
    """Not what S3 or its queue sends; the message says where it differs."""


class _Object(BaseModel):
    key: Annotated[str, Field(min_length=1)]


class _Bucket(BaseModel):
    name: str


class _Change(BaseModel):
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    s3: _Change


class _Notification(BaseModel):
    # A bucket that begins to notify sends one without records: {"Event": "s3:TestEvent", …}.
    records: list[_Record] = Field(alias="Records", default=[])


class Message(BaseModel):
    """A message of an SQS event; ``body`` is what it holds, unread."""

    message_id: str = Field(alias="messageId")
    body: str


class _Batch(BaseModel):
    records: list[Message] = Field(alias="Records")


class _Body(BaseModel):
    body: Json[_Notification]


def messages(event: Any) -> list[Message]:
    """The messages of the event with which SQS calls a function. Raises BadEvent."""
    try:
        return _Batch.model_validate(event).records
    except ValidationError as error:
        raise _bad(error) from None


def changed(message: Message) -> list[tuple[str, str]]:
    """The bucket and the key of each object that the message is about, each once. Raises BadEvent."""
    try:
        notification = _Body(body=message.body).body  # type: ignore[arg-type]  # pydantic reads it
    except ValidationError as error:
        raise _bad(error) from None
    return list(dict.fromkeys(_place(record.s3) for record in notification.records))


def _place(change: _Change) -> tuple[str, str]:
    return change.bucket.name, unquote_plus(change.object.key)


def _bad(error: ValidationError) -> BadEvent:
    first = error.errors()[0]
    return BadEvent(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
