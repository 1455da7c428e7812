"""The answerer that asks a language model, through LiteLLM."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from citestream import provider
from citestream.answer.answerer import NO_ANSWER, AnswerError, Ending
from citestream.answer.prompt import messages
from citestream.model import FinishReason, Passage, Usage

_NO_LIMIT_SECONDS = 3600.0
_PREPARATION = 0.25  # seconds


class LiteLLMAnswerer:
    """Fulfils ``Answerer`` with a model by its LiteLLM name; its provider's key is where LiteLLM looks for it.

    ``first_token_seconds`` is how long the first visible text may take, LiteLLM's import included.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        first_token_seconds: float = 30.0,
    ) -> None:
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._request: dict[str, Any] = {
            "model": model,
            "api_base": api_base,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
            "num_retries": 0,
            # Our own limits end every wait, the first token's and the answer's: this one must not come first.
            "timeout": _NO_LIMIT_SECONDS,
        }
        if api_base and model.startswith("openai/") and not os.environ.get("OPENAI_API_KEY"):
            # A server of one's own wants no key; the client that asks it does.
            self._request["api_key"] = "none"

    def preload(self) -> None:
        """Begin to import LiteLLM in the background. Raises ``ModuleNotFoundError`` where it is not installed."""
        provider.preload(self._model)

    async def aclose(self) -> None:
        """Close the connections that are kept for further answers, this process's all."""
        await provider.close()

    async def answer(self, question: str, passages: Sequence[Passage]) -> AsyncGenerator[str | Ending]:
        upstream = _Upstream(self._request | {"messages": messages(question, passages)})
        async with aclosing(upstream.pieces()) as pieces:
            try:
                async with asyncio.timeout(self._first_token_seconds):
                    piece = await anext(pieces, "")
            except TimeoutError:
                raise AnswerError("timeout", "The model did not begin to answer in time.", retryable=True) from None
            while piece:
                yield piece
                piece = await anext(pieces, "")
        yield upstream.ending()


class _Upstream:
    """One request to the model: its text, and how it ended."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._stream: Any = None  # LiteLLM's CustomStreamWrapper
        self._text = ""
        self._usage = Usage()

    async def pieces(self) -> AsyncGenerator[str]:
        """The text in pieces that are not empty. However this is left, the connection is closed by then."""
        joined = UnicodeJoiner()
        try:
            self._stream = await self._ask()
            async with aclosing(self._stream):
                async for chunk in self._stream:
                    if piece := joined.feed(_content(chunk)):
                        self._text += piece
                        yield piece
                    if self._is_last(chunk):
                        break  # to read on would only start LiteLLM's own accounting
            if piece := joined.close():
                self._text += piece
                yield piece
        except Exception as error:
            refusal = provider.refusal(error)
            # Not chained: whoever logs the traceback of this error must not log the provider's texts.
            raise AnswerError("upstream_error", refusal.message, retryable=refusal.retryable) from None

    async def _ask(self) -> Any:
        litellm = await provider.library()
        prepared_by = asyncio.get_running_loop().time() + _PREPARATION
        asking = asyncio.create_task(litellm.acompletion(**self._request))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # LiteLLM prepares a request in a thread, some milliseconds long. To be cancelled meanwhile would make it
            # lose a coroutine, with a warning: a request as young as that is cancelled a little later.
            with suppress(Exception):
                patience = max(0.0, prepared_by - asyncio.get_running_loop().time())
                await (await asyncio.wait_for(asking, patience)).aclose()
            raise

    def _is_last(self, chunk: Any) -> bool:
        usage = getattr(chunk, "usage", None)
        if usage is None:
            return False
        self._usage = Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)
        return bool(self._stream.received_finish_reason)

    def ending(self) -> Ending:
        """Raises ``AnswerError`` where the answer is none, or none that was finished."""
        # What the provider sent: the ``finish_reason`` in LiteLLM's last chunk is made up where it sent none.
        reason = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
        if reason == "content_filter":
            raise AnswerError("upstream_error", "The model's content rules ended the answer.", retryable=False)
        if not self._text.strip():
            raise AnswerError("upstream_error", "The model gave no answer.", retryable=True)
        if reason is None:
            raise AnswerError("upstream_error", "The model's answer was cut off.", retryable=True)
        return Ending(_finish_reason(reason, self._text), self._usage)


class UnicodeJoiner:
    """Joins what a provider's pieces have torn apart: a surrogate pair. A surrogate that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")  # holds a first half back

    def feed(self, text: str) -> str:
        return self._decoder.decode(text.encode("utf-16-le", "surrogatepass"))

    def close(self) -> str:
        return self._decoder.decode(b"", final=True)


def _content(chunk: Any) -> str:
    """The visible text; a model's reasoning comes in another field, its usage in a chunk without choices."""
    return "".join(choice.delta.content or "" for choice in chunk.choices[:1])


def _finish_reason(reason: str, text: str) -> FinishReason:
    if _words(text) == _words(NO_ANSWER):
        return "no_answer"
    return "length" if reason == "length" else "stop"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
