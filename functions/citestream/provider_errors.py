"""What the errors of LiteLLM's mean to users: plain words, and whether to ask again, when, or another model."""

from __future__ import annotations

import email.utils
import logging
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

_log = logging.getLogger("citestream")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider gave nothing, for the user: no internals, no addresses, no keys.

    ``elsewhere`` says whether another model may do better, ``retry_after`` in how many seconds the same one will.
    """

    message: str
    retryable: bool
    elsewhere: bool = True
    retry_after: float = inf


_NOT_SET_UP = Refusal("The model is not set up on this server: a key or a package is missing.", False)
_REJECTED = Refusal("The model's provider rejected the request.", False)
_FAILED = Refusal("The model's provider failed. Try again in a moment.", True)
_BY_NAME = {
    "ContextWindowExceededError": Refusal("The question and its sources are too long for the model.", False),
    "ContentPolicyViolationError": Refusal("The model's content rules forbid an answer.", False, elsewhere=False),
    "ImportError": _NOT_SET_UP,
}
_BY_STATUS = {
    401: Refusal("The model's provider did not accept this server's credentials.", False),
    402: Refusal("The model's provider asks for payment.", False),
    403: Refusal("The model's provider does not let this server use the model.", False),
    404: Refusal("The configured model does not exist.", False),
    408: Refusal("The model's provider took too long to respond.", True),
    424: _FAILED,  # so Bedrock says that the model itself failed
    429: Refusal("The model is busy. Try again in a moment.", True),
}
# LiteLLM tells these as it tells what a provider says: by statuses 400, 401 and 500.
_MISSING = re.compile(
    r"No module named|import failed|Missing (?:credentials|.{0,20}API key)|_API_KEY is not set"
    r"|Unable to locate credentials",
    re.IGNORECASE,
)


def refusal(error: Exception, model: str) -> Refusal:
    """What an exception of LiteLLM's means to the user. What it kept open is closed by then.

    Only its kind goes to the log, since its text may echo a part of a key.
    """
    cause = getattr(error, "original_exception", None) or error
    status = getattr(error, "status_code", None)
    found = _refusal(cause, status if isinstance(status, int) else 500)
    _log.warning("%s: %s (%s, status %s)", model, found.message, type(cause).__name__, status)
    if found.retryable:
        found = replace(found, retry_after=_retry_after(error))
    _let_go(error)
    return found


def _refusal(error: Exception, status: int) -> Refusal:
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_NAME:
            return _BY_NAME[kind.__name__]
    if _MISSING.search(str(error)):
        return _NOT_SET_UP
    return _BY_STATUS.get(status, _REJECTED) if 400 <= status < 500 else _FAILED


def _retry_after(error: Exception) -> float:
    """The seconds that the provider asks to wait (RFC 9110, section 10.2.3); infinite where it does not say."""
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    value = str(headers.get("retry-after", ""))
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return inf


def _let_go(error: BaseException) -> None:
    """Drop what the frames that it went through hold: LiteLLM's decoders leave responses open when they fail.

    Without this, a connection to the provider stays open until the garbage collector comes by.
    """
    for each in _chain(error, set()):
        traceback.clear_frames(each.__traceback__)


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        for further in (error.__cause__, error.__context__, getattr(error, "original_exception", None)):
            yield from _chain(further, seen)
