"""LiteLLM, the door to the model providers: imported late and once, kept quiet, its errors told in plain words.

Its import takes seconds, so that nothing on the way to a first byte may wait for it, and an installation that asks
no model does not need it.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import logging
import os
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_log = logging.getLogger("citestream")

MISSING = "CITESTREAM_MODEL is set but litellm is not installed: pip install 'citestream[llm]'"

# Read by LiteLLM as it is imported.
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download of prices …
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # … and of header names: what it carries will do
    "LITELLM_MODE": "PRODUCTION",  # does not load a .env file that happens to lie around
}
_ATTRIBUTES = {
    "telemetry": False,
    "suppress_debug_info": True,  # prints no advice on standard output
    "drop_params": True,  # a model that knows no temperature is asked without it
    "disable_token_counter": True,  # usage is what the provider says; no tokenizer is loaded or downloaded to guess it
    "disable_aiohttp_transport": True,  # one HTTP stack, httpx: it closes a stream at once, and is ours anyway
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider gave nothing, for the user: no internals, no addresses, no keys."""

    message: str
    retryable: bool


_NOT_SET_UP = Refusal("The model is not set up on this server: a key or a package is missing.", False)
_REJECTED = Refusal("The model's provider rejected the request.", False)
_FAILED = Refusal("The model's provider failed. Try again in a moment.", True)
_BY_NAME = {
    "ContextWindowExceededError": Refusal("The question and its sources are too long for the model.", False),
    "ContentPolicyViolationError": Refusal("The model's content rules forbid an answer.", False),
    "ImportError": _NOT_SET_UP,
}
_BY_STATUS = {
    401: Refusal("The model's provider did not accept this server's credentials.", False),
    402: Refusal("The model's provider asks for payment.", False),
    403: Refusal("The model's provider does not let this server use the model.", False),
    404: Refusal("The configured model does not exist.", False),
    408: Refusal("The model's provider took too long to respond.", True),
    429: Refusal("The model is busy. Try again in a moment.", True),
}
# LiteLLM tells these as it tells a provider's own failures: by status 500.
_MISSING = re.compile(r"No module named|Missing (?:credentials|.{0,20}API key)", re.IGNORECASE)


def refusal(error: Exception) -> Refusal:
    """What an exception of LiteLLM's means to the user.

    Only its kind goes to the log, since its text may echo a part of a key.
    """
    cause = getattr(error, "original_exception", None) or error
    status = getattr(error, "status_code", None)
    found = _refusal(cause, status if isinstance(status, int) else 500)
    _log.warning("%s (%s, status %s)", found.message, type(cause).__name__, status)
    return found


def _refusal(error: Exception, status: int) -> Refusal:
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_NAME:
            return _BY_NAME[kind.__name__]
    if 400 <= status < 500:
        return _BY_STATUS.get(status, _REJECTED)
    return _NOT_SET_UP if _MISSING.search(str(error)) else _FAILED


async def library() -> ModuleType:
    """LiteLLM, when it is imported. Raises ``ImportError``."""
    return await asyncio.wrap_future(_importing())


def preload(model: str) -> threading.Thread:
    """Begin to import LiteLLM, and what a first request to the model would import, in the thread that is returned.

    Raises ``ModuleNotFoundError`` where LiteLLM is not installed.
    """
    if importlib.util.find_spec("litellm") is None:
        raise ModuleNotFoundError(MISSING)
    thread = threading.Thread(target=_warm_up, args=(model,), name="litellm-warm-up")
    thread.start()
    return thread


async def close() -> None:
    """Close the connections that are kept open for further requests. For the end of the process: it closes all."""
    if _importing.cache_info().currsize and _importing().done() and not _importing().exception():
        litellm = await library()
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()


@functools.cache
def _importing() -> Future[ModuleType]:
    importing: Future[ModuleType] = Future()
    importing.set_running_or_notify_cancel()  # who stops waiting for it does not cancel it for the others
    threading.Thread(target=_import, args=(importing,), name="litellm-import").start()
    return importing


def _import(importing: Future[ModuleType]) -> None:
    try:
        os.environ.update(_ENVIRONMENT)
        litellm = importlib.import_module("litellm")
        for name, value in _ATTRIBUTES.items():
            setattr(litellm, name, value)
        logging.getLogger("LiteLLM").setLevel(logging.WARNING)  # has a handler of its own, on standard error
    except BaseException as error:
        importing.set_exception(error)  # raised where it is waited for
    else:
        importing.set_result(litellm)


def _warm_up(model: str) -> None:
    try:
        litellm = _importing().result()
        asyncio.run(_rehearse(litellm, model))
    except Exception as error:  # answers fail by it, too, and tell the user; this tells who starts the server
        _log.error("CITESTREAM_MODEL=%s can't be used: %s", model, type(error).__name__)


async def _rehearse(litellm: Any, model: str) -> None:
    """Ask without a provider: half of what LiteLLM needs it imports with its first request, on the event loop."""
    question = [{"role": "user", "content": "?"}]
    stream = await litellm.acompletion(model=model, messages=question, stream=True, mock_response="!")
    await stream.aclose()
    if litellm.get_llm_provider(model)[1] in ("openai", "azure", *litellm.openai_compatible_providers):
        importlib.import_module("openai.resources")  # 500 modules, loaded with the client's first use
