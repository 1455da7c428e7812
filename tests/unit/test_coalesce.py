"""Tokens are joined by time and size, never reordered, never held longer than asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citestream.model import Event, Failure, Token
from citestream.streams.coalesce import coalesce

END = Failure("cancelled", "", retryable=False)


class Source:
    """Yields events; an ``asyncio.Event`` among them is waited for."""

    def __init__(self, *steps: Event | asyncio.Event | Exception) -> None:
        self.steps = steps
        self.closed = False

    async def __call__(self) -> AsyncGenerator[Event]:
        try:
            for step in self.steps:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed = True


async def collect(source: Source, seconds: float, size: int = 900) -> list[Event]:
    return [event async for event in coalesce(source(), seconds, size)]


async def test_the_first_token_goes_out_at_once_and_the_others_together() -> None:
    source = Source(Token("a"), Token("b"), Token("c"), END)
    assert await collect(source, seconds=3600) == [Token("a"), Token("bc"), END]


async def test_a_full_frame_does_not_wait() -> None:
    source = Source(Token("a"), Token("bb"), Token("cc"), Token("d"), END)
    assert await collect(source, seconds=3600, size=4) == [Token("a"), Token("bbcc"), Token("d"), END]


async def test_text_that_waits_goes_out_when_its_time_has_come_though_nothing_follows() -> None:
    go_on = asyncio.Event()
    events = coalesce(Source(Token("a"), Token("b"), go_on, END)(), 0.01, 900)
    assert await anext(events) == Token("a")
    assert await anext(events) == Token("b")
    go_on.set()
    assert await anext(events) == END
    await events.aclose()


async def test_what_came_before_an_error_goes_out_before_it() -> None:
    events = coalesce(Source(Token("a"), Token("b"), ValueError("upstream"))(), 3600, 900)
    assert [await anext(events), await anext(events)] == [Token("a"), Token("b")]
    with pytest.raises(ValueError, match="upstream"):
        await anext(events)


async def test_closing_it_closes_the_source() -> None:
    source = Source(Token("a"), asyncio.Event())
    events = coalesce(source(), 3600, 900)
    await anext(events)
    await events.aclose()
    assert source.closed


async def test_a_source_that_runs_ahead_is_held_back_and_still_ends() -> None:
    source = Source(*[Token("x")] * 500, END)
    joined = await collect(source, seconds=3600, size=10)
    assert "".join(event.text for event in joined if isinstance(event, Token)) == "x" * 500
    assert joined[-1] == END


@given(st.lists(st.text(min_size=1, max_size=40), max_size=20), st.integers(4, 30))
def test_no_text_is_lost_and_no_piece_is_too_long(texts: Sequence[str], size: int) -> None:
    joined = asyncio.run(collect(Source(*map(Token, texts)), seconds=0, size=size))
    pieces = [event.text for event in joined if isinstance(event, Token)]
    assert "".join(pieces) == "".join(texts)
    assert all(0 < len(piece.encode()) <= size for piece in pieces)


@pytest.mark.parametrize(
    ("seconds", "size", "expected"),
    [(0.01, 900, ["a", "bcde"]), (0.01, 3, ["a", "bcd", "e"]), (0, 900, ["a", "b", "c", "d", "e"])],
)
async def test_what_comes_while_the_consumer_is_busy_goes_out_together(
    seconds: float, size: int, expected: list[str]
) -> None:
    more, busy = asyncio.Event(), True

    async def free() -> bool:
        """The consumer is busy when the second piece is there, until all that the source has to say is."""
        nonlocal busy
        if not more.is_set():
            return False
        for _ in range(50):
            await asyncio.sleep(0)
        was_busy, busy = busy, False
        return was_busy

    events = coalesce(Source(Token("a"), more, *map(Token, "bcde"), END)(), seconds, size, free)
    first = await anext(events)
    more.set()
    assert [first, *[event async for event in events]] == [*map(Token, expected), END]
