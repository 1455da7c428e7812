"""A busy machine's time: what waits in the tests for what will come, waits for long."""

from __future__ import annotations

import functools

import httpx
import pytest

SECONDS = 60.0


def with_stores(patch: pytest.MonkeyPatch) -> None:
    """The product gives a store no longer than its clients would wait. Tests of that set limits of their own."""
    patch.setattr("citestream.aws._CONNECT_SECONDS", SECONDS / 2)
    patch.setattr("citestream.aws._READ_SECONDS", {})
    patch.setattr("citestream.aws._READ_SECONDS_ELSE", SECONDS / 2)
    patch.setattr("citestream.streams.hub._CLEAN_UP_SECONDS", SECONDS)
    for module in ("dynamo_log", "sqlite_file", "keys"):
        patch.setattr(f"citestream.streams.{module}._PATIENCE_SECONDS", SECONDS)


def with_servers(patch: pytest.MonkeyPatch) -> None:
    """For HTTP clients that say nothing else. Nor does each read all of the world's certificates: 20 ms."""
    for name in ("connect", "read", "write", "pool"):
        patch.setattr(f"httpx._config.DEFAULT_TIMEOUT_CONFIG.{name}", SECONDS)
    patch.setattr("httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context))
