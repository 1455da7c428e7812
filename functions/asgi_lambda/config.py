"""The environment variables that the runtime client reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


class BadConfig(ValueError):
    """An environment variable has a value that it can't have."""


@dataclass(frozen=True, slots=True)
class Config:
    """How invocations are answered. ``grace`` is in seconds before the deadline."""

    streaming: bool = True
    grace: float = 1.5
    pad_empty_body: bool = False
    snap_start: bool = False

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Config:
        """Raises BadConfig."""
        # SAM CLI can't show a stream: its local API would answer 502.
        mode = environ.get("ASGI_LAMBDA_INVOKE_MODE") or ("buffered" if environ.get("AWS_SAM_LOCAL") else "stream")
        if mode not in ("stream", "buffered"):
            raise BadConfig(f"ASGI_LAMBDA_INVOKE_MODE={mode!r}: it is stream or buffered")
        given = environ.get("ASGI_LAMBDA_GRACE_SECONDS", "")
        if not re.fullmatch(r"(\d{1,3}(\.\d*)?)?", given, re.ASCII):
            raise BadConfig(f"ASGI_LAMBDA_GRACE_SECONDS={given!r}: it is a number of seconds, under 1000")
        return cls(
            streaming=mode == "stream",
            grace=float(given or 1.5),
            pad_empty_body=environ.get("ASGI_LAMBDA_PAD_EMPTY_BODY", "") not in ("", "0"),
            snap_start=environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
        )
