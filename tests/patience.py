"""A busy machine's time: what waits in the tests for what will come, waits for long."""

from __future__ import annotations

import functools

from citestream import aws
from citestream.answer import litellm
from citestream.streams import dynamo_log, hub, keys, sqlite_file

SECONDS = 60.0
#: Settings for answers by models: to import what asks them takes seconds, and on a busy machine a minute.
UNHURRIED = {"first_token_seconds": 500.0, "answer_seconds": 1000.0}
#: The same for a process.
UNHURRIED_ENVIRONMENT = {f"CITESTREAM_{name.upper()}": str(value) for name, value in UNHURRIED.items()}


def with_providers() -> None:
    """The product gives others no longer than its clients would wait. Tests of that set limits of their own."""
    aws._CONNECT_SECONDS = aws._READ_SECONDS_ELSE = SECONDS / 2
    aws._READ_SECONDS = {}
    dynamo_log._PATIENCE_SECONDS = keys._PATIENCE_SECONDS = sqlite_file._PATIENCE_SECONDS = SECONDS
    hub._CLEAN_UP_SECONDS = SECONDS
    litellm._CONDENSING_SECONDS = SECONDS


def with_servers() -> None:
    """For HTTP clients that say nothing else. Nor does each read all of the world's certificates: 20 ms."""
    from httpx import _config
    from httpx._transports import default

    for name in ("connect", "read", "write", "pool"):
        setattr(_config.DEFAULT_TIMEOUT_CONFIG, name, SECONDS)
    vars(default)["create_ssl_context"] = functools.cache(_config.create_ssl_context)
