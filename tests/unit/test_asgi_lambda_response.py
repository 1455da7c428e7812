"""Responses as Lambda takes them: preludes, and whole ones as JSON."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_lambda.response import BUFFERED_LIMIT, PRELUDE_LIMIT, BadResponse, buffered, prelude, response_head, whole

Headers = list[tuple[bytes, bytes]]

NAMES = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
VALUES = st.binary(max_size=30).filter(lambda value: not set(value) & set(b"\r\n\0"))


SEVERAL: Headers = [(b"x", b"1"), (b"X", b"2"), (b"y", b"3")]
COOKIES: Headers = [(b"Set-Cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2")]
NOT_THE_APPS = (
    b"Connection Keep-Alive Proxy-Connection TE Trailer Transfer-Encoding Upgrade Content-Length Date Server".split()
)


@pytest.mark.parametrize(
    ("version", "headers", "expected"),
    [
        ("2.0", [(b"Content-Type", b"text/plain")], {"headers": {"content-type": "text/plain"}}),
        ("2.0", SEVERAL, {"headers": {"x": "1, 2", "y": "3"}}),
        ("2.0", COOKIES, {"headers": {}, "cookies": ["a=1; Path=/", "b=2"]}),
        ("2.0", [], {"headers": {}}),
        ("2.0", [(b"x", b"\xe9")], {"headers": {"x": "é"}}),
        ("1.0", [(b"x", b"1")], {"headers": {"x": "1"}}),
        ("1.0", SEVERAL, {"headers": {"y": "3"}, "multiValueHeaders": {"x": ["1", "2"]}}),
        ("1.0", COOKIES, {"headers": {}, "multiValueHeaders": {"set-cookie": ["a=1; Path=/", "b=2"]}}),
        ("2.0", [(name, b"x") for name in NOT_THE_APPS], {"headers": {}}),
    ],
)
def test_a_head_has_the_form_of_its_event(version: str, headers: Headers, expected: dict[str, object]) -> None:
    assert response_head(200, headers, version) == {"statusCode": 200, **expected}


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nb: c"),
        (b"x", b"a\nb"),
        (b"x", b"a\0"),
        (b"x y", b"1"),
        (b"", b"1"),
        (b"x:", b"1"),
        (b"x\r\n", b"1"),
    ],
)
def test_headers_that_would_break_out_are_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(BadResponse, match="HTTP forbids"):
        response_head(200, [header], "2.0")


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20), st.sampled_from(["1.0", "2.0"]))
def test_a_prelude_is_json_up_to_eight_zero_bytes(headers: Headers, version: str) -> None:
    head = response_head(204, headers, version)
    text, delimiter, rest = prelude(head).partition(bytes(8))
    assert (delimiter, rest) == (bytes(8), b"")
    assert b"\0" not in text
    assert json.loads(text) == head
    assert set(head) <= {"statusCode", "headers", "cookies", "multiValueHeaders"}
    assert all(isinstance(value, str) for value in head["headers"].values())


def test_a_prelude_has_a_limit() -> None:
    fixed = len(prelude(response_head(200, [(b"x", b"")], "2.0")))
    assert len(prelude(response_head(200, [(b"x", b"a" * (PRELUDE_LIMIT - fixed))], "2.0"))) == PRELUDE_LIMIT
    with pytest.raises(BadResponse, match="over 16384 bytes"):
        prelude(response_head(200, [(b"x", b"a" * (PRELUDE_LIMIT - fixed + 1))], "2.0"))


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ([(b"content-type", b"text/html; charset=utf-8")], "ä".encode(), "ä"),
        ([(b"content-type", b"application/json")], b"{}", "{}"),
        ([(b"content-type", b"application/problem+json")], b"{}", "{}"),
        ([(b"content-type", b"application/xml")], b"<a/>", "<a/>"),
        ([(b"content-type", b"text/event-stream")], b": open\n", ": open\n"),
        ([(b"content-type", b"text/plain")], b"\xff", None),
        ([(b"content-type", b"image/png")], b"\x89PNG", None),
        ([(b"content-type", b"application/jsonish")], b"{}", None),
        ([(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")], b"abc", None),
        ([], b"abc", None),
    ],
)
def test_a_whole_body_is_text_where_it_says_so_and_is(headers: Headers, body: bytes, text: str | None) -> None:
    found = whole(response_head(200, headers, "2.0"), body)
    assert found["isBase64Encoded"] is (text is None)
    assert found["body"] == (base64.b64encode(body).decode() if text is None else text)


def test_a_buffered_response_has_a_limit() -> None:
    head = response_head(200, [(b"content-type", b"text/plain")], "2.0")
    fixed = len(buffered(head, b""))
    assert json.loads(buffered(head, b"a" * (BUFFERED_LIMIT - fixed)))["statusCode"] == 200
    with pytest.raises(BadResponse, match="over 6291456 bytes"):
        buffered(head, b"a" * (BUFFERED_LIMIT - fixed + 1))
