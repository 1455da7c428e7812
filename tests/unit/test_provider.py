"""What a provider's failure means to the user; which pieces of its log line are safe."""

from __future__ import annotations

import logging

import pytest

from citestream import provider


class ProviderError(Exception):
    def __init__(self, status_code: object, message: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code


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
    ],
)
def test_each_kind_of_failure_has_its_words(error: Exception, message: str, retryable: bool) -> None:
    found = provider.refusal(error)
    assert message in found.message
    assert found.retryable is retryable


def test_the_log_names_the_kind_and_never_the_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        provider.refusal(Wrapped(401, ProviderError(401, "Incorrect API key provided: sk-ab12")))
    assert "(ProviderError, status 401)" in caplog.text
    assert "sk-ab12" not in caplog.text
