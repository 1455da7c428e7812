"""The sample documents: readable, of a sensible size, and answering the questions that come with them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypedDict

import docx
import pytest
from docx.table import Table
from lxml import html  # type: ignore[import-untyped]
from markdown_it import MarkdownIt
from pypdf import PdfReader

from tests.tools.make_samples import SAMPLES, Block, backup_policy, blocks, security_handbook

DOCUMENTS = (
    "engineering/database-backup-policy.docx",
    "engineering/deploy-checklist.html",
    "engineering/incident-runbook.md",
    "engineering/oauth-guide.md",
    "engineering/release-notes.md",
    "handbook/onboarding.md",
    "handbook/remote-work.txt",
    "handbook/security-handbook.pdf",
    "handbook/travel-policy.md",
)
PDF = SAMPLES / "handbook/security-handbook.pdf"
DOCX = SAMPLES / "engineering/database-backup-policy.docx"


class Question(TypedDict):
    """An entry of ``questions.json``; where no document answers it, the last three are null."""

    question: str
    kb_id: str
    document_name: str | None
    answer_contains: str | None
    excerpt_contains: str | None


QUESTIONS: list[Question] = json.loads((SAMPLES / "questions.json").read_text("utf-8"))


def plain_text(data: bytes) -> str:
    return data.decode("utf-8")


def html_text(data: bytes) -> str:
    return str(html.fromstring(data.decode("utf-8")).text_content())


def pdf_text(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def docx_text(data: bytes) -> str:
    lines: list[str] = []
    for block in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(block, Table):
            lines += [" ".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            lines.append(block.text)
    return "\n".join(lines)


READERS: dict[str, Callable[[bytes], str]] = {
    ".docx": docx_text,
    ".html": html_text,
    ".md": plain_text,
    ".pdf": pdf_text,
    ".txt": plain_text,
}


def text_of(name: str) -> str:
    """The document's text with every run of white space folded into one space."""
    path = SAMPLES / name
    return " ".join(READERS[path.suffix](path.read_bytes()).split())


TEXTS = {name: text_of(name) for name in DOCUMENTS}


def test_the_folders_hold_these_documents_and_nothing_else() -> None:
    assert sorted(p.relative_to(SAMPLES).as_posix() for p in SAMPLES.glob("*/*")) == sorted(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_of_the_length_of_a_teams_own(name: str) -> None:
    most = 2_500 if name.endswith(".pdf") else 1_200
    assert 400 <= len(TEXTS[name].split()) <= most


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_small(name: str) -> None:
    assert (SAMPLES / name).stat().st_size < 60_000


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".md")])
def test_a_markdown_document_has_a_title_sections_a_list_and_a_table(name: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse((SAMPLES / name).read_text("utf-8"))
    tags = Counter(token.tag for token in tokens if token.type.endswith("_open"))
    assert tags["h1"] == 1
    assert tags["h2"] >= 4
    assert tags["li"] >= 3
    assert tags["table"] >= 1


def test_the_html_document_has_headings_lists_a_table_and_code() -> None:
    page = html.fromstring((SAMPLES / "engineering/deploy-checklist.html").read_text("utf-8"))
    assert [heading.text_content() for heading in page.iter("h1")] == ["Deploy checklist"]
    assert len(list(page.iter("h2"))) >= 4
    assert all(list(page.iter(tag)) for tag in ("ol", "ul", "table", "pre"))


def test_the_docx_has_headings_and_tables() -> None:
    document = docx.Document(io.BytesIO(DOCX.read_bytes()))
    styles = Counter(p.style.name for p in document.paragraphs if p.style)
    assert styles["Heading 1"] == 1
    assert styles["Heading 2"] >= 4
    assert styles["List Number"] >= 3
    assert len(document.tables) == 2


def test_the_pdf_has_numbered_pages_and_an_outline() -> None:
    reader = PdfReader(io.BytesIO(PDF.read_bytes()))
    pages = [page.extract_text() for page in reader.pages]
    assert 4 <= len(pages) <= 6
    for number, text in enumerate(pages, 1):
        assert text.endswith(f"page {number} of {len(pages)}")
    assert "/Outlines" in reader.root_object
    assert "/FontFile2" not in PDF.read_bytes().decode("latin-1")


def test_several_documents_have_letters_beyond_english() -> None:
    assert "高橋美咲" in TEXTS["engineering/incident-runbook.md"]
    assert "Für die Kolleginnen" in TEXTS["handbook/travel-policy.md"]
    assert "Tomasz Wójcik" in TEXTS["engineering/database-backup-policy.docx"]
    assert "Zoë Lindqvist" in TEXTS["handbook/security-handbook.pdf"]


@pytest.mark.parametrize(
    ("fact", "names"),
    [
        ("15 minutes", ("engineering/oauth-guide.md", "engineering/release-notes.md")),
        ("within 1 hour", ("handbook/security-handbook.pdf", "handbook/remote-work.txt")),
        ("gaugectl rollback", ("engineering/deploy-checklist.html", "engineering/incident-runbook.md")),
        ("10 working days", ("handbook/security-handbook.pdf", "handbook/onboarding.md")),
        ("every 180 days", ("engineering/oauth-guide.md", "handbook/security-handbook.pdf")),
        ("12 minutes without a reading", ("engineering/incident-runbook.md", "engineering/release-notes.md")),
    ],
)
def test_a_fact_stands_in_two_documents(fact: str, names: tuple[str, str]) -> None:
    assert all(fact in TEXTS[name] for name in names)


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q["document_name"]], ids=lambda q: q["question"])
def test_a_questions_excerpt_stands_in_its_document_alone(question: Question) -> None:
    assert question["answer_contains"]
    assert question["excerpt_contains"]
    own = f"{question['kb_id']}/{question['document_name']}"
    assert [name for name, text in TEXTS.items() if question["excerpt_contains"] in text] == [own]
    assert question["answer_contains"] in TEXTS[own]


