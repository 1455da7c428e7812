"""An answer's text becomes elements: the little Markdown there is, and nothing else, whoever wrote it."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_server import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

RENDER = """async ([text, open]) => {
  const { render } = await import("/static/markdown.js");
  const box = document.createElement("div");
  box.append(render(text, (number) => `‹${number}›`, open));
  return box.innerHTML.replaceAll(' dir="auto"', "");
}"""

MARKDOWN = [
    ("One\ntwo\n\n\nthree", "<p>One\ntwo</p><p>three</p>"),
    ("# A\n### B ##\ntext", "<h3>A</h3><h5>B</h5><p>text</p>"),
    ("###### deep\n#no heading", "<h6>deep</h6><p>#no heading</p>"),
    ("- a\n- b\n\nafter", "<ul><li>a</li><li>b</li></ul><p>after</p>"),
    ("text\n* a\n+ b", "<p>text</p><ul><li>a</li><li>b</li></ul>"),
    ("3. a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("1. a\n   - b\n   - c\n2. d", "<ol><li>a<ul><li>b</li><li>c</li></ul></li><li>d</li></ol>"),
    ("- a\n  1. b\n  2. c\n- d", "<ul><li>a<ol><li>b</li><li>c</li></ol></li><li>d</li></ul>"),
    ("- a\n\n- b\n\n  more", "<ul><li>a</li><li>b<p>more</p></li></ul>"),
    ("- a\nlazy\n\nafter", "<ul><li>a\nlazy</li></ul><p>after</p>"),
    ("- a\n1. b", "<ul><li>a</li></ul><ol><li>b</li></ol>"),
    ("founded in\n1984. Then", "<p>founded in\n1984. Then</p>"),
    ("a\n\n---\n\n* * *\n\nb", "<p>a</p><hr><hr><p>b</p>"),
    ("```py\n**a** [1]\n\n- b\n```\nafter", "<pre><code>**a** [1]\n\n- b</code></pre><p>after</p>"),
    ("~~~\n```\n~~~", "<pre><code>```</code></pre>"),
    ("````\n```\n````", "<pre><code>```</code></pre>"),
    ("```\nnever closed", "<pre><code>never closed</code></pre>"),
    ("- a\n  ```\n  b\n  ```", "<ul><li>a<pre><code>b</code></pre></li></ul>"),
    ("**a *b* [1]** c", "<p><strong>a <em>b</em> ‹1›</strong> c</p>"),
    ("_a_ snake_case_name __init__", "<p><em>a</em> snake_case_name __init__</p>"),
    ("2 * 3 * 4, ** a **, *", "<p>2 * 3 * 4, ** a **, *</p>"),
    ("`[1]` ``a ` b`` `**`", "<p><code>[1]</code> <code>a ` b</code> <code>**</code></p>"),
    ("[1][2] [123] [1234] [ 1 ]", "<p>‹1›‹2› ‹123› [1234] [ 1 ]</p>"),
    ("so [1]. And [2]", '<p>so <span class="unbroken">‹1›.</span> And ‹2›</p>'),
    ("[1](http://a.b) ![1](x)", "<p>[1](http://a.b) ![1](x)</p>"),
    (r"$$a[1]$$ \(b[1]\) \[c[1]\]", r"<p>$$a[1]$$ \(b[1]\) \[c[1]\]</p>"),
    (r"\*not\* \_this\_ \\", r"<p>*not* _this_ \</p>"),
    ("<b>&amp;</b>", "<p>&lt;b&gt;&amp;amp;&lt;/b&gt;</p>"),
    ("| a | b |\n|---|---|", "<p>| a | b |\n|---|---|</p>"),
    ("- " * 40 + "x", None),
    ("", ""),
]

UNFINISHED = [
    ("a **bol", "<p>a <strong>bol</strong></p>"),
    ("a `co", "<p>a <code>co</code></p>"),
    ("a **b** c **", "<p>a <strong>b</strong> c **</p>"),
    ("first **open\n\nsecond", "<p>first **open</p><p>second</p>"),
    ("- a\n- **b", "<ul><li>a</li><li><strong>b</strong></li></ul>"),
    ("## **He", "<h4><strong>He</strong></h4>"),
    ("```\ncode", "<pre><code>code</code></pre>"),
]

HOSTILE = [
    '<img src="x" onerror="hacked()">',
    "<script>hacked()</script>",
    "[click](javascript:hacked())",
    '![x](https://evil.example/?leak")',
    "<https://evil.example>",
    '"><svg onload=hacked()>',
    "`<iframe src=javascript:hacked()>`",
]


async def test_markdown(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    for open_, table in ((False, MARKDOWN), (True, UNFINISHED)):
        for text, html in table:
            rendered = await page.evaluate(RENDER, [text, open_])
            assert html is None or rendered == html, text
    assert (await page.evaluate(RENDER, ["- " * 40 + "x", False])).count("<ul>") == 6  # however deep it is meant


async def test_growing_text_gives_what_the_whole_text_gives_and_touches_only_what_changed(
    stage: Stage, visit: Visit
) -> None:
    page = await visit(stage.url)
    whole = "\n\n".join(text for text, _ in MARKDOWN)
    differences = await page.evaluate(
        """async (text) => {
          const { render } = await import("/static/markdown.js");
          const { patch } = await import("/static/dom.js");
          const grown = document.createElement("div");
          const boxed = (content) => {
            const box = document.createElement("div");
            box.append(content);
            return box;
          };
          const marker = (number) => {
            const chip = document.createElement("button");
            chip.textContent = number;
            return chip;
          };
          const differences = [];
          for (let end = 0; end <= text.length; end += 1) {
            const fresh = () => boxed(render(text.slice(0, end), marker, end < text.length));
            patch(grown, fresh());
            if (grown.innerHTML !== fresh().innerHTML) differences.push(end);
          }
          const kept = [...grown.querySelectorAll("*")];
          patch(grown, boxed(render(text, marker)));
          const after = [...grown.querySelectorAll("*")];
          if (kept.length !== after.length || kept.some((each, i) => each !== after[i])) differences.push("identity");
          return differences;
        }""",
        whole,
    )
    assert differences == []


async def test_hostile_text_stays_text(stage: Stage, visit: Visit) -> None:
    attack = "\n\n".join(HOSTILE)
    document = stage.hold("d1", f"{HOSTILE[0]}.md", "handbook", f"{attack} End.")
    stage.knowledge_bases = {HOSTILE[0]: 1}
    stage.script.token(f"{attack}\n\nSo it is [1].")
    stage.script.cite(1, document, attack, section=HOSTILE[1])
    stage.script.done()
    page = await visit(stage.url)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await page.get_by_label("Your question").fill(HOSTILE[5])
    await page.keyboard.press("Enter")
    await page.locator(".prose .chip:enabled").click()
    assert await page.locator("mark").text_content() == attack
    stage.next_script().fail("upstream_error", HOSTILE[0], retryable=True)
    for text in HOSTILE:
        await expect(page.locator(".prose")).to_contain_text(text.strip("`"))
    made = "main :is(img, script, svg, iframe, a, [onerror], [onload]), dialog :is(img, script, svg, iframe, a)"
    assert await page.locator(made).count() == 0
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator(".failed")).to_contain_text(HOSTILE[0])
    assert await page.locator(made).count() == 0
    assert await page.evaluate("typeof hacked") == "undefined"
    assert all(url.startswith(stage.url) for url in requested)


async def test_the_policy_would_stop_what_the_code_let_through(stage: Stage, visit: Visit) -> None:
    page = await (await visit(stage.url)).context.new_page()  # whose complaint is not held against the test
    await page.goto(stage.url)
    blocked = await page.evaluate(
        """() => new Promise((resolve) => {
          addEventListener("securitypolicyviolation", ({ effectiveDirective }) => resolve(effectiveDirective));
          document.body.insertAdjacentHTML("beforeend", "<img src='https://evil.example/x.png'>");
        })"""
    )
    assert blocked == "img-src"


async def test_text_from_right_to_left_runs_that_way(stage: Stage, visit: Visit) -> None:
    page = await visit(stage.url)
    stage.script.token("שלום עולם [1].\n\nAnd back.\n\n- אחד")
    stage.script.done()
    await page.get_by_label("Your question").fill("מה?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".prose li")).to_be_visible()
    directions = await page.locator(".answer h2, .prose > *").evaluate_all(
        "nodes => nodes.map((node) => getComputedStyle(node).direction)"
    )
    assert directions == ["rtl", "rtl", "ltr", "rtl"]
