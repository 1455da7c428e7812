"""What a provider's failure means to the user, what may be tried then, and which pieces of its log line are safe."""

from __future__ import annotations

import email.utils
import logging
import time
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from citestream import provider_errors

MODEL = "openai/m"


class ProviderError(Exception):
    def __init__(self, status_code: object, message: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response: Any = None
        self.litellm_response_headers: dict[str, str] | None = None


class ContextWindowExceededError(ProviderError):
    pass


class Wrapped(ProviderError):
    def __init__(self, status_code: object, original_exception: Exception) -> None:
        super().__init__(status_code)
        self.original_exception = original_exception


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        (ProviderError(400), "rejected the request", False),
        (ProviderError(401), "credentials", False),
        (ProviderError(402), "payment", False),
        (ProviderError(403), "does not let", False),
        (ProviderError(404), "does not exist", False),
        (ProviderError(408), "too long to respond", True),
        (ProviderError(422), "rejected the request", False),
        (ProviderError(424), "failed", True),
        (ProviderError(429), "busy", True),
        (ProviderError(500), "failed", True),
        (ProviderError(503), "failed", True),
        (ProviderError(None), "failed", True),
        (ProviderError("429"), "failed", True),
        (ValueError("Expecting value: line 1"), "failed", True),
        (ContextWindowExceededError(400), "too long for the model", False),
        (Wrapped(503, ContextWindowExceededError(400)), "too long for the model", False),
        (ModuleNotFoundError("No module named 'litellm'"), "not set up", False),
        (ProviderError(500, "No module named 'google'"), "not set up", False),
        (ProviderError(500, "Missing credentials. Please pass an `api_key`"), "not set up", False),
        (ProviderError(500, "Missing Gemini API key."), "not set up", False),
        (ProviderError(401, "Missing Anthropic API Key - A call is being made"), "not set up", False),
        (ProviderError(500, "FIREWORKS_API_KEY is not set"), "not set up", False),
        (ProviderError(401, "Invalid Authentication - Unable to locate credentials"), "not set up", False),
        (ProviderError(400, "vertexai import failed please run `pip install x`"), "not set up", False),
    ],
)
def test_each_kind_of_failure_has_its_words(error: Exception, message: str, retryable: bool) -> None:
    found = provider_errors.refusal(error, MODEL)
    assert message in found.message
    assert found.retryable is retryable


class ContentPolicyViolationError(ProviderError):
    pass


@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [
        (ProviderError(401), True),
        (ProviderError(500), True),
        (ProviderError(400), True),
        (ContextWindowExceededError(400), True),
        (ContentPolicyViolationError(400), False),
    ],
)
def test_another_model_may_help_unless_the_content_is_forbidden(error: Exception, elsewhere: bool) -> None:
    assert provider_errors.refusal(error, MODEL).elsewhere is elsewhere


@pytest.mark.parametrize(
    ("status", "value", "least", "most"),
    [
        (429, "2", 2, 2),
        (429, "0.5", 0.5, 0.5),
        (503, "-1", 0, 0),
        (429, "Fri, 01 Jan 2021 00:00:00 GMT", 0, 0),
        (429, "soon", inf, inf),
        (429, "", inf, inf),
        (403, "2", inf, inf),
    ],
)
def test_when_to_ask_again_is_what_the_provider_says(status: int, value: str, least: float, most: float) -> None:
    error = ProviderError(status)
    error.response = SimpleNamespace(headers={"retry-after": value})
    assert least <= provider_errors.refusal(error, MODEL).retry_after <= most
    error = ProviderError(status)
    error.litellm_response_headers = {"retry-after": value}
    assert least <= provider_errors.refusal(error, MODEL).retry_after <= most


class Connection:
    closed = False

    def __del__(self) -> None:
        Connection.closed = True


def test_what_the_failed_code_had_open_is_let_go() -> None:
    def read() -> None:
        connection = Connection()
        try:
            raise ValueError(f"{connection} is broken")
        except ValueError as error:
            raise ProviderError(500) from error

    try:
        read()
    except ProviderError as error:
        provider_errors.refusal(error, MODEL)
        assert Connection.closed


def test_the_log_names_the_kind_and_never_the_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        provider_errors.refusal(Wrapped(401, ProviderError(401, "Incorrect API key provided: sk-ab12")), MODEL)
    assert caplog.messages[0].startswith("openai/m: ")
    assert "(ProviderError, status 401)" in caplog.text
    assert "sk-ab12" not in caplog.text


def test_a_time_to_ask_again_is_so_far_from_now() -> None:
    error = ProviderError(429)
    then = email.utils.formatdate(time.time() + 7200, usegmt=True)
    error.response = SimpleNamespace(headers={"retry-after": then})
    assert 7100 <= provider_errors.refusal(error, MODEL).retry_after <= 7200
