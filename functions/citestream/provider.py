"""LiteLLM, the door to the model providers: imported late and once, kept quiet, asked.

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
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from types import ModuleType
from typing import Any, Literal

from citestream.aws import Aws
from citestream.provider_keys import Keys, Reference

_log = logging.getLogger("citestream")

MISSING = "a model is set but litellm is not installed: pip install 'citestream[llm]'"
Operation = Literal["acompletion", "aembedding"]
_PREPARATION = 0.25  # seconds

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
    "DEFAULT_MAX_RETRIES": 0,  # repeating is ours, where it helps
    "disable_aiohttp_transport": True,  # one HTTP stack, httpx: it closes a stream at once, and is ours anyway
}
# What LiteLLM imports with its first request, by provider: hundreds of modules.
_LATE = {
    "openai": ("openai.resources",),
    "bedrock": ("boto3", "botocore.eventstream", "httpcore"),
    "": ("httpcore",),
}

_keys: Keys | None = None


def use_keys(references: Mapping[str, Reference], aws: Aws) -> None:
    """Have these keys read before anything is asked; to be called before everything else here."""
    global _keys
    _keys = Keys(references, aws)


async def library() -> ModuleType:
    """LiteLLM, when it is imported and its keys are where it looks for them. Raises ``ImportError``."""
    if _keys is not None:
        await _keys.in_place()
    return await asyncio.wrap_future(_importing())


async def ask(operation: Operation, *, model: str, api_base: str | None = None, **request: Any) -> Any:
    """What LiteLLM's function of that name returns and raises.

    Whoever is cancelled while it waits has nothing left open.
    """
    asked = getattr(await library(), operation)
    if api_base and model.startswith("openai/") and not os.environ.get("OPENAI_API_KEY"):
        # A server of one's own wants no key; the client that asks it does.
        request["api_key"] = "none"
    prepared_by = asyncio.get_running_loop().time() + _PREPARATION
    asking = asyncio.create_task(asked(model=model, api_base=api_base, num_retries=0, max_retries=0, **request))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        # LiteLLM prepares a request in a thread, some milliseconds long. To be cancelled meanwhile would make it
        # lose a coroutine, with a warning: a request as young as that is cancelled a little later.
        with suppress(Exception):
            patience = max(0.0, prepared_by - asyncio.get_running_loop().time())
            await _abandon(await asyncio.wait_for(asking, patience))
        raise


async def _abandon(stream: Any) -> None:
    """Close a stream that nobody has read from: LiteLLM closes the connection of one that has been read from only.

    What is no stream is there as a whole, and leaves nothing open.
    """
    if not hasattr(stream, "aclose"):
        return
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await stream.aclose()


def preload(*models: str, operation: Operation = "acompletion") -> threading.Thread:
    """Begin to import LiteLLM, and what first requests to the models would import, in the thread that is returned.

    Raises ``ModuleNotFoundError`` where LiteLLM is not installed.
    """
    if importlib.util.find_spec("litellm") is None:
        raise ModuleNotFoundError(MISSING)
    thread = threading.Thread(target=_warm_up, args=(models, operation), name="litellm-warm-up")
    thread.start()
    return thread


async def close() -> None:
    """Close the connections that are kept open for further requests. For the end of the process: it closes all."""
    if _importing.cache_info().currsize and _importing().done() and not _importing().exception():
        litellm = _importing().result()  # no keys are read for that: the way to them may be closed already
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
        logging.getLogger("LiteLLM").setLevel(logging.ERROR)  # has a handler of its own, on standard error
    except BaseException as error:
        importing.set_exception(error)  # raised where it is waited for
    else:
        importing.set_result(litellm)


def _warm_up(models: tuple[str, ...], operation: Operation) -> None:
    _importing()  # while keys are read
    for model in models:
        try:
            asyncio.run(_rehearse(model, operation))
        except Exception as error:  # requests fail by it, too, and tell the user; this tells who starts the server
            _log.error("%s can't be asked: %s", model, type(error).__name__)


async def _rehearse(model: str, operation: Operation) -> None:
    """Ask without a provider: half of what LiteLLM needs it imports with its first request, on the event loop."""
    litellm = await library()
    provider = litellm.get_llm_provider(model)[1]
    if operation == "acompletion":
        question = [{"role": "user", "content": "?"}]
        stream = await litellm.acompletion(model=model, messages=question, stream=True, mock_response="!")
        await stream.aclose()
    if provider in ("azure", *litellm.openai_compatible_providers):
        provider = "openai"
    for module in _LATE.get(provider, _LATE[""]):
        importlib.import_module(module)
