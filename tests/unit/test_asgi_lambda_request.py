"""Events of Function URLs, HTTP APIs and REST APIs as ASGI scopes, in all the odd shapes that AWS gives them."""

from __future__ import annotations

import base64
import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from asgi_lambda.context import LambdaContext
from asgi_lambda.request import HttpRequest, UnsupportedEvent, http_request

CONTEXT = LambdaContext("id", "arn:aws:lambda:eu-west-1:123456789012:function:f", time.time() + 60)


def v2(**changes: Any) -> dict[str, Any]:
    """A Function URL's event; ``http`` and ``context`` change what lies deeper."""
    http = {"method": "GET", "path": "/a", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": "curl/8"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a",
        "rawQueryString": "",
        "headers": {"host": "abc.lambda-url.eu-west-1.on.aws", "x-forwarded-proto": "https", "x-forwarded-port": "443"},
        "requestContext": {
            "accountId": "anonymous",
            "domainName": "abc.lambda-url.eu-west-1.on.aws",
            "http": http | changes.pop("http", {}),
            "stage": "$default",
            **changes.pop("context", {}),
        },
        "isBase64Encoded": False,
    }
    return event | changes


def v1(**changes: Any) -> dict[str, Any]:
    """A REST API's event."""
    event = {
        "resource": "/{proxy+}",
        "path": "/a",
        "httpMethod": "GET",
        "headers": {"Host": "api.example", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Host": ["api.example"], "X-Forwarded-Proto": ["https"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "path": "/prod/a",
            "stage": "prod",
            "protocol": "HTTP/1.1",
            "identity": {"sourceIp": "192.0.2.7"},
            **changes.pop("context", {}),
        },
        "body": None,
        "isBase64Encoded": False,
    }
    return event | changes


def parsed(event: Any) -> HttpRequest:
    return http_request(event, CONTEXT, 1.5)


