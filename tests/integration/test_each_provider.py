"""What holds of an answer whoever the model's provider is: when its pieces come, and what ends the waiting for them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from citestream.answer.answerer import Ending
from citestream.model import Usage
from tests.models import KINDS, Kind, Models, ask, until_failure, whole
from tests.models import litellm as litellm
from tests.models import models as models
from tests.scripted_server import OPEN, PATIENCE, Step
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry

each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def unseen(kind: Kind, beginning: str) -> tuple[Step, ...]:
    """What a provider may have sent before there is anything to see."""
    beginnings: dict[str, tuple[Step, ...]] = {
        "no response": (),
        "head only": (OPEN,),
        "nothing visible": (kind.reasoning("Hm."), kind.delta("")),
    }
    return beginnings[beginning]


@each_kind
async def test_a_piece_is_here_before_the_next_one_is_sent(models: Models, kind: Kind) -> None:
    reply = models[kind].reply()
    async with aclosing(ask(models.answerer(kind.model))) as pieces:
        for word in ("one ", "two ", "three"):
            reply.send(kind.delta(word))
            assert await asyncio.wait_for(anext(pieces), PATIENCE) == word
        reply.send(*kind.rest)
        assert await anext(pieces) == Ending("stop", Usage(9, 2))


@each_kind
@pytest.mark.parametrize("beginning", ["no response", "head only", "nothing visible"])
async def test_a_first_token_that_does_not_come_is_a_timeout(
    models: Models, kind: Kind, beginning: str, hurry: Hurry
) -> None:
    reply = models[kind].reply(*unseen(kind, beginning))
    failing = asyncio.create_task(until_failure(models.answerer(kind.model, seconds=600)))
    await reply.played()
    hurry(500)
    await reply.played()
    assert not failing.done()
    hurry(100)
    text, error = await failing
    assert (text, error.code, error.retryable) == ("", "timeout", True)
    assert await reply.closed_by_client()


@each_kind
async def test_the_limit_of_the_first_token_is_none_for_the_others(models: Models, kind: Kind, hurry: Hurry) -> None:
    reply = models[kind].reply(kind.delta("So"))
    async with aclosing(ask(models.answerer(kind.model, seconds=600))) as pieces:
        assert await anext(pieces) == "So"
        second = asyncio.ensure_future(anext(pieces))
        await reply.played()
        hurry(1000)
        await reply.played()
        reply.send(kind.delta("."), *kind.rest)
        assert await second == "."


@each_kind
async def test_closing_the_answer_closes_the_connection(models: Models, kind: Kind) -> None:
    reply = models[kind].reply(kind.delta("For "))
    pieces = ask(models.answerer(kind.model))
    assert await anext(pieces) == "For "
    await pieces.aclose()
    assert await reply.closed_by_client()


@each_kind
@pytest.mark.parametrize("beginning", ["no response", "head only", "nothing visible", "in mid-stream"])
async def test_cancelling_the_reader_closes_the_connection(models: Models, kind: Kind, beginning: str) -> None:
    reply = models[kind].reply(*([kind.delta("For ")] if beginning == "in mid-stream" else unseen(kind, beginning)))
    reading = asyncio.create_task(whole(models.answerer(kind.model)))
    await reply.played()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await reply.closed_by_client()


@each_kind
async def test_cancelling_a_request_that_has_just_arrived_closes_the_connection(models: Models, kind: Kind) -> None:
    reply = models[kind].reply(OPEN, kind.delta("For "))
    reading = asyncio.create_task(whole(models.answerer(kind.model)))
    await reply.arrived()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await reply.closed_by_client()


@each_kind
async def test_cancelling_while_the_request_is_prepared_leaves_nothing_behind(models: Models, kind: Kind) -> None:
    answerer = models.answerer(kind.model)
    for turns in range(12):
        reading = asyncio.create_task(whole(answerer))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
