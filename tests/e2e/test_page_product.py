"""The page and the product itself: a question goes the whole way, to a model and back, and into the document."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Visit
from tests.openai_server import OpenAIServer, delta
from tests.server import product

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "What happens when a spent refresh token is used again?"


async def test_every_citation_opens_at_its_excerpt(url: str, visit: Visit) -> None:
    page = await visit(url)
    async with page.expect_response("**/api/v1/search") as searched:
        await page.get_by_role("button", name="How many days a year may I work from another country?").click()
    response = await searched.value
    assert response.headers["content-type"].startswith("text/event-stream")
    await expect(page.locator("#status")).to_contain_text("Done")
    sources = page.locator(".sources li")
    assert await sources.count() > 0
    for source in await sources.all():
        await source.get_by_role("button").click()
        await expect(page.locator("mark")).to_be_in_viewport()
        assert await page.locator("mark").text_content() == await source.locator("blockquote").text_content()
        await page.keyboard.press("Escape")
    await expect(page.locator(".prose")).to_contain_text("up to 30 calendar days a year")
    assert await page.locator(".prose .chip:disabled").count() == 0


async def test_a_question_that_the_documents_do_not_answer(url: str, visit: Visit) -> None:
    page = await visit(url)
    await page.keyboard.type("Who won the chess olympiad of 1972?")
    await page.keyboard.press("Enter")
    await expect(page.locator("#status")).to_have_text("No answer found.")
    await expect(page.locator(".sources")).to_be_hidden()


async def test_a_model_s_answer_grows_survives_a_reload_and_is_stopped(
    library: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with OpenAIServer() as model, product(data=library, model="openai/scripted", api_base=model.base_url) as url:
        reply = model.reply(delta("A spent token "))
        page = await visit(url)
        await page.keyboard.type(QUESTION)
        await page.keyboard.press("Enter")
        prose = page.locator(".prose")
        await expect(prose).to_have_text("A spent token")
        reply.send(delta("revokes the family [1]."))
        await expect(prose).to_contain_text("A spent token revokes the family 1")
        await page.reload()
        await expect(prose).to_contain_text("A spent token revokes the family 1")
        reply.send(delta(" So beware."))
        await expect(prose).to_contain_text("So beware.")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#status")).to_have_text("Stopped.")
        assert await reply.closed_by_client()
        assert len(model.replies) == 1


async def test_the_page_is_served_with_a_policy_and_its_client_to_anyone(url: str, visit: Visit) -> None:
    page = await visit(url)
    served = await page.request.get(url)
    assert "default-src 'none'" in served.headers["content-security-policy"]
    assert "unsafe" not in served.headers["content-security-policy"]
    client = await page.request.get(f"{url}/static/citestream.js")
    assert client.headers["content-type"].startswith("text/javascript")
    assert "export function ask" in await client.text()