SCOPES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("v2 plain", v2(), {"method": "GET", "path": "/a", "raw_path": b"/a", "root_path": "", "query_string": b""}),
    ("v2 root", v2(rawPath="/"), {"path": "/", "raw_path": b"/"}),
    ("v2 no path at all", v2(rawPath="", http={"path": ""}), {"path": "/", "raw_path": b"/"}),
    ("v2 path of the context", v2(rawPath=None, http={"path": "/b"}), {"path": "/b"}),
    ("v2 escaped path", v2(rawPath="/a%20b%2Fc"), {"path": "/a b/c", "raw_path": b"/a%20b%2Fc"}),
    ("v2 decoded path", v2(rawPath="/ä b"), {"path": "/ä b", "raw_path": b"/%C3%A4%20b"}),
    ("v2 escaped UTF-8", v2(rawPath="/%C3%A4"), {"path": "/ä", "raw_path": b"/%C3%A4"}),
    ("v2 not UTF-8", v2(rawPath="/%FF"), {"path": "/\ufffd", "raw_path": b"/%FF"}),
    ("v2 double slash", v2(rawPath="//a//"), {"path": "//a//"}),
    ("v2 sub-delimiters", v2(rawPath="/a;b=1,2!$&'()*+@:"), {"raw_path": b"/a;b=1,2!$&'()*+@:"}),
    ("v2 query as sent", v2(rawQueryString="a=1&a=2&b=%20+%C3%A4"), {"query_string": b"a=1&a=2&b=%20+%C3%A4"}),
    ("v2 query not ASCII", v2(rawQueryString="q=ä"), {"query_string": b"q=%C3%A4"}),
    ("v2 query brackets", v2(rawQueryString="a[]=1&b=/?"), {"query_string": b"a[]=1&b=/?"}),
    ("v2 query null", v2(rawQueryString=None), {"query_string": b""}),
    ("v2 stage", v2(rawPath="/dev/a", context={"stage": "dev"}), {"path": "/dev/a", "root_path": "/dev"}),
    ("v2 stage alone", v2(rawPath="/dev", context={"stage": "dev"}), {"path": "/dev", "root_path": "/dev"}),
    ("v2 stage on a domain", v2(rawPath="/a", context={"stage": "dev"}), {"path": "/a", "root_path": ""}),
    ("v2 like a stage", v2(rawPath="/device", context={"stage": "dev"}), {"path": "/device", "root_path": ""}),
    ("v2 stage null", v2(context={"stage": None}), {"root_path": ""}),
    ("v2 method", v2(http={"method": "delete"}), {"method": "DELETE"}),
    ("v2 HTTP/2", v2(http={"protocol": "HTTP/2"}), {"http_version": "2"}),
    ("v2 no protocol", v2(http={"protocol": None}), {"http_version": "1.1"}),
    ("v2 client", v2(), {"client": ("192.0.2.7", 0)}),
    ("v2 client IPv6", v2(http={"sourceIp": "2001:db8::7"}), {"client": ("2001:db8::7", 0)}),
    ("v2 no client", v2(http={"sourceIp": None}), {"client": None}),
    ("v2 server", v2(), {"server": ("abc.lambda-url.eu-west-1.on.aws", 443), "scheme": "https"}),
    ("v2 server with port", v2(headers={"host": "127.0.0.1:9000"}), {"server": ("127.0.0.1", 9000)}),
    ("v2 server IPv6", v2(headers={"host": "[::1]:9000"}), {"server": ("::1", 9000)}),
    ("v2 server IPv6, no port", v2(headers={"host": "[::1]"}), {"server": ("::1", 443)}),
    ("v2 http", v2(headers={"host": "h", "x-forwarded-proto": "http"}), {"server": ("h", 80), "scheme": "http"}),
    ("v2 no host", v2(headers={}), {"server": None, "scheme": "https", "headers": []}),
    ("v2 headers null", v2(headers=None), {"headers": []}),
    ("v2 header case", v2(headers={"X-One": "1"}), {"headers": [(b"x-one", b"1")]}),
    ("v2 header latin-1", v2(headers={"x": "é"}), {"headers": [(b"x", b"\xe9")]}),
    ("v2 header beyond", v2(headers={"x": "€"}), {"headers": [(b"x", b"\xe2\x82\xac")]}),
    ("v2 header joined", v2(headers={"x": "1,2"}), {"headers": [(b"x", b"1,2")]}),
    ("v2 cookies", v2(headers={}, cookies=["a=1", "b=2"]), {"headers": [(b"cookie", b"a=1; b=2")]}),
    ("v2 cookies twice", v2(headers={"Cookie": "a=1"}, cookies=["a=1"]), {"headers": [(b"cookie", b"a=1")]}),
    ("v2 cookie header", v2(headers={"cookie": "a=1"}), {"headers": [(b"cookie", b"a=1")]}),
    ("v1 plain", v1(), {"method": "GET", "path": "/prod/a", "root_path": "/prod", "raw_path": b"/prod/a"}),
    ("v1 own domain", v1(context={"path": "/a"}), {"path": "/a", "root_path": ""}),
    ("v1 base path", v1(path="/base/a", context={"path": "/base/a"}), {"path": "/base/a", "root_path": ""}),
    ("v1 other path", v1(path="/x", context={"path": "/y"}), {"path": "/x", "root_path": ""}),
    ("v1 root", v1(path="/", context={"path": "/prod/"}), {"path": "/prod/", "root_path": "/prod"}),
    ("v1 no context path", v1(context={"path": None}), {"path": "/a", "root_path": ""}),
    ("v1 query", v1(multiValueQueryStringParameters={"a": ["1", "2"]}), {"query_string": b"a=1&a=2"}),
    ("v1 query decoded", v1(multiValueQueryStringParameters={"b": ["ä &"]}), {"query_string": b"b=%C3%A4+%26"}),
    ("v1 single query", v1(queryStringParameters={"a": "1=2"}), {"query_string": b"a=1%3D2"}),
    ("v1 repeated", v1(multiValueHeaders={"X-A": ["1", "2"]}), {"headers": [(b"x-a", b"1"), (b"x-a", b"2")]}),
    ("v1 single headers", v1(multiValueHeaders=None), {"server": ("api.example", 443)}),
    ("v1 no headers", v1(multiValueHeaders=None, headers=None), {"headers": []}),
    ("v1 no identity", v1(context={"identity": None}), {"client": None}),
    ("v1 client", v1(), {"client": ("192.0.2.7", 0)}),
    ("v1 payload of an HTTP API", v1(version="1.0"), {"root_path": "/prod"}),
]


