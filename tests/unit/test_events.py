"""The events of ``events/``: as AWS sends them, and understood."""

from __future__ import annotations

import json
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from asgi_lambda.request import UnsupportedEvent, http_request
from citestream.ingest.s3_events import changed, messages
from citestream.settings import load_settings

EVENTS = Path(__file__).parents[2] / "events"
HTTP = {
    "base64-body": ("POST", "application/json", "2.0"),
    "function-url-json": ("POST", "application/json", "2.0"),
    "function-url-stream": ("POST", "text/event-stream", "2.0"),
    "http-api": ("GET", "application/json", "2.0"),
    "rest-api-v1": ("POST", "text/event-stream", "1.0"),
}
OTHERS = ("sqs-s3-event", "sqs-s3-delete")


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def load(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text("utf-8"))


def test_every_event_has_its_test() -> None:
    assert {path.stem for path in EVENTS.iterdir()} == {*HTTP, *OTHERS, "warm-up", "local"}


@pytest.mark.parametrize("name", HTTP)
def test_an_http_event_is_a_search(name: str) -> None:
    method, accept, version = HTTP[name]
    request = http_request(load(name), Context(), 1.5)
    headers = dict(request.scope["headers"])
    assert (request.scope["method"], headers[b"accept"].decode(), request.version) == (method, accept, version)
    assert request.scope["path"].endswith("/api/v1/search")
    asked = json.loads(request.body) if request.body else dict(parse_qsl(request.scope["query_string"].decode()))
    assert asked["query"].endswith("?")


@pytest.mark.parametrize("name", HTTP)
def test_an_http_event_agrees_with_itself(name: str) -> None:
    event = load(name)
    context, headers = event["requestContext"], {key.lower(): value for key, value in event["headers"].items()}
    assert headers["host"] == context["domainName"] == f"{context['apiId']}.{context['domainName'].split('.', 1)[1]}"
    if "content-length" in headers:
        assert int(headers["content-length"]) == len(http_request(event, Context(), 1.5).body)
    if event.get("version") == "2.0":
        assert event["rawPath"] == context["http"]["path"]
        assert dict(parse_qsl(event["rawQueryString"])) == event.get("queryStringParameters", {})
    else:
        assert context["path"] == f"/{context['stage']}{event['path']}"
        assert {key: [value] for key, value in event["headers"].items()} == event["multiValueHeaders"]


def test_a_base64_body_is_decoded() -> None:
    event = load("base64-body")
    assert event["isBase64Encoded"]
    assert "lost – or" in json.loads(http_request(event, Context(), 1.5).body)["query"]


def test_cookies_are_one_header() -> None:
    headers = http_request(load("function-url-json"), Context(), 1.5).scope["headers"]
    assert [value for name, value in headers if name == b"cookie"] == [b"theme=dark; consent=essential"]


def test_the_stage_of_a_rest_api_is_the_root_path() -> None:
    scope = http_request(load("rest-api-v1"), Context(), 1.5).scope
    assert (scope["root_path"], scope["path"]) == ("/live", "/live/api/v1/search")


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_http_request_is_told_from_one(name: str) -> None:
    with pytest.raises(UnsupportedEvent):
        http_request(load(name), Context(), 1.5)


@pytest.mark.parametrize("name", OTHERS)
def test_what_s3_tells_by_its_queue_names_the_object(name: str) -> None:
    (message,) = messages(load(name))
    assert changed(message) == [("example-documents", "handbook/travel policy (2026).md")]
    assert load(name)["Records"][0]["md5OfBody"] == md5(message.body.encode(), usedforsecurity=False).hexdigest()


def test_a_schedule_warms_up_by_a_request_that_anybody_may_send() -> None:
    scope = http_request(load("warm-up"), Context(), 1.5).scope
    assert (scope["method"], scope["path"], scope["root_path"]) == ("GET", "/healthz", "")


@pytest.mark.parametrize("name", [*HTTP, *OTHERS, "warm-up"])
def test_accounts_and_names_are_made_up(name: str) -> None:
    event = load(name)
    accounts = {event.get("account"), event.get("requestContext", {}).get("accountId")} - {None}
    assert accounts <= {"123456789012", "anonymous"}
    assert "example" in json.dumps(event).casefold()


def test_local_settings_are_those_of_a_laptop() -> None:
    settings = load_settings(load("local")["Parameters"])
    assert (settings.auth, settings.model, settings.samples) == ("none", "extractive", True)
    assert settings.data == Path("/tmp/citestream")  # noqa: S108  the one folder that a function may write to
    assert (settings.table, settings.embedding_model) == ("", "")
