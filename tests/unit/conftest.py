"""What tests of streams stand on: a log in a file, and a hub of another process that has the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from citestream.streams.hub import Hub
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.streams import LIMITS


@pytest.fixture
async def log(tmp_path: Path) -> AsyncGenerator[SqliteStreamLog]:
    log = SqliteStreamLog(tmp_path / "streams.db", keep=3600)
    yield log
    await log.aclose()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncGenerator[Hub]:
    hub = Hub(SqliteStreamLog(tmp_path / "streams.db", keep=3600), LIMITS)
    yield hub
    await hub.aclose()
