"""The answerer that asks language models, through LiteLLM."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from citestream import provider
from citestream.answer.answerer import Condensed, Ending, Shown
from citestream.answer.history import Turn, carried
from citestream.answer.prompt import condensing, fitted
from citestream.answer.upstream import Draft, Failed, Upstream
from citestream.model import Passage, Usage
from citestream.retrieval.words import words

_log = logging.getLogger("citestream")

_NO_LIMIT_SECONDS = 3600.0
# A question is one line, and soon written; who waits for it has not seen anything yet.
_CONDENSING_SECONDS = 5.0
_CONDENSING_TOKENS = 200
_LONGEST_CONDENSED = 1_000  # characters
_AROUND = " \t\r\"'*`“”„«»"


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

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        """By the first model; where it fails, or takes long, by what is carried without one."""
        model = self._models[0]
        limits = {"max_tokens": _CONDENSING_TOKENS, "temperature": 0.0}
        upstream = self._upstream(model, lambda most: condensing(question, history, most), **limits)
        usage = Usage()
        try:
            async with asyncio.timeout(min(_CONDENSING_SECONDS, self._first_token_seconds / 2)):
                text, ending = await upstream.short(_LONGEST_CONDENSED)
            usage = ending.usage
            if ending.finish_reason == "stop" and (found := _one_question(text)):
                return Condensed(found, usage)
        except (Failed, TimeoutError):
            pass
        _log.warning("%s: did not condense a question; terms are carried instead", model)
        return Condensed(carried(question, history), usage)

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Shown | Ending]:
        upstream = await self._begin(lambda most: fitted(question, passages, history, most))
        async with aclosing(upstream.pieces) as pieces:
            if upstream.prompt.passages != tuple(passages):
                yield Shown(upstream.prompt.passages)
            yield upstream.beginning
            async for piece in pieces:
                yield piece
        yield upstream.ending()

    async def _begin(self, draft: Draft) -> Upstream:
        """A model's answer that has begun. Raises AnswerError: of several failures, one that is worth a retry."""
        deadline = _now() + self._first_token_seconds
        failures: list[Failed] = []
        for index, model in enumerate(self._models):
            share = (deadline - _now()) / (len(self._models) - index)
            if upstream := await self._ask(model, draft, share, failures):
                return upstream
            if not failures[-1].elsewhere:
                break
        else:
            # Nobody else is left to ask: whoever said how long it takes is asked once more.
            failure, model = min(zip(failures, self._models, strict=True), key=lambda each: each[0].retry_after)
            if failure.retry_after < deadline - _now():
                await asyncio.sleep(failure.retry_after)
                if upstream := await self._ask(model, draft, deadline - _now(), failures):
                    return upstream
        raise max(failures, key=lambda failure: failure.retryable)

    async def _ask(self, model: str, draft: Draft, seconds: float, failures: list[Failed]) -> Upstream | None:
        upstream = self._upstream(model, draft)
        try:
            await upstream.begin(seconds)
        except Failed as failure:
            failures.append(failure)
            return None
        return upstream

    def _upstream(self, model: str, draft: Draft, **limits: float) -> Upstream:
        same = model == self._models[0] or _prefix(model) == _prefix(self._models[0])
        request = self._request | limits | {"api_base": self._api_base if same else None}
        return Upstream(model, draft, request)


def _one_question(text: str) -> str:
    """The last line with words of what a model wrote when it was asked for one, without what models put around it."""
    lines = [line.strip(_AROUND).removeprefix("Question:").strip(_AROUND) for line in text.split("\n")]
    return next(filter(words, reversed(lines)), "")


def _prefix(model: str) -> str:
    return model.partition("/")[0]


def _now() -> float:
    return asyncio.get_running_loop().time()
