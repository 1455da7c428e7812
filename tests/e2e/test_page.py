"""The page with a question: how it is asked, how its answer grows, and every way in which that can end."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, Request, Route, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_server import Refusal, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Everyone gets 28 days of leave. Unused days carry over until March."


async def ask(page: Page, question: str = "How much leave do I get?") -> None:
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")


def prose(page: Page) -> Locator:
    return page.locator(".prose")


def status(page: Page) -> Locator:
    return page.locator("#status")


async def test_an_answer_grows_and_ends_with_its_sources(stage: Stage, visit: Visit) -> None:
    leave = stage.hold("d1", "leave.md", "handbook", TEXT)
    page = await visit(stage.url)
    await page.evaluate(
        """() => {
          window.said = [];
          const status = document.getElementById("status");
          new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true });
        }"""
    )
    await ask(page)
    await expect(status(page)).to_have_text("Searching…")
    stage.script.token("You get **28 da")
    await expect(prose(page)).to_have_text("You get 28 da")
    await expect(status(page)).to_have_text("Writing…")
    await expect(prose(page)).to_have_attribute("aria-busy", "true")
    stage.script.token("ys** [1].")
    await expect(prose(page)).to_have_text("You get 28 days 1.")
    await expect(prose(page).get_by_role("button", name="Source 1, not yet known")).to_be_disabled()
    stage.script.cite(1, leave, "Everyone gets 28 days of leave.", page=3, section="Leave", support=0.52)
    await expect(prose(page).get_by_role("button", name="Source 1: leave.md")).to_be_enabled()
    stage.script.done(score=88)
    await expect(status(page)).to_have_text("Done, 1 source.")
    await expect(prose(page)).not_to_have_attribute("aria-busy", "true")
    await expect(page.get_by_role("meter", name="Confidence")).to_have_attribute("aria-valuenow", "88")
    await expect(page.locator(".confidence")).to_contain_text("High 88 of 100")
    source = page.locator(".sources li")
    await expect(source).to_contain_text("handbook · page 3 · Leave")
    await expect(source.locator("blockquote")).to_have_text("Everyone gets 28 days of leave.")
    await expect(source).to_contain_text("partial support (52 %)")
    assert stage.bodies == [{"query": "How much leave do I get?"}]
    assert await page.evaluate("said") == ["Searching…", "Writing…", "Done, 1 source."]  # a screen reader hears no more


async def test_a_question_that_the_server_would_refuse_is_not_sent(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    box, hint = page.get_by_label("Your question"), page.get_by_role("alert")
    await ask(page, "   ")
    await expect(hint).to_have_text("Type a question first.")
    await box.fill("😀" * 2_001)
    await expect(hint).to_have_text("A question has 2,000 characters at most; this one has 2,001.")
    await expect(box).to_have_attribute("aria-invalid", "true")
    await page.keyboard.press("Enter")
    await box.fill("😀" * 2_000)
    await expect(hint).to_be_empty()
    await page.get_by_role("checkbox", name="engineering").uncheck()
    await page.get_by_role("checkbox", name="handbook").uncheck()
    await page.get_by_role("button", name="Ask").click()
    await expect(hint).to_have_text("Choose at least one knowledge base to search in.")
    await page.get_by_role("checkbox", name="handbook").check()
    await page.get_by_role("button", name="Ask").click()
    await expect(status(page)).to_have_text("Searching…")
    assert stage.requests.count(("POST", "/api/v1/search")) == 1


async def test_enter_that_ends_a_composition_or_comes_with_shift_asks_nothing(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    box = page.get_by_label("Your question")
    await box.fill("にほん")
    await box.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    await page.keyboard.press("Shift+Enter")
    await expect(box).to_have_value("にほん\n")
    await expect(status(page)).to_be_empty()
    assert stage.bodies == []


async def test_stop_ends_the_production_and_keeps_what_was_written(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await ask(page)
    stage.script.token("Half an ")
    await expect(prose(page)).to_have_text("Half an")
    await page.keyboard.press("Enter")  # in the question: while an answer is written, only the button does something
    await page.get_by_role("button", name="Stop").click()
    await expect(status(page)).to_have_text("Stopped.")
    await expect(prose(page)).to_have_text("Half an")
    await expect(page.get_by_role("button", name="Ask")).to_be_visible()
    assert ("DELETE", "/api/v1/streams/stream1") in stage.requests
    assert len(stage.bodies) == 1


async def test_a_stop_that_does_not_reach_the_server_says_so(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)

    async def lose(route: Route) -> None:
        await (route.abort() if route.request.method == "DELETE" else route.continue_())

    await page.route("**/api/v1/streams/*", lose)
    await ask(page)
    stage.script.token("Half")
    await expect(prose(page)).to_have_text("Half")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".failed")).to_contain_text("could not be told to stop")
    await expect(page.get_by_role("button", name="Ask")).to_be_visible()


async def test_a_double_click_asks_once(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await page.get_by_label("Your question").fill("Why?")
    await page.get_by_role("button", name="Ask").dblclick()
    stage.script.token("Because.")
    await expect(prose(page)).to_have_text("Because.")
    assert [method for method, path in stage.requests if path != "/api/v1/knowledge-bases"] == ["POST"]


async def test_a_cut_connection_is_taken_up_without_repeat_or_gap(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await ask(page)
    stage.script.token("One ")
    stage.script.token("two ")
    await expect(prose(page)).to_have_text("One two")
    stage.cut()
    await expect(status(page)).to_have_text(re.compile("Coming back"))
    stage.script.token("three ")
    await expect(prose(page)).to_have_text("One two three")
    stage.cut()
    stage.script.token("four.")
    stage.script.done()
    await expect(status(page)).to_have_text("Done, no sources.")
    await expect(prose(page)).to_have_text("One two three four.")
    assert stage.cursors == ["stream1-2", "stream1-3"]


async def test_a_reloaded_page_goes_on_with_its_answer(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await ask(page, "Still there?")
    stage.script.token("Yes, ")
    await expect(prose(page)).to_have_text("Yes,")
    await page.reload()
    await expect(prose(page)).to_have_text("Yes,")
    stage.script.token("still.")
    stage.script.done()
    await expect(status(page)).to_have_text("Done, no sources.")
    await expect(prose(page)).to_have_text("Yes, still.")
    await expect(page.get_by_role("heading", name="Still there?")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("For example")).to_be_visible()
    assert len(stage.bodies) == 1


async def test_what_is_no_full_answer_says_so(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    for reason, words, says in [
        ("no_answer", "Try other words", "No answer found."),
        ("length", "The answer reached its length limit", "Done, no sources."),
    ]:
        stage.next_script().token("Well.")
        stage.script.done(score=3, reason=reason)
        await ask(page)
        await expect(status(page)).to_have_text(says)
        await expect(page.locator(".notice")).to_contain_text(words)


async def test_a_failure_can_be_tried_again_where_that_helps(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    again = page.get_by_role("button", name="Try again")
    stage.script.token("Half [1]")
    stage.script.fail("internal_error", "Something went wrong.", retryable=False)
    await ask(page)
    await expect(page.get_by_role("alert").filter(has_text="Something went wrong.")).to_be_visible()
    await expect(prose(page)).to_have_text("Half [1]")
    await expect(again).to_have_count(0)
    stage.next_script().fail("upstream_error", "The model did not answer.", retryable=True)
    await ask(page)
    await expect(page.locator(".failed")).to_contain_text("The model did not answer.")
    stage.next_script().token("Whole.")
    await again.click()
    await expect(prose(page)).to_have_text("Whole.")
    assert stage.bodies[1] == stage.bodies[2]


async def test_a_refusal_is_explained(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    again = page.get_by_role("button", name="Try again")
    await page.get_by_role("checkbox", name="engineering").uncheck()
    stage.knowledge_bases["legal"] = 1
    for refusal, words, can_try_again in [
        (Refusal(429, "Too many answers.", {"Retry-After": "5"}), "Too many answers. Try again in 5 seconds.", 1),
        (Refusal(503, "No store.", {"Retry-After": "1"}), "No store. Try again in 1 second.", 1),
        (Refusal(422, "query: too long"), "query: too long", 0),
        (Refusal(404, "No such knowledge base."), "No such knowledge base.", 0),
    ]:
        stage.refusal = refusal
        await ask(page)
        await expect(page.locator(".failed p")).to_have_text(words)
        await expect(again).to_have_count(can_try_again)
    await expect(page.get_by_role("checkbox", name="legal")).to_be_checked()  # after a 404, what there is is read anew
    await expect(page.get_by_role("checkbox", name="engineering")).not_to_be_checked()
    stage.refusal = Refusal(429, "Too many answers.")
    await ask(page)
    stage.script.token("Now.")
    await again.click()
    await expect(prose(page)).to_have_text("Now.")


async def test_a_token_is_asked_for_kept_for_the_tab_and_forgotten(stage: Stage, visit: Visit) -> None:
    stage.token = "secret"
    page = await visit(stage.url)
    field = page.get_by_label("Access token", exact=True)
    await expect(field).to_be_focused()
    await expect(page.locator("#login")).to_contain_text("answers only those it knows")
    await field.fill("wrong")
    await page.get_by_role("button", name="Use token").click()
    await expect(page.locator("#login")).to_contain_text("did not accept the token: The token is missing or not valid.")
    await field.fill(" secret ")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("checkbox", name="handbook")).to_be_checked()
    await expect(field).to_be_hidden()
    await ask(page)
    stage.script.token("Known.")
    await expect(prose(page)).to_have_text("Known.")
    stage.script.done()
    await expect(status(page)).to_have_text("Done, no sources.")
    assert await page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    await page.get_by_role("button", name="Forget the access token").click()
    await expect(field).to_be_visible()


async def test_a_token_that_runs_out_is_asked_for_anew(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await expect(page.get_by_role("checkbox", name="handbook")).to_be_checked()
    stage.token = "fresh"
    await ask(page)
    await page.get_by_label("Access token", exact=True).fill("fresh")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Access token", exact=True)).to_be_hidden()
    stage.script.token("Here.")
    await page.get_by_role("button", name="Try again").click()
    await expect(prose(page)).to_have_text("Here.")


async def test_examples_fit_the_knowledge_bases_there_are(stage: Stage, visit: Visit) -> None:
    question = "How does a client get an access token with OAuth?"
    del stage.knowledge_bases["handbook"]
    page = await visit(stage.url)
    await expect(page.locator(".examples button")).to_have_count(1)
    await page.get_by_role("button", name=question).click()
    await expect(page.get_by_role("heading", name=question)).to_be_visible()
    await expect(page.locator(".examples")).to_have_count(0)
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()


async def test_without_documents_the_page_says_how_to_load_some(stage: Stage, visit: Visit) -> None:
    stage.knowledge_bases = {"empty": 0}
    page = await visit(stage.url)
    await expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    await expect(page.locator("#welcome code")).to_have_text("citestream ingest PATH --kb NAME")
    stage.knowledge_bases = {}
    await page.reload()
    await expect(page.get_by_role("heading", name="No documents yet")).to_be_visible()
    await expect(page.get_by_role("group", name="Search in")).to_be_hidden()


async def test_knowledge_bases_that_cannot_be_listed_can_be_asked_for_again(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await expect(page.get_by_role("checkbox")).to_have_count(2)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "Down."}')

    await page.route("**/api/v1/knowledge-bases", refuse)
    await page.reload()
    await expect(page.locator(".failed")).to_contain_text("could not be listed. Down.")
    await page.unroute("**/api/v1/knowledge-bases")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("checkbox")).to_have_count(2)


async def test_nothing_but_the_page_itself_is_loaded(stage: Stage, visit: Visit) -> None:
    page = await visit("about:blank")
    seen: list[tuple[int, str]] = []
    page.on("response", lambda response: seen.append((response.status, response.url)))
    failed: list[Request] = []
    page.on("requestfailed", lambda request: failed.append(request))
    await page.goto(stage.url)
    await expect(page.get_by_role("checkbox", name="handbook")).to_be_checked()
    assert failed == []
    assert {status for status, _ in seen} == {200}
    assert all(url.startswith((stage.url, "data:")) for _, url in seen)
