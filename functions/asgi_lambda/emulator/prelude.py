"""The metadata in front of a streamed body: JSON, 8 NULs, then the body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
_DELIMITER = b"\0" * 8
_KEYS = {"statusCode", "headers", "multiValueHeaders", "cookies"}
# API Gateway wants the delimiter within its first 16 KB; Lambda takes 1 MB of headers.
_GATEWAY_LIMIT = 16 * 1024
_URL_LIMIT = 1024 * 1024
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class BadOutput(Exception):
    """What the function sent is no response. ``reason`` names the value and the rule."""


@dataclass(frozen=True)
class Answer:
    """Status and headers of a response, cookies among them; ``notes`` on what would be lost."""

    status: int
    headers: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name), None)


def split(data: bytes, *, gateway: bool) -> tuple[bytes, bytes] | None:
    """The JSON and the body's beginning; None if the delimiter is still to come. Raises ``BadOutput``."""
    limit = _GATEWAY_LIMIT if gateway else _URL_LIMIT
    start = data.find(b"\0")
    if start + len(_DELIMITER) > limit or (start < 0 and len(data) > limit):
        raise BadOutput(f"no delimiter of 8 NULs within the first {limit} bytes")
    if start < 0 or len(data) < start + len(_DELIMITER):
        return None
    if not data.startswith(_DELIMITER, start):
        raise BadOutput(f"a delimiter of 8 NULs was expected after the prelude, not {data[start : start + 8]!r}")
    return data[:start], data[start + len(_DELIMITER) :]


def parse(text: bytes, *, gateway: bool) -> Answer:
    """The answer that a prelude announces. Raises ``BadOutput``."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise BadOutput(f"the prelude {text[:60]!r} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadOutput(f"the prelude is {text[:60]!r}, not a JSON object")
    unknown = sorted(fields.keys() - _KEYS)
    if unknown and gateway:
        raise BadOutput(f"the prelude's key {unknown[0]!r} is not one of {', '.join(sorted(_KEYS))}")
    answer = read_answer(fields, gateway=gateway)
    notes = tuple(f"the prelude's key {key!r} is ignored" for key in unknown)
    return Answer(answer.status, answer.headers, answer.notes + notes)


def read_answer(fields: dict[str, object], *, gateway: bool) -> Answer:
    """Status, headers and cookies of a prelude or of a buffered result. Raises ``BadOutput``."""
    status = fields.get("statusCode", 200)
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise BadOutput(f"statusCode {status!r} is not an integer from 200 to 599")
    headers = _single(fields.get("headers"))
    multiple = _multiple(fields.get("multiValueHeaders"))
    notes = []
    if multiple and gateway:
        named = {name.lower() for name, _ in multiple}
        headers = [each for each in headers if each[0].lower() not in named] + multiple
    elif multiple:
        notes.append("multiValueHeaders are ignored by a function URL")
    cookies = [("Set-Cookie", value) for value in _strings(fields.get("cookies"), "cookies")]
    return Answer(status, tuple(headers + cookies), tuple(notes))


def _single(headers: object) -> list[tuple[str, str]]:
    if not isinstance(headers, dict | None):
        raise BadOutput(f"headers is {headers!r}, not an object")
    return [_field(name, value) for name, value in (headers or {}).items()]


def _multiple(headers: object) -> list[tuple[str, str]]:
    if not isinstance(headers, dict | None):
        raise BadOutput(f"multiValueHeaders is {headers!r}, not an object")
    return [_field(name, value) for name, values in (headers or {}).items() for value in _strings(values, name)]


def _strings(values: object, of: str) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, list):
        raise BadOutput(f"{of} is {values!r}, not a list of strings")
    return [_field(of, value)[1] for value in values]


def _field(name: str, value: object) -> tuple[str, str]:
    if not _NAME.fullmatch(name):
        raise BadOutput(f"{name!r} is no header name")
    if not isinstance(value, str):
        raise BadOutput(f"the value of {name} is {value!r}, not a string")
    if not _VALUE.fullmatch(value):
        raise BadOutput(f"the value of {name}, {value!r}, has a character that no header may hold")
    return name, value
