"""What happened in an invocation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from asgi_lambda.emulator.http1 import Headers


@dataclass
class Post:
    """The request with which the function answered, as it was sent.

    ``times`` says when how much of the body came: seconds since the event was delivered, and bytes (kept with
    ``Options.keep`` or ``trace``). ``body``, the body without its chunking, and ``wire``, the request byte for byte,
    are kept with ``Options.keep``. ``trailers`` holds those that the head announced.
    """

    target: str
    headers: Headers
    chunk_sizes: list[int] = field(default_factory=list)
    times: list[tuple[float, int]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    wire: bytes = b""

    @property
    def chunks(self) -> list[bytes]:
        """The body as it was cut into chunks."""
        ends = accumulate(self.chunk_sizes)
        return [self.body[end - size : end] for end, size in zip(ends, self.chunk_sizes, strict=True)]


@dataclass
class Invocation:
    """One invocation, or a request refused without one (``environment`` is 0 then). Times are in seconds.

    ``status`` is what the caller got, ``body_bytes`` and ``frames`` (server-sent events, of other types pieces) what
    was sent to it. ``first_byte`` counts from the request's arrival, ``duration`` from the event's delivery to the
    runtime's next ``/next``. ``error_type`` is Lambda's name for what went wrong (None: nothing), ``error`` says what.
    ``notes`` are what someone who deploys this function should know.
    """

    request_id: str
    method: str
    target: str
    trace_root: str = ""
    environment: int = 0
    start: Literal["warm", "cold", "restore"] | None = None
    status: int | None = None
    first_byte: float | None = None
    duration: float = 0.0
    init: float | None = None
    restore: float | None = None
    body_bytes: int = 0
    frames: int = 0
    aborted: bool = False
    client_gone: bool = False
    error_type: str | None = None
    error: str | None = None
    trailers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    post: Post | None = None

    @property
    def billed_ms(self) -> int:
        """What is billed, in ms, rounded up: the duration, and the init phase of a cold start."""
        return math.ceil((self.duration + (self.init or 0.0)) * 1000)
