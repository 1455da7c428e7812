"""What the emulator makes of a function's output, and of a request."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_lambda.emulator import headers, output
from asgi_lambda.emulator.events import Request, rest_event, url_event
from asgi_lambda.emulator.front import FunctionUrl
from asgi_lambda.emulator.http1 import Head
from asgi_lambda.emulator.output import Streamed
from asgi_lambda.emulator.prelude import Answer, BadOutput
from asgi_lambda.emulator.reception import message
from asgi_lambda.emulator.record import Invocation
from asgi_lambda.emulator.report import Report, line

NULS = b"\0" * 8


def streamed(data: bytes, *, gateway: bool = False, size: int = 1 << 20) -> tuple[Answer, bytes]:
    out = Streamed(gateway=gateway)
    body = b"".join(out.feed(data[at : at + size]) for at in range(0, len(data), size)) + out.finish()
    assert out.answer
    return out.answer, body


@given(
    st.integers(200, 599),
    st.dictionaries(st.from_regex(r"[A-Za-z-]{1,9}", fullmatch=True), st.from_regex(r"[ -~]{0,9}", fullmatch=True)),
    st.lists(st.from_regex(r"[ -~]{0,9}", fullmatch=True)),
    st.binary(),
    st.integers(1, 60),
)
def test_a_prelude_is_read_however_it_is_cut(
    status: int, fields: dict[str, str], cookies: list[str], body: bytes, size: int
) -> None:
    text = json.dumps({"statusCode": status, "headers": fields, "cookies": cookies}).encode()
    fields.pop("content-encoding", None)
    answer, received = streamed(text + NULS + body, size=size)
    assert answer == Answer(status, (*fields.items(), *(("Set-Cookie", cookie) for cookie in cookies)))
    assert received == body


def test_everything_in_a_prelude_may_be_left_out() -> None:
    assert streamed(b"{}" + NULS + NULS) == (Answer(200, ()), NULS)


BAD_PRELUDES = [
    (b"[]", "not a JSON object"),
    (b"{", "not JSON"),
    (b"\xff", "not JSON"),
    (b'{"statusCode": "200"}', "statusCode '200'"),
    (b'{"statusCode": true}', "statusCode True"),
    (b'{"statusCode": 100}', "statusCode 100"),
    (b'{"headers": []}', "headers is"),
    (b'{"headers": {"a": 1}}', "the value of a is 1"),
    (b'{"headers": {"a": ["b"]}}', "the value of a"),
    (b'{"headers": {"a b": "c"}}', "'a b' is no header name"),
    (b'{"headers": {"a": "b\\r\\nc: d"}}', "no header may hold"),
    (b'{"headers": {"a": "\\u20ac"}}', "no header may hold"),
    (b'{"cookies": "a=1"}', "cookies is"),
    (b'{"cookies": [1]}', "the value of cookies"),
    (b'{"multiValueHeaders": []}', "multiValueHeaders is"),
    (b'{"multiValueHeaders": {"a": "b"}}', "a is 'b', not a list"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_PRELUDES)
def test_a_bad_prelude_names_what_is_wrong(text: bytes, reason: str) -> None:
    with pytest.raises(BadOutput, match=reason):
        streamed(text + NULS)


@pytest.mark.parametrize(
    ("data", "gateway", "reason"),
    [
        (b"{}" + b"\0" * 7 + b"x", False, "8 NULs was expected"),
        (b"{}" + b"\0" * 7, False, "ended before"),
        (b"{}", False, "ended before"),
        (b" " * 16377 + b"{}" + NULS, True, "within the first 16384"),
        (b" " * 16385, True, "within the first 16384"),
        (b" " * (1 << 20) + b"{}", False, "within the first 1048576"),
        (b'{"body": ""}' + NULS, True, "'body' is not one of"),
    ],
)
def test_a_delimiter_is_wanted_in_time(data: bytes, gateway: bool, reason: str) -> None:
    with pytest.raises(BadOutput, match=reason):
        streamed(data, gateway=gateway)


def test_a_prelude_just_short_enough() -> None:
    assert streamed(b" " * 16374 + b"{}" + NULS, gateway=True) == (Answer(200, ()), b"")


def test_what_a_url_ignores_is_noted() -> None:
    answer, _ = streamed(b'{"multiValueHeaders": {"a": ["b"]}, "body": ""}' + NULS)
    assert answer.headers == ()
    assert len(answer.notes) == 2


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_url_takes_zlib_s_codings_off(compress: Callable[[bytes], bytes]) -> None:
    coding = "gzip" if compress is gzip.compress else "deflate"
    prelude = json.dumps({"headers": {"Content-Encoding": coding, "a": "b"}}).encode() + NULS
    answer, body = streamed(prelude + compress(b"text" * 1000), size=11)
    assert (answer.headers, body) == ((("a", "b"),), b"text" * 1000)
    with pytest.raises(BadOutput, match="within its compressed body"):
        streamed(prelude + compress(b"text")[:-1])
    with pytest.raises(BadOutput, match="not what its content-encoding says"):
        streamed(prelude + b"not compressed")


@pytest.mark.parametrize(("coding", "gateway", "notes"), [("br", False, 1), ("gzip", True, 0), ("identity", False, 0)])
def test_other_codings_pass(coding: str, gateway: bool, notes: int) -> None:
    prelude = json.dumps({"headers": {"content-encoding": coding}}).encode() + NULS
    answer, body = streamed(prelude + b"coded", gateway=gateway)
    assert (answer.get("content-encoding"), body, len(answer.notes)) == (coding, b"coded", notes)


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        ({"statusCode": 404, "body": "text"}, 404, b"text"),
        ({"statusCode": 200, "body": "AAE=", "isBase64Encoded": True}, 200, b"\x00\x01"),
        ({"statusCode": 204}, 204, b""),
        ({"body": "not a response"}, 200, b'{"body":"not a response"}'),
        ("text", 200, b"text"),
        ([1, 2], 200, b"[1,2]"),
        (None, 200, b"null"),
    ],
)
def test_buffered_results_of_a_url(result: Any, status: int, body: bytes) -> None:
    answer, default_type, received = output.url_result(json.dumps(result).encode())
    assert (answer.status, default_type, received) == (status, "application/json", body)


@pytest.mark.parametrize(
    ("interpret", "data", "reason"),
    [
        (output.url_result, b"{", "is not JSON"),
        (output.url_result, b'{"statusCode": 200, "body": {}}', "the body is a dict"),
        (output.url_result, b'{"statusCode": 200, "body": "a", "isBase64Encoded": true}', "is not the Base64"),
        (output.rest_result, b"[]", "not an object with a statusCode"),
        (output.rest_result, b"{}", "not an object with a statusCode"),
        (output.rest_result, b'{"statusCode": 200, "cookies": []}', "'cookies' is not one of"),
        (output.head_alone, b"{}", "before the delimiter"),
    ],
)
def test_bad_buffered_results(interpret: Callable[[bytes], object], data: bytes, reason: str) -> None:
    with pytest.raises(BadOutput, match=reason):
        interpret(data)


def test_a_rest_result() -> None:
    result = {"statusCode": 200, "headers": {"a": "b"}, "multiValueHeaders": {"c": ["d", "e"]}, "body": "f"}
    answer, _, body = output.rest_result(json.dumps(result).encode())
    assert (answer.headers, body) == ((("a", "b"), ("c", "d"), ("c", "e")), b"f")


def test_headers_that_the_platform_keeps_for_itself() -> None:
    sent = [("Date", "d"), ("Server", "s"), ("Upgrade", "u"), ("TE", "t"), ("Keep-Alive", "k"), ("A", "b")]
    assert headers.for_caller(Answer(200, tuple(sent)), FunctionUrl.renamed, default_type="x/y") == [
        ("x-amzn-Remapped-Date", "d"),
        ("x-amzn-Remapped-Server", "s"),
        ("A", "b"),
        ("Content-Type", "x/y"),
    ]
    assert headers.for_caller(Answer(204, ()), set(), default_type="x/y") == []
    typed = (("content-type", "a/b"), ("date", "d"), ("www-authenticate", "Bearer"))
    assert headers.for_caller(Answer(200, typed), set(), default_type="x/y") == [typed[0], typed[2]]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"errorType": "T", "errorMessage": "m"}', "T: m"),
        (b'{"errorMessage": "m"}', "Error: m"),
        (b"[]", "b'[]'"),
        (b"no JSON", "b'no JSON'"),
    ],
)
def test_an_error_in_one_line(body: bytes, shown: str) -> None:
    assert message(body) == shown


def request(target: str, *fields: tuple[str, str], body: bytes = b"", method: str = "GET") -> Request:
    head = Head(method, target, "1.1", (("Host", "localhost:3000"), *fields))
    return Request(head, body, "127.0.0.1", "id-1", "1-2-3", 1_700_000_000.5)


def test_a_url_event() -> None:
    event = url_event(
        request(
            "/a%2Fb/%C3%A4?x=1&x=2&empty=&s=a%20b",
            ("Accept", "a"),
            ("ACCEPT", "b"),
            ("Cookie", "a=1; b=2"),
            ("cookie", "c=3"),
            ("Connection", "keep-alive"),
            ("User-Agent", "me"),
        )
    )
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a%2Fb/%C3%A4")
    assert event["rawQueryString"] == "x=1&x=2&empty=&s=a%20b"
    assert event["queryStringParameters"] == {"x": "1,2", "empty": "", "s": "a b"}
    assert event["cookies"] == ["a=1", "b=2", "c=3"]
    assert event["headers"] == {
        "host": "localhost:3000",
        "accept": "a,b",
        "user-agent": "me",
        "x-amzn-trace-id": "Root=1-2-3",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": "3000",
        "x-forwarded-proto": "http",
    }
    context = event["requestContext"]
    assert (context["stage"], context["requestId"], context["timeEpoch"]) == ("$default", "id-1", 1_700_000_000_500)
    assert context["time"] == "14/Nov/2023:22:13:20 +0000"
    assert context["http"]["path"] == "/a/b/ä"
    assert "body" not in event
    assert event["isBase64Encoded"] is False


@pytest.mark.parametrize(
    ("content_type", "body", "text", "encoded"),
    [
        ("application/json; charset=utf-8", b'{"\xc3\xa4": 1}', '{"ä": 1}', False),
        ("text/plain", b"\xff", "/w==", True),
        ("application/problem+json", b"{}", "{}", False),
        ("application/x-www-form-urlencoded", b"a=b", "YT1i", True),
        ("image/png", b"a", "YQ==", True),
        ("", b"a", "YQ==", True),
    ],
)
def test_bodies_in_events(content_type: str, body: bytes, text: str, encoded: bool) -> None:
    sent = request("/", ("Content-Type", content_type), body=body, method="POST")
    for event in (url_event(sent), rest_event(sent, "live")):
        assert (event["body"], event["isBase64Encoded"]) == (text, encoded)


def test_a_rest_event() -> None:
    event = rest_event(request("/live/a%20b/c?x=1&x=%26", ("Accept", "a"), ("accept", "b"), ("Accept", "c")), "live")
    assert (event["resource"], event["path"], event["pathParameters"]) == (
        "/{proxy+}",
        "/a%20b/c",
        {"proxy": "a%20b/c"},
    )
    assert event["requestContext"]["path"] == "/live/a%20b/c"
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "&"]}
    assert event["queryStringParameters"] == {"x": "&"}
    assert event["multiValueHeaders"]["Accept"] == ["a", "c"]
    assert event["headers"]["accept"] == "b"
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


def test_a_rest_event_of_the_root() -> None:
    event = rest_event(request("/live"), "live")
    assert (event["resource"], event["path"], event["pathParameters"]) == ("/", "/", None)
    assert event["queryStringParameters"] is event["multiValueQueryStringParameters"] is None


def test_a_line_says_all_of_an_invocation() -> None:
    record = Invocation("id", "GET", "/a", environment=2, start="cold", status=200, first_byte=0.0123, duration=0.0501)
    record.init, record.frames, record.body_bytes = 0.2, 3, 44
    assert line(record) == (
        "GET /a 200, first byte 12.3 ms, 3 frames, 44 bytes, duration 50.1 ms, billed 251 ms, environment 2, "
        "cold start 200 ms"
    )
    record.init, record.restore, record.start, record.aborted = None, 0.01, "restore", True
    assert "200 cut off, " in line(record)
    assert line(record).endswith("restore start 10 ms")
    record.aborted, record.client_gone, record.first_byte = False, True, None
    assert "200 caller gone, first byte -, " in line(record)


def test_a_mismatch_is_red_where_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    record = Invocation("id", "GET", "/", status=200, notes=["MODE MISMATCH: so", "a note"], error_type="T", error="e")
    Report(lines.append, trace=False).done(record)
    assert lines[1:] == ["\x1b[31m  T: e\x1b[0m", "\x1b[31m  MODE MISMATCH: so\x1b[0m", "  a note"]
