"""One request to a language model, through LiteLLM: what it says, and how it fails."""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from math import inf
from types import ModuleType
from typing import Any

from citestream import provider, provider_errors
from citestream.answer.answerer import AnswerError, Ending
from citestream.answer.prompt import Prompt
from citestream.model import FailureCode, Usage
from citestream.provider_errors import Refusal

_log = logging.getLogger("citestream")

# What a model of unknown size is given, its answer included: as much as small models of today take.
_UNKNOWN_WINDOW = 8_192

#: What is asked, in at most so many tokens.
Draft = Callable[[int], Prompt]


class Failed(AnswerError):
    """What a model did instead of an answer. The rest is as in ``provider_errors.Refusal``."""

    def __init__(
        self, code: FailureCode, message: str, *, retryable: bool, elsewhere: bool = True, retry_after: float = inf
    ) -> None:
        super().__init__(code, message, retryable=retryable)
        self.elsewhere = elsewhere
        self.retry_after = retry_after


class Upstream:
    """One request to a model: its text, and how it ended.

    ``pieces`` are what comes after ``beginning``. However they are left, the connection is closed by then.
    ``prompt`` is what was asked, drafted for the model's size.
    """

    prompt: Prompt

    def __init__(self, model: str, draft: Draft, request: dict[str, Any]) -> None:
        self._model = model
        self._draft = draft
        self._request = request
        self._stream: Any = None  # LiteLLM's CustomStreamWrapper
        self._text = ""
        self._usage = Usage()
        self.beginning = ""
        self.pieces = self._read()

    async def begin(self, seconds: float | None = None) -> None:
        """Wait for the first visible text, so long at most. Raises Failed; nothing is open then."""
        limit = asyncio.timeout(seconds)
        with suppress(TimeoutError):
            async with limit:
                while not self.beginning.strip() and (piece := await anext(self.pieces, "")):
                    self.beginning += piece
        if limit.expired():
            raise self._failure("timeout", "The model did not begin to answer in time.")
        if not self.beginning.strip():
            self.ending()

    async def short(self, longest: int) -> tuple[str, Ending]:
        """All of a text that has so many characters at most. Raises Failed."""
        async with aclosing(self.pieces) as pieces:
            await self.begin()
            text = self.beginning
            while len(text) <= longest and (piece := await anext(pieces, "")):
                text += piece
        if len(text) > longest:
            raise self._failure("upstream_error", "The model wrote more than it was asked for.")
        return text, self.ending()

    async def _read(self) -> AsyncGenerator[str]:
        """The text in pieces that are not empty."""
        joined = UnicodeJoiner()
        refusal: Refusal | None = None
        try:
            window = _window(await provider.library(), self._model)
            self.prompt = self._draft(window - self._request["max_tokens"])
            asked = self._request | {"messages": self.prompt.messages}
            self._stream = await provider.ask("acompletion", model=self._model, **asked)
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
            refusal = provider_errors.refusal(error, self._model)
        if refusal:
            # Raised here, in no context: whoever logs its traceback must not log the provider's texts.
            raise Failed(
                "upstream_error",
                refusal.message,
                retryable=refusal.retryable,
                elsewhere=refusal.elsewhere,
                retry_after=refusal.retry_after,
            )

    def _is_last(self, chunk: Any) -> bool:
        usage = getattr(chunk, "usage", None)
        if usage is None:
            return False
        self._usage = Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)
        return bool(self._stream.received_finish_reason)

    def ending(self) -> Ending:
        """Raises Failed where the answer is none, or none that was finished."""
        # What the provider sent: the ``finish_reason`` in LiteLLM's last chunk is made up where it sent none.
        reason = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
        if reason == "content_filter":
            raise self._failure("upstream_error", "The model's content rules ended the answer.", final=True)
        if not self._text.strip():
            raise self._failure("upstream_error", "The model gave no answer.")
        if reason is None:
            raise self._failure("upstream_error", "The model's answer was cut off.")
        return Ending("length" if reason == "length" else "stop", self._usage)

    def _failure(self, code: FailureCode, message: str, *, final: bool = False) -> Failed:
        _log.warning("%s: %s", self._model, message)
        return Failed(code, message, retryable=not final, elsewhere=not final)


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


def _window(litellm: ModuleType, model: str) -> int:
    """How many tokens the model takes, as far as LiteLLM's own table says: to ask the model's server costs time."""
    for name in (model, model.partition("/")[2]):
        known = litellm.model_cost.get(name, {})
        size = known.get("max_input_tokens") or known.get("max_tokens")
        if isinstance(size, int):
            return size
    return _UNKNOWN_WINDOW
