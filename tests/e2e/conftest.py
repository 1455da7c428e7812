"""A browser for the page's tests: the system's Chromium, driven by Playwright. One for the whole run, in one loop."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.e2e.page_server import Stage, Theatre
from tests.node import give_up

Visit = Callable[..., Awaitable[Page]]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_MISSING = "needs Chromium: `apt-get install chromium`, or its path in CITESTREAM_CHROMIUM"
_PATIENCE = 60_000


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = os.environ.get("CITESTREAM_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        give_up(_MISSING)
    expect.set_options(timeout=_PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Opens an address as a new visitor. Nobody's page may have complained in the end, of the policy or of an error."""
    complaints: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        is_network = message.text.startswith("Failed to load resource")  # tests break it on purpose
        if message.type in ("error", "warning") and not is_network:
            complaints.append(message.text)

    async def visit(url: str, **options: Any) -> Page:
        context = await browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(_PATIENCE)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield visit
    for context in contexts:
        await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def theatre() -> AsyncIterator[Theatre]:
    async with Theatre() as theatre:
        yield theatre


@pytest.fixture
def stage(theatre: Theatre) -> Stage:
    return theatre.open()
