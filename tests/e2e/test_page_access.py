"""The page for everyone: by keyboard, by name and role, in light and dark, on a phone, on paper."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_server import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The contrast (WCAG 2.2, 1.4.3) of each element's text with what lies behind it.
CONTRAST = """(selectors) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (node) => {
    const color = rgba(getComputedStyle(node).backgroundColor);
    return color[3] === 255 || !node.parentElement ? color : behind(node.parentElement);
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  return selectors.map((selector) => {
    const node = document.querySelector(selector);
    const style = getComputedStyle(node, selector === "#question" ? "::placeholder" : null);
    const [a, b] = [light(rgba(style.color)), light(behind(node))].sort((x, y) => y - x);
    return [selector, (a + 0.05) / (b + 0.05)];
  });
}"""
TEXTS = [
    *("h1", ".masthead p", "#question", ".choices legend", ".choices label span", ".keys", "#send", "#status"),
    *(".answer h2", ".prose p", ".prose code", ".chip:enabled", ".chip:disabled", ".failed p", ".failed button"),
    *(".sources h3", ".sources .link", ".sources .quiet", ".support", ".number", "mark", "#source-close"),
]


async def ask(page: Page, question: str = "How much leave do I get?") -> None:
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")


def answer(stage: Stage, word: str = "leave") -> None:
    document = stage.hold("d1", f"people/{word}.md", "handbook", f"Everyone gets {word}. " * 300)
    stage.script.token(f"Some `{word}` [1] and {word} [2].\n\n```\n{word} {word}\n```\n\n- {word}")
    stage.script.cite(1, document, f"Everyone gets {word}.", section=word)


async def test_contrast_in_light_and_dark(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    answer(stage)
    await ask(page)
    await page.locator(".chip:enabled").click()
    await expect(page.locator("mark")).to_be_visible()
    stage.script.fail("upstream_error", "The model broke off.", retryable=True)
    await expect(page.locator(".failed button")).to_be_attached()
    await page.locator(".prose p").evaluate("p => p.append(p.querySelector('.chip').cloneNode(true))")
    await page.locator(".prose .chip").last.evaluate("chip => { chip.disabled = true; }")
    papers: set[str] = set()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        too_low = [(text, ratio) for text, ratio in await page.evaluate(CONTRAST, TEXTS) if ratio < 4.5]
        assert too_low == [], scheme
        papers.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == {"rgb(250, 249, 246)", "rgb(21, 23, 26)"}


async def test_nothing_but_the_keyboard_is_needed(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await expect(page.get_by_role("checkbox")).to_have_count(2)
    await page.keyboard.type("How much leave do I get?")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("checkbox", name="engineering")).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Ask")).to_be_focused()
    await page.keyboard.press("Enter")
    answer(stage)
    stage.script.done()
    chip = page.locator(".prose .chip:enabled")
    await expect(chip).to_be_enabled()
    await page.keyboard.press("Tab")
    await expect(chip).to_be_focused()
    assert await chip.evaluate("chip => getComputedStyle(chip).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.locator("mark")).to_have_text("Everyone gets leave.")
    await expect(page.get_by_role("button", name="Close the source")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(chip).to_be_focused()
    assert stage.bodies[0]["kb_ids"] == ["handbook"]


async def test_stop_by_keyboard_keeps_the_focus(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await page.get_by_label("Your question").fill("Why?")
    await page.get_by_role("button", name="Ask").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#status")).to_have_text("Stopped.")
    await expect(page.get_by_role("button", name="Ask")).to_be_focused()


async def test_everything_has_a_name_and_a_role(stage: Stage, visit: Visit) -> None:
    stage.token = "secret"
    page = await visit(stage.url)
    await expect(page.get_by_role("textbox", name="Access token")).to_be_visible()
    await page.get_by_role("textbox", name="Access token").fill("secret")
    await page.keyboard.press("Enter")
    answer(stage)
    stage.script.done()
    await expect(page.get_by_role("group", name="Search in").get_by_role("checkbox")).to_have_count(2)
    await ask(page)
    await expect(page.get_by_role("meter", name="Confidence")).to_be_visible()
    await expect(page.get_by_role("meter", name="Support")).to_be_visible()
    await expect(page.get_by_role("region", name="How much leave do I get?")).to_be_visible()
    await expect(page.get_by_role("status").first).to_have_text("Done, 1 source.")
    headings = page.locator("main, header").get_by_role("heading")
    assert await headings.evaluate_all("all => all.map((heading) => heading.tagName)") == ["H1", "H2", "H3", "H4"]
    assert await page.evaluate("document.documentElement.lang") == "en"
    snapshot = await page.locator("body").aria_snapshot()
    assert re.search(r"- (button|textbox|checkbox)(:|$)", snapshot, re.MULTILINE) is None, "each has a name"


async def test_no_width_needs_sideways_scrolling(stage: Stage, visit: Visit) -> None:
    word = "pneumonoultramicroscopicsilicovolcanoconiosis" * 4
    stage.knowledge_bases = {word: 1, "handbook": 2}
    page = await visit(stage.url)
    overflows: list[tuple[str, int]] = []

    async def look(what: str) -> None:
        for width in (320, 768):
            await page.set_viewport_size({"width": width, "height": 640})
            is_wide = "boxes => boxes.some(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)"
            if await page.locator("html, dialog").evaluate_all(is_wide):
                overflows.append((what, width))

    await expect(page.get_by_role("checkbox")).to_have_count(2)
    await look("the empty page")
    await ask(page, word)
    answer(stage, word)
    stage.script.done()
    await expect(page.get_by_role("meter", name="Confidence")).to_be_visible()
    await look("the answer")
    await page.locator(".chip:enabled").click()
    await expect(page.locator("mark")).to_be_in_viewport()
    await look("the panel")
    assert overflows == []


async def test_chips_are_large_enough_to_touch_and_motion_is_for_those_who_want_it(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    await ask(page)
    await expect(page.locator("#status")).to_have_text("Searching…")
    waiting = "box => getComputedStyle(box, '::before').animationName"
    assert await page.locator(".prose").evaluate(waiting) == "none"
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.locator(".prose").evaluate(waiting) == "breathe"
    answer(stage)
    await expect(page.locator(".chip:enabled")).to_be_visible()
    sides = "chip => ['width', 'height'].map((side) => parseFloat(getComputedStyle(chip, '::after')[side]))"
    assert min(await page.locator(".chip:enabled").evaluate(sides)) >= 24  # WCAG 2.2, 2.5.8


async def test_a_printed_page_is_the_answer_and_its_sources(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    answer(stage)
    stage.script.done()
    await ask(page)
    await expect(page.get_by_role("meter", name="Confidence")).to_be_visible()
    await page.emulate_media(media="print")
    await expect(page.locator("#ask")).to_be_hidden()
    await expect(page.locator("#status")).to_be_hidden()
    await expect(page.locator(".prose")).to_be_visible()
    await expect(page.locator(".sources")).to_be_visible()
    brackets = await page.locator(".chip").evaluate(
        "chip => ['::before', '::after'].map((part) => getComputedStyle(chip, part).content)"
    )
    assert brackets == ['"["', '"]"']
