"""Excerpts through the whole chain: parsed, cut into chunks, found, quoted, cited, and verbatim in the document."""

from __future__ import annotations

import asyncio
import io
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import docx
import pytest
from fpdf import FPDF
from hypothesis import given, settings
from hypothesis import strategies as st

from citestream.answer.extractive import ExtractiveAnswerer
from citestream.answer.pipeline import Pipeline, Question
from citestream.graphemes import divides
from citestream.ingest.files import SourceFile
from citestream.ingest.load import load
from citestream.model import Citation, Document, document_id
from citestream.retrieval.sqlite_index import SqliteIndex


@dataclass(frozen=True)
class Case:
    """A file, a question, what its excerpt holds, and where that stands."""

    name: str
    content: bytes
    question: str
    excerpt: str
    page: int | None = None
    section: str | None = None


def pdf_of(*pages: str) -> bytes:
    made = FPDF()
    made.set_font("helvetica", size=12)
    for page in pages:
        made.add_page()
        made.multi_cell(0, 6, page)
    return bytes(made.output())


def docx_of(heading: str, *paragraphs: str) -> bytes:
    made = docx.Document()
    made.add_heading(heading, 1)
    for paragraph in paragraphs:
        made.add_paragraph(paragraph)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


LINES = "The desk is open.\r\n\r\nBackups\u00a0are kept\r\nfor 30\u00ad days. They are encrypted.\r\n"
MARKED = (
    "# Guide\n\nText.\n\n## Tokens\n\nA [token](https://x.example/a) **lives** for `15` minutes.\n\n## Other\n\nMore.\n"
)
MARKUP = (
    "<h1>Oﬃce</h1><p>The ﬁrst of&nbsp;ﬁve oﬃces is in&shy; Zu&#x308;rich &#x1F3E2;.</p><h2>Rest</h2><p>Nothing.</p>"
)
ARABIC = "هذا دليل قصير. تُحفظ النسخ الاحتياطية لمدة ثلاثين يومًا. المكتب مفتوح."
HEBREW = "זה מדריך קצר. הגיבויים נשמרים שלושים יום במשרד הראשי. המשרד פתוח."
ASTRAL = "😀 𝒜 first. The 𐍈𐌰𐌿𐍂𐌲𐍃 castle 🏰 stands on 𠀀𠀁 hill 👩\u200d🚀🇩🇪. The end 😀."
COMBINING = "Zuerst. Der Cafe\u0301 na\u0303o q\u0323\u0307uillt u\u0308ber den Rand. Ende."
PAGES = ("The first page is about rent.", "An exam-\nple of travel costs: 30 euros. The rest is paid.", "The end.")

CASES = [
    Case("crlf.txt", LINES.encode(), "How long are backups kept?", "Backups are kept\nfor 30 days."),
    Case("utf16.txt", LINES.encode("utf-16"), "How long are backups kept?", "for 30 days."),
    Case("a.md", MARKED.encode(), "How long lives a token?", "for `15` minutes.", section="Guide > Tokens"),
    Case("a.html", MARKUP.encode(), "What is in Zürich?", "The ﬁrst of ﬁve oﬃces is in Zürich 🏢.", section="Oﬃce"),
    Case(
        "a.pdf", pdf_of(*PAGES), "What is an example of travel costs?", "An example of travel costs: 30 euros.", page=2
    ),
    Case("b.pdf", pdf_of(*PAGES), "What is the first page about?", "The first page is about rent.", page=1),
    Case(
        "a.docx",
        docx_of("Travel", "Rent comes first.", f"Trains cost 30\u00a0euros. {HEBREW}"),
        "What do trains cost?",
        "Trains cost 30 euros.",
        section="Travel",
    ),
    Case("arabic.txt", ARABIC.encode(), "كم تُحفظ النسخ الاحتياطية؟", "ثلاثين يومًا."),
    Case("hebrew.txt", HEBREW.encode(), "כמה זמן הגיבויים נשמרים?", "שלושים יום"),
    Case("astral.txt", ASTRAL.encode(), "Where is the 𐍈𐌰𐌿𐍂𐌲𐍃 castle?", "hill 👩\u200d🚀🇩🇪."),
    Case("combining.txt", COMBINING.encode(), "Was quillt über den Rand, Café?", "Café não q\u0323\u0307uillt über"),
]


async def cited(name: str, content: bytes, question: str) -> tuple[Document, list[Citation]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        await asyncio.to_thread(path.write_bytes, content)
        async with aclosing(SqliteIndex(Path(folder, "index.db"), None)) as index:
            states = [outcome.state async for outcome in load([SourceFile(path, name)], "kb", index, None)]
            assert states == ["added"]
            document = await index.document(document_id("kb", name))
            assert document is not None
            asked = Question(question, ("kb",))
            events = [event async for event in Pipeline(index, ExtractiveAnswerer()).events(asked, "stream")]
            return document, [event for event in events if isinstance(event, Citation)]


def check(document: Document, citation: Citation) -> None:
    start, end = citation.char_start, citation.char_end
    assert document.text[start:end] == citation.excerpt
    assert citation.excerpt.strip()
    assert citation.excerpt.encode()  # no lone surrogate
    assert not divides(document.text, start)
    assert not divides(document.text, end)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_excerpts_are_verbatim_and_say_where_they_stand(case: Case) -> None:
    document, citations = await cited(case.name, case.content, case.question)
    for citation in citations:
        check(document, citation)
    first = citations[0]
    assert case.excerpt in first.excerpt
    assert (first.page, first.section) == (case.page, case.section)


# What normalising, sentences or code points could trip over.
PARTS = ["word ", "answer ", "x" * 120, ". ", "!\r\n", "\n\n", "\u00a0", "\u00ad", "\u2028", "\ufeff", "-\n", "ﬁ", "\t"]
PARTS += [
    "e\u0301",
    "\u0301",
    "한",
    "\u1112\u1161",
    "😀",
    "👩\u200d🚀",
    "🇩🇪",
    "\ufe0f",
    "שלום ",
    "سَلام ",
    "\u200f",
    "。",
    "東京",
]
PARTS += ["# ", "- ", "[1]", "`", "$$", "<b>", "\\", "| "]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(PARTS), max_size=60).map("".join), st.sampled_from(["a.txt", "a.md"]))
def test_whatever_the_text_excerpts_are_verbatim(text: str, name: str) -> None:
    content = f"{text} answer word {text}".encode()
    document, citations = asyncio.run(cited(name, content, "Which word is the answer?"))
    for citation in citations:
        check(document, citation)
