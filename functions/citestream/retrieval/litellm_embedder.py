"""The embedder that asks a hosted model, through LiteLLM: Titan on Bedrock, or any other that LiteLLM knows."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from citestream import provider, provider_errors
from citestream.provider_errors import Refusal
from citestream.retrieval.embedder import EmbeddingFailed, Vectors

_log = logging.getLogger("citestream")

_AT_ONCE = 8  # requests
_BATCH = 32  # texts in a request
_REQUEST_SECONDS = 10.0
_PAUSE_SECONDS = 0.25  # before the first repetition; twice that before the second …
_LONGEST_PAUSE_SECONDS = 8.0
_TIMEOUT = Refusal("The embedding model took too long to respond.", True)


class LiteLLMEmbedder:
    """Fulfils ``Embedder`` with a model by its LiteLLM name; its provider's key is where LiteLLM looks for it.

    ``patience_seconds`` is how long a request is repeated that the provider is too busy for, or fails at.
    """

    def __init__(
        self, model: str, dimensions: int, api_base: str | None = None, *, patience_seconds: float = 20.0
    ) -> None:
        self._model = model
        self._dimensions = dimensions
        self._patience = patience_seconds
        self._api_base = api_base
        # Of most models on Bedrock LiteLLM asks for one text after the other; we ask side by side.
        self._batch = 1 if model.startswith("bedrock/") and "cohere" not in model else _BATCH

    @property
    def id(self) -> str:
        return f"{self._model} {self._dimensions}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def weight(self, query: str) -> float:
        return 0.5

    def preload(self) -> None:
        """Begin to import LiteLLM in the background. Raises ``ModuleNotFoundError`` where it is not installed."""
        provider.preload(self._model, operation="aembedding")

    async def embed(self, texts: Sequence[str]) -> Vectors:
        slots = asyncio.Semaphore(_AT_ONCE)
        batches = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
        if batches:
            # Its import takes seconds, a cold start's many: they are none of the model's.
            with suppress(ImportError):  # which is told when the model is asked
                await provider.library()
        asking = [asyncio.ensure_future(self._slotted(batch, slots)) for batch in batches]
        try:
            return [vector for batch in await asyncio.gather(*asking) for vector in batch]
        finally:
            for each in asking:  # where one has failed, the others are of no use
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _slotted(self, texts: Sequence[str], slots: asyncio.Semaphore) -> Vectors:
        async with slots:
            return await self._embedded(texts)

    async def _embedded(self, texts: Sequence[str]) -> Vectors:
        now = asyncio.get_running_loop().time
        give_up = now() + self._patience
        pauses = _pauses()
        while True:
            found = await self._asked(texts, min(_REQUEST_SECONDS, give_up - now()))
            if not isinstance(found, Refusal):
                return unit_vectors(found, len(texts), self._dimensions, self._model)
            pause = next(pauses)
            if math.isfinite(found.retry_after):
                pause += found.retry_after  # not exactly then: others have been told the same
            if not found.retryable or now() + pause >= give_up:
                raise EmbeddingFailed(found.message, retryable=found.retryable)
            await asyncio.sleep(pause)

    async def _asked(self, texts: Sequence[str], seconds: float) -> Sequence[Any] | Refusal:
        try:
            async with asyncio.timeout(seconds):
                response = await provider.ask(
                    "aembedding",
                    model=self._model,
                    api_base=self._api_base,
                    input=list(texts),
                    dimensions=self._dimensions,
                    timeout=_REQUEST_SECONDS,
                )
        except TimeoutError:
            _log.warning("%s: %s", self._model, _TIMEOUT.message)
            return _TIMEOUT
        except Exception as error:
            return provider_errors.refusal(error, self._model)
        return [each["embedding"] for each in sorted(response.data, key=lambda each: each["index"])]


def unit_vectors(vectors: Sequence[Any], count: int, dimensions: int, model: str) -> Vectors:
    """The vectors at length 1. Raises EmbeddingFailed where there are not so many, or one is not of such dimensions."""
    if len(vectors) != count:
        raise _failed(f"The embedding model {model} gave {len(vectors)} vectors for {count} texts.")
    return [_unit(vector, dimensions, model) for vector in vectors]


def _unit(vector: Any, dimensions: int, model: str) -> list[float]:
    if len(vector) != dimensions:
        raise _failed(f"The embedding model {model} gives vectors of {len(vector)} dimensions, not of {dimensions}.")
    try:
        length = math.hypot(*vector)
    except TypeError:
        length = math.nan
    if not 0 < length < math.inf:
        raise _failed(f"The embedding model {model} gave a vector without a direction.")
    return [number / length for number in vector]


def _failed(message: str) -> EmbeddingFailed:
    return EmbeddingFailed(message, retryable=False)


def _pauses() -> Iterator[float]:
    """Seconds before each repetition, at random, so that those who failed together do not come back together."""
    longest = _PAUSE_SECONDS
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311  no secret hangs on it
        longest = min(2 * longest, _LONGEST_PAUSE_SECONDS)
