"""Accept decides between a stream and JSON (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from citestream.http.negotiation import MediaRange, parse_accept, require_stream, wants_stream
from citestream.http.problems import Problem


def headers(*accept: str) -> Headers:
    return Headers(raw=[(b"accept", each.encode()) for each in accept])


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "TEXT/Event-Stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream, */*",
        "text/event-stream, application/json",
        "application/json, text/event-stream",
        "text/event-stream;q=0.5, application/json;q=0.5",
        "text/event-stream; q=0.5, application/json; q=0.4",
        "text/event-stream;q=0.2, application/*;q=0.1",
        "text/event-stream;q=0.5, text/html",
        "text/event-stream;q=0.001",
        "text/event-stream, application/json;q=0",
        "application/json;q=0.3, */*;q=0.9, text/event-stream;q=0.3",
        'text/html;a="b, application/json;q=1", text/event-stream;q=0.9',
        "text/event-stream;Q=0.9, application/json;q=0.8",
        "text/event-stream ; q=1.000",
    ],
)
def test_a_stream_is_named_and_not_liked_less_than_json(accept: str) -> None:
    assert wants_stream(headers(accept))


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "application/json",
        "application/*",
        "*/*",
        "text/html, */*;q=0.1",
        "text/event-stream;q=0.5, */*",
        "text/event-stream;q=0.5, application/json",
        "text/event-stream;q=0, */*",
        "text/event-stream;q=0.9, application/json;q=1.0",
        "text/*, application/json;q=0.1",
        "application/json;charset=utf-8",
        ",",
    ],
)
def test_otherwise_json(accept: str) -> None:
    assert not wants_stream(headers(accept))


def test_without_accept_json() -> None:
    assert not wants_stream(headers())


def test_several_accept_headers_are_one_list() -> None:
    assert wants_stream(headers("application/json;q=0.1", "text/event-stream"))


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "text/*",
        "application/json;q=0",
        "application/json;q=0, */*",
        "text/event-stream;q=0",
        "text/event-stream;q=0, application/json;q=0",
        "*/*;q=0",
        "application/xml, image/*",
        "garbage",
        "text/event-stream;q=1.5",
        "application/json;q=high",
    ],
)
def test_neither_acceptable(accept: str) -> None:
    with pytest.raises(Problem) as caught:
        wants_stream(headers(accept))
    assert caught.value.status == 406
    assert caught.value.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["", "*/*", "text/*", "text/event-stream", "text/html, */*;q=0.1"])
def test_a_replay_takes_wildcards(accept: str) -> None:
    require_stream(headers(accept))


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream;q=0, */*", "text/html"])
def test_a_replay_is_a_stream_or_nothing(accept: str) -> None:
    with pytest.raises(Problem, match="event-stream"):
        require_stream(headers(accept))


def test_elements_that_break_the_grammar_are_left_out() -> None:
    assert parse_accept('a/b;q=0.5, , nonsense, c/d;q=2, e/f;x="un, closed') == [MediaRange("a", "b", 0.5)]


@pytest.mark.parametrize(
    "hostile", ['"\\' * 30_000, "a/b;" + " " * 60_000 + "x", "a/b" + " ;" * 30_000, ",".join(["image/*"] * 9_000)]
)
def test_a_hostile_header_is_read_in_bounded_time(hostile: str) -> None:
    with pytest.raises(Problem, match="Accept"):
        wants_stream(headers(hostile))
