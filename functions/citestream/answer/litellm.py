"""The answerer that asks language models, through LiteLLM."""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from math import inf
from typing import Any

from citestream import provider, provider_errors
from citestream.answer.answerer import NO_ANSWER, AnswerError, Ending
from citestream.answer.prompt import messages
from citestream.model import FailureCode, FinishReason, Passage, Usage
from citestream.provider_errors import Refusal

_log = logging.getLogger("citestream")

_NO_LIMIT_SECONDS = 3600.0


class LiteLLMAnswerer:
    """Fulfils ``Answerer`` with the first of some models, by their LiteLLM names, that begins to answer.

    The next is asked where the one before failed before its first visible text, other than by its content rules.
    ``api_base`` is the address of the first one's provider, and of others whose names begin with the same
    ``provider/``; the providers' keys are where LiteLLM looks for them.
    ``first_token_seconds`` is how long the first visible text may take, LiteLLM's import included: each model may
    use an equal share of what those before it have left.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        api_base: str | None = None,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        first_token_seconds: float = 30.0,
    ) -> None:
        self._models = models
        self._api_base = api_base
        self._first_token_seconds = first_token_seconds
        self._request: dict[str, Any] = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
            # Our own limits end every wait, the first token's and the answer's: this one must not come first.
            "timeout": _NO_LIMIT_SECONDS,
        }

    def preload(self) -> None:
        """Begin to import LiteLLM in the background. Raises ``ModuleNotFoundError`` where it is not installed."""
        provider.preload(*self._models)

    async def answer(self, question: str, passages: Sequence[Passage]) -> AsyncGenerator[str | Ending]:
        upstream = await self._begin(messages(question, passages))
        async with aclosing(upstream.pieces) as pieces:
            yield upstream.beginning
            async for piece in pieces:
                yield piece
        yield upstream.ending()

    async def _begin(self, prompt: list[dict[str, str]]) -> _Upstream:
        """A model's answer that has begun. Raises AnswerError: of several failures, one that is worth a retry."""
        deadline = _now() + self._first_token_seconds
        failures: list[_Failure] = []
        for index, model in enumerate(self._models):
            share = (deadline - _now()) / (len(self._models) - index)
            if upstream := await self._ask(model, prompt, share, failures):
                return upstream
            if not failures[-1].elsewhere:
                break
        else:
            # Nobody else is left to ask: whoever said how long it takes is asked once more.
            failure, model = min(zip(failures, self._models, strict=True), key=lambda each: each[0].retry_after)
            if failure.retry_after < deadline - _now():
                await asyncio.sleep(failure.retry_after)
                if upstream := await self._ask(model, prompt, deadline - _now(), failures):
                    return upstream
        raise max(failures, key=lambda failure: failure.retryable)

    async def _ask(
        self, model: str, prompt: list[dict[str, str]], seconds: float, failures: list[_Failure]
    ) -> _Upstream | None:
        same = model == self._models[0] or _prefix(model) == _prefix(self._models[0])
        upstream = _Upstream(model, self._request | {"api_base": self._api_base if same else None, "messages": prompt})
        try:
            await upstream.begin(seconds)
        except _Failure as failure:
            failures.append(failure)
            return None
        return upstream


class _Failure(AnswerError):
    """What a model did instead of an answer. The rest is as in ``provider_errors.Refusal``."""

    def __init__(
        self, code: FailureCode, message: str, *, retryable: bool, elsewhere: bool = True, retry_after: float = inf
    ) -> None:
        super().__init__(code, message, retryable=retryable)
        self.elsewhere = elsewhere
        self.retry_after = retry_after


class _Upstream:
    """One request to a model: its text, and how it ended.

    ``pieces`` are what comes after ``beginning``. However they are left, the connection is closed by then.
    """

    def __init__(self, model: str, request: Mapping[str, Any]) -> None:
        self._model = model
        self._request = request
        self._stream: Any = None  # LiteLLM's CustomStreamWrapper
        self._text = ""
        self._usage = Usage()
        self.beginning = ""
        self.pieces = self._read()

    async def begin(self, seconds: float) -> None:
        """Wait for the first visible text. Raises _Failure; nothing is open then."""
        limit = asyncio.timeout(seconds)
        with suppress(TimeoutError):
            async with limit:
                while not self.beginning.strip() and (piece := await anext(self.pieces, "")):
                    self.beginning += piece
        if limit.expired():
            raise self._failure("timeout", "The model did not begin to answer in time.")
        if not self.beginning.strip():
            self.ending()

    async def _read(self) -> AsyncGenerator[str]:
        """The text in pieces that are not empty."""
        joined = UnicodeJoiner()
        refusal: Refusal | None = None
        try:
            self._stream = await provider.ask("acompletion", model=self._model, **self._request)
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
            raise _Failure(
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
        """Raises _Failure where the answer is none, or none that was finished."""
        # What the provider sent: the ``finish_reason`` in LiteLLM's last chunk is made up where it sent none.
        reason = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
        if reason == "content_filter":
            raise self._failure("upstream_error", "The model's content rules ended the answer.", final=True)
        if not self._text.strip():
            raise self._failure("upstream_error", "The model gave no answer.")
        if reason is None:
            raise self._failure("upstream_error", "The model's answer was cut off.")
        return Ending(_finish_reason(reason, self._text), self._usage)

    def _failure(self, code: FailureCode, message: str, *, final: bool = False) -> _Failure:
        _log.warning("%s: %s", self._model, message)
        return _Failure(code, message, retryable=not final, elsewhere=not final)


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


def _prefix(model: str) -> str:
    return model.partition("/")[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