@pytest.mark.parametrize(("event", "expected"), [row[1:] for row in SCOPES], ids=[row[0] for row in SCOPES])
def test_an_event_is_the_request_that_was_sent(event: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(event)
    request = parsed(event)
    assert {name: request.scope[name] for name in expected} == expected
    assert request.version == ("2.0" if "rawPath" in event else "1.0")
    assert request.scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert request.scope["aws.event"] is event
    assert event == before
    Request(request.scope).url  # noqa: B018  Starlette can put the URL together from it


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (v2(), b""),
        (v2(body=None), b""),
        (v2(body="ä"), "ä".encode()),
        (v2(body=base64.b64encode(bytes(range(256))).decode(), isBase64Encoded=True), bytes(range(256))),
        (v1(body="a=b"), b"a=b"),
        (v2(body="\ud83d"), b"\xed\xa0\xbd"),
    ],
)
def test_a_body_comes_as_bytes(event: dict[str, Any], body: bytes) -> None:
    assert parsed(event).body == body


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"Records": [{"eventSource": "aws:s3"}]}, "Records"),
        ({"source": "aws.events", "detail-type": "Scheduled Event"}, "source, detail-type"),
        ({}, "not an HTTP request"),
        (None, "NoneType"),
        ([1], "list"),
        ("text", "str"),
        ({"requestContext": {"elb": {"targetGroupArn": "x"}}, "path": "/"}, "Function URL"),
        ({"requestContext": "x"}, "Function URL"),
        ({"requestContext": {"http": {}}}, "not an HTTP request"),
        ({"requestContext": {"connectionId": "x", "eventType": "CONNECT"}}, "not an HTTP request"),
        (v2(headers=["x"]), "not an HTTP request"),
        (v2(headers={"x": 1}), "not an HTTP request"),
        (v2(http={"method": None}), "not an HTTP request"),
        (v2(body="%%%", isBase64Encoded=True), "not base64"),
        (v2(body="ä", isBase64Encoded=True), "not base64"),
        (v2(body={"a": 1}), "not an HTTP request"),
    ],
)
def test_what_is_no_request_is_refused_by_name(event: Any, message: str) -> None:
    with pytest.raises(UnsupportedEvent, match=message):
        parsed(event)


def test_the_scope_tells_the_deadline() -> None:
    before = time.time()
    told = http_request(v2(), LambdaContext("id", "arn", before + 30), 2.5).scope["extensions"]["lambda.deadline"]
    assert told == {"at": pytest.approx(before + 30, abs=0.05), "grace": 2.5, "ends_itself": False}


@given(
    path=st.text().map(lambda text: f"/{text}"),
    query=st.text(),
    headers=st.dictionaries(st.text(min_size=1), st.text()),
    cookies=st.lists(st.text()),
    body=st.text(),
)
def test_whatever_text_comes_makes_a_scope_of_the_right_types(
    path: str, query: str, headers: dict[str, str], cookies: list[str], body: str
) -> None:
    scope = parsed(v2(rawPath=path, rawQueryString=query, headers=headers, cookies=cookies, body=body)).scope
    assert scope["raw_path"].isascii()
    assert scope["query_string"].isascii()
    assert all(isinstance(each, bytes) for pair in scope["headers"] for each in pair)
    assert isinstance(scope["path"], str)