@pytest.mark.parametrize("question", [q for q in QUESTIONS if not q["document_name"]], ids=lambda q: q["question"])
def test_a_question_without_an_answer_names_nothing(question: Question) -> None:
    assert question["answer_contains"] is None
    assert question["excerpt_contains"] is None
    rare = max(re.findall(r"\w+", question["question"]), key=len)
    assert not any(rare.casefold() in text.casefold() for text in TEXTS.values())


def test_every_document_answers_two_questions() -> None:
    answered = Counter(f"{q['kb_id']}/{q['document_name']}" for q in QUESTIONS if q["document_name"])
    assert set(answered) == set(DOCUMENTS)
    assert min(answered.values()) >= 2
    assert sum(1 for q in QUESTIONS if not q["document_name"]) == 3


def test_the_demonstration_comes_first() -> None:
    assert QUESTIONS[0]["question"] == "How does a client get an access token with OAuth?"


def test_the_committed_pdf_is_what_its_text_gives() -> None:
    assert pdf_text(security_handbook()) == pdf_text(PDF.read_bytes())


def test_the_committed_docx_is_what_its_text_gives() -> None:
    assert docx_text(backup_policy()) == docx_text(DOCX.read_bytes())


@pytest.mark.parametrize("build", [security_handbook, backup_policy])
def test_a_rebuild_changes_no_byte(build: Callable[[], bytes]) -> None:
    assert build() == build()


def test_no_time_of_the_rebuild_is_in_it() -> None:
    metadata = PdfReader(PDF).metadata
    assert metadata is not None
    assert metadata.creation_date == datetime(2026, 7, 1, tzinfo=UTC)
    with zipfile.ZipFile(DOCX) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_blocks_of_a_text() -> None:
    source = "# Title\n\n## Part\n\nWords.\n\n- one\n- two\n\n1. first\n2. second\n\n| a | b |\n| c | d |\n"
    assert blocks(source) == [
        Block("heading", "Title", level=1),
        Block("heading", "Part", level=2),
        Block("paragraph", "Words."),
        Block("bullet", "one"),
        Block("bullet", "two"),
        Block("number", "first", level=1),
        Block("number", "second", level=2),
        Block("table", rows=(("a", "b"), ("c", "d"))),
    ]
