"""A citation opened: the document, with what is cited highlighted in it, to the code point."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_server import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILLER = "Nobody reads this paragraph, 𝕒𝕟𝕕 nobody has to. 🏝️\n\n" * 60
EXCERPT = "Everyone gets 28 days 🌴 of leave."
TEXT = f"{FILLER}{EXCERPT} More is a manager's to give.\n\n{FILLER}"


async def open_source(stage: Stage, visit: Visit, *, text: str = TEXT) -> Page:
    """An answer over a document; the text that the document has by now may be another."""
    leave = stage.hold("d1", "people/leave.md", "handbook", TEXT)
    stage.script.token("28 days [1].")
    stage.script.cite(1, leave, EXCERPT, page=7, section="Leave")
    stage.script.done()
    stage.hold("d1", "people/leave.md", "handbook", text)
    page = await visit(stage.url)
    await page.keyboard.type("How much leave?")
    await page.keyboard.press("Enter")
    await page.locator(".prose .chip:enabled").click()
    return page


async def test_the_highlighted_span_is_the_excerpt(stage: Stage, visit: Visit) -> None:
    page = await open_source(stage, visit)
    panel = page.get_by_role("dialog", name="people/leave.md")
    await expect(panel).to_be_visible()
    await expect(panel).to_contain_text("handbook · page 7 · Leave")
    mark = panel.locator("mark")
    await expect(mark).to_be_in_viewport()
    assert await mark.text_content() == EXCERPT
    assert await panel.get_by_role("region", name="Text of the document").text_content() == TEXT
    await expect(panel.locator(".notice")).to_have_count(0)


async def test_the_list_of_sources_opens_it_too_and_closing_gives_the_focus_back(stage: Stage, visit: Visit) -> None:
    page = await open_source(stage, visit)
    await page.get_by_role("button", name="Close the source").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.locator(".chip")).to_be_focused()
    listed = page.locator(".sources").get_by_role("button", name="people/leave.md")
    await listed.click()
    await expect(page.locator("mark")).to_have_text(EXCERPT)
    await page.mouse.click(5, 5)  # beside the panel
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(listed).to_be_focused()


async def test_a_document_that_is_no_longer_what_was_cited_says_so(stage: Stage, visit: Visit) -> None:
    page = await open_source(stage, visit, text=f"New 🎉 beginning.\n\n{TEXT}")
    notice, content = page.locator("#source-notice"), page.locator("#source-text")
    await expect(notice).to_contain_text("has changed since; the passage now stands here")
    assert await content.locator("mark").text_content() == EXCERPT

    stage.hold("d1", "people/leave.md", "handbook", "Leave is 30 days now.")
    await page.keyboard.press("Escape")
    await page.locator(".chip").click()
    await expect(notice).to_contain_text("no longer holds the passage")
    await expect(content.locator("blockquote")).to_have_text(EXCERPT)
    await expect(content).to_contain_text("Leave is 30 days now.")
    await expect(content.locator("mark")).to_have_count(0)

    stage.documents.clear()
    await page.keyboard.press("Escape")
    await page.locator(".chip").click()
    await expect(notice).to_contain_text("no longer there, or no longer yours to read")
    await expect(content).to_have_text(EXCERPT)


async def test_a_slow_document_shows_its_excerpt_and_lands_in_no_other_panel(stage: Stage, visit: Visit) -> None:
    slow = stage.hold("d1", "slow.md", "handbook", "Slow text.")
    quick = stage.hold("d2", "quick.md", "handbook", "Quick text.")
    stage.script.token("Both [1][2].")
    stage.script.cite(1, slow, "Slow text.")
    stage.script.cite(2, quick, "Quick text.")
    stage.script.done()
    page = await visit(stage.url)
    held: list[Route] = []
    await page.route("**/documents/d1", lambda route: held.append(route))
    await page.keyboard.type("Which?")
    await page.keyboard.press("Enter")
    await page.locator(".prose").get_by_role("button", name="Source 1: slow.md").click()
    await expect(page.locator("#source-notice")).to_have_text("Loading the document…")
    await expect(page.locator("#source-text")).to_have_text("Slow text.")
    await page.keyboard.press("Escape")
    await page.locator(".prose").get_by_role("button", name="Source 2: quick.md").click()
    await expect(page.locator("mark")).to_have_text("Quick text.")
    async with page.expect_response("**/documents/d1"):
        await held[0].continue_()
    await expect(page.locator("mark")).to_have_text("Quick text.")
    await expect(page.locator("#source-name")).to_have_text("quick.md")
