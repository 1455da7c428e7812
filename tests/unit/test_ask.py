"""The search request's fields: what is taken, what is refused, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Message

from citestream.answer.history import Turn
from citestream.http.ask import BODY_LIMIT, Ask, checked, fields_of_body, fields_of_query
from citestream.http.problems import InvalidFields, Problem


def post(body: bytes, content_type: str | None = "application/json", *, length: str | None = None) -> Request:
    headers = [(b"content-type", content_type.encode())] if content_type is not None else []
    if length is not None:
        headers.append((b"content-length", length.encode()))
    chunks = [body[i : i + 10_000] for i in range(0, len(body), 10_000)] or [b""]
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False

    async def receive() -> Message:
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": headers, "path": "/"}, receive)


async def ask_from_body(request: Request) -> Ask:
    return checked(await fields_of_body(request))


def ask_from_query(parameters: QueryParams) -> Ask:
    return checked(fields_of_query(parameters))


async def test_a_whole_request() -> None:
    body = b'{"query": " What? ", "kb_ids": ["a", "b"], "top_k": 20, "include": ["results"]}'
    expected = Ask(query="What?", kb_ids=["a", "b"], top_k=20, include=["results"])
    assert await ask_from_body(post(body)) == expected
    assert ask_from_query(QueryParams("query= What? &kb_ids=a,b&top_k=20&include=results")) == expected


@pytest.mark.parametrize(
    "body", [b'{"query":"x"}', b'{"query":"x","kb_ids":null,"top_k":null,"include":null,"history":null}']
)
async def test_all_but_the_query_is_optional(body: bytes) -> None:
    assert await ask_from_body(post(body)) == Ask(query="x")


def turn(role: str = "user", content: str = "How long?") -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize("count", [0, 1, 11, 500])
def test_a_history_may_be_a_whole_conversation(count: int) -> None:
    history = [turn("assistant" if at % 2 else "user", f" {at}\n") for at in range(count)]
    expected = tuple(Turn("assistant" if at % 2 else "user", f"{at}") for at in range(count))
    assert checked({"query": "x", "history": history}).turns() == expected


@pytest.mark.parametrize(
    ("history", "field"),
    [
        (turn(), "history"),
        ("How long?", "history"),
        (["How long?"], "history.0"),
        ([turn(), turn("system")], "history.1.role"),
        ([turn("User")], "history.0.role"),
        ([{"role": "user"}], "history.0.content"),
        ([{"content": "x"}], "history.0.role"),
        ([turn() | {"name": "Ada"}], "history.0.name"),
        ([turn() | {"content": None}], "history.0.content"),
        ([turn() | {"content": [{"type": "text", "text": "x"}]}], "history.0.content"),
        ([turn(content="")], "history.0.content"),
        ([turn(content=" \n ")], "history.0.content"),
        ([turn(content="x" * 16_001)], "history.0.content"),
    ],
)
def test_a_history_that_breaks_a_rule_is_named(history: object, field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        checked({"query": "x", "history": history})
    assert [error["field"] for error in caught.value.extra["errors"]] == [field]


@pytest.mark.parametrize("name", ["history", "kb_ids", "include"])
def test_of_thousands_of_bad_items_the_first_is_named(name: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        checked({"query": "x", name: [1] * 30_000})
    assert [error["field"] for error in caught.value.extra["errors"]] == [f"{name}.0"]


def test_what_should_be_an_object_is_told_so() -> None:
    with pytest.raises(InvalidFields, match=r"^history\.0: Input should be an object$"):
        checked({"query": "x", "history": ["How long?"]})


@pytest.mark.parametrize("value", ["[]", '[{"role":"user","content":"x"}]', "", "x&history=y"])
def test_a_query_string_takes_no_history(value: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        ask_from_query(QueryParams(f"query=x&history={value}"))
    assert {error["field"].partition(".")[0] for error in caught.value.extra["errors"]} == {"history"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"kb_ids": None, "top_k": None, "include": None, "history": None}, True),
        ({}, {"history": []}, True),
        ({}, {"history": [turn()]}, False),
        ({"history": [turn()]}, {"history": [turn(content=" How long? ")]}, True),
        ({"history": [turn()]}, {"history": [turn("assistant")]}, False),
        ({"history": [turn()]}, {"history": [turn(), turn()]}, False),
        ({"history": [turn(), turn(content="x")]}, {"history": [turn(content="x"), turn()]}, False),
        ({}, {"top_k": 8}, False),
    ],
)
def test_what_is_the_same_request(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    given = [checked({"query": "x"} | fields).canonical() for fields in (one, other)]
    assert (given[0] == given[1]) is same


def test_a_request_that_uses_no_later_field_is_the_same_to_later_versions() -> None:
    assert checked({"query": "x", "top_k": 3}).canonical() == '{"query":"x","top_k":3}'


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"]
)
async def test_content_types_that_are_json(content_type: str) -> None:
    assert (await ask_from_body(post(b'{"query":"x"}', content_type))).query == "x"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_other_content_types(content_type: str | None) -> None:
    with pytest.raises(Problem) as caught:
        await ask_from_body(post(b'{"query":"x"}', content_type))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"query=x",
        b'{"query": NaN}',
        b'{"query": "\xff"}',
        b"[" * 60_000,
        b'{"query": "\\ud800"}',
        b'{"query": "x"} trailing',
        "\ufeff".encode("utf-16-le"),
    ],
)
async def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await ask_from_body(post(body))
    assert caught.value.status == 400


@pytest.mark.parametrize("length", [None, "70000", "not a number"])
async def test_a_body_over_the_limit_whatever_it_says_of_itself(length: str | None) -> None:
    with pytest.raises(Problem) as caught:
        await ask_from_body(post(b"x" * (BODY_LIMIT + 1), "text/plain", length=length))
    assert caught.value.status == 413


async def test_a_body_at_the_limit_is_read() -> None:
    body = b'{"query":"x"}'
    assert (await ask_from_body(post(body + b" " * (BODY_LIMIT - len(body))))).query == "x"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("[]", "body"),
        ('"query"', "body"),
        ("{}", "query"),
        ('{"query": ""}', "query"),
        ('{"query": " \\n\\t "}', "query"),
        ('{"query": 5}', "query"),
        ('{"query": null}', "query"),
        ('{"query": "%s"}' % ("x" * 2001), "query"),
        ('{"query": "x", "kb_ids": []}', "kb_ids"),
        ('{"query": "x", "kb_ids": "a"}', "kb_ids"),
        ('{"query": "x", "kb_ids": [1]}', "kb_ids.0"),
        ('{"query": "x", "top_k": 0}', "top_k"),
        ('{"query": "x", "top_k": 21}', "top_k"),
        ('{"query": "x", "top_k": "8"}', "top_k"),
        ('{"query": "x", "top_k": true}', "top_k"),
        ('{"query": "x", "top_k": 1.5}', "top_k"),
        ('{"query": "x", "include": ["everything"]}', "include.0"),
        ('{"query": "x", "stream": true}', "stream"),
    ],
)
async def test_fields_that_break_a_rule_are_named(body: str, field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        await ask_from_body(post(body.encode()))
    assert caught.value.status == 422
    assert [error["field"] for error in caught.value.extra["errors"]] == [field]
    assert all(error["message"] for error in caught.value.extra["errors"])


async def test_every_bad_field_is_named() -> None:
    with pytest.raises(InvalidFields) as caught:
        await ask_from_body(post(b'{"top_k": 99, "kb_ids": [], "extra": 1}'))
    assert {error["field"] for error in caught.value.extra["errors"]} == {"query", "top_k", "kb_ids", "extra"}


async def test_the_length_is_counted_after_trimming_and_in_code_points() -> None:
    body = '{"query": "  %s  "}' % ("😀" * 2000)
    assert len((await ask_from_body(post(body.encode()))).query) == 2000


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"),
        ("query=x&kb_ids=", "kb_ids"),
        ("query=x&top_k=eight", "top_k"),
        ("query=x&top_k=8.0", "top_k"),
        ("query=x&top_k=-1", "top_k"),
        ("query=x&top_k=99999999999999999999", "top_k"),
        ("query=x&include=all", "include.0"),
        ("query=x&callback=y", "callback"),
        ("query=x&query=y", "query"),
        ("query=x&top_k=8&top_k=8", "top_k"),
        ("query=x&top_k=٨", "top_k"),
    ],
)
def test_query_parameters_that_break_a_rule_are_named(query: str, field: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        ask_from_query(QueryParams(query))
    assert [error["field"] for error in caught.value.extra["errors"]] == [field]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("query=x&kb_ids=a&kb_ids=b,c", Ask(query="x", kb_ids=["a", "b", "c"])),
        ("query=x&last_event_id=s-1", Ask(query="x")),
        ("query=x&lastEventId=s-1", Ask(query="x")),
    ],
)
def test_query_parameters(query: str, expected: Any) -> None:
    assert ask_from_query(QueryParams(query)) == expected


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(InvalidFields, match="valid string"):
        ask_from_query(QueryParams([("query", "\ud800")]))
