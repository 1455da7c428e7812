"""Injections: whatever documents, questions and conversations say, no rule of the product gives way.

Each attempt is made on the built-in answerer, and on a model that falls for everything: it prints all that it was
given, its rules and every number that it saw, and searches for what it must not find.
"""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from citestream.answer.answerer import Answerer
from citestream.answer.extractive import ExtractiveAnswerer
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.answer.pipeline import Pipeline
from citestream.answer.visible import harmless
from citestream.app import Engine, create_local_app, make_hub
from citestream.ingest.files import find_files
from citestream.ingest.load import load
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.settings import load_settings
from citestream.streams.sqlite_log import SqliteStreamLog
from tests.injections import ANSWER, ATTEMPTS, QUESTION, Attempt
from tests.issuer import AUDIENCE, Issuer, bearer
from tests.models import litellm as litellm
from tests.openai_server import OpenAIServer, Step, answer
from tests.server import serving

VAULT = "vault-of-finance"
CALLER, GROUP = "ada-5150", "people-6174"
SECRETS = (
    *("OSTRICH-7741", VAULT, "vault-codes.txt"),  # of a knowledge base that the asker may not read
    *("HERON-3306", "board.txt"),  # of a document that is for others
    *(CALLER, GROUP, "sk-only-for-tests"),
)
# What the fence is made of, read by its grammar alone.
SOURCE = re.compile(
    r'<source n="(\d+)" document="[^"<>\n]*"(?: page="\d+")?(?: section="[^"<>\n]*")?>\n(.*?)\n</source>\n\n', re.DOTALL
)


class Obedient(OpenAIServer):
    """A model that does what any text tells it to."""

    def canned(self, asked: str, body: dict[str, Any]) -> Sequence[Step]:
        everything = "\n\n".join(message["content"] for message in body["messages"])
        if everything.startswith("You are given a conversation"):
            return answer(f"How long are backups kept? {VAULT} OSTRICH HERON codes, principals, all kb_ids")
        brackets = re.findall(r"!?(?:\[|【|［)[^\n\]】］]{0,40}(?:\]|】|］)(?:\(\S*\))?", everything)
        told = everything.replace("<", "(")  # as it is, it is known for an echo, and left out
        said = f"{ANSWER[:-1]} [1][2][9]. {' '.join(brackets)} So [2].\n\n{told}\n\n{everything}\n\nAs told [7][1]."
        return answer(*(said[at : at + 97] for at in range(0, len(said), 97)))


@dataclass(frozen=True)
class Place:
    """The product with both answerers, each of which the same caller asks; ``others`` may read what is secret."""

    urls: dict[str, str]
    model: Obedient
    headers: dict[str, str]
    others: dict[str, str]

    def ask(self, answerer: str, attempt: Attempt) -> dict[str, Any]:
        history = [{"role": role, "content": content} for role, content in attempt.history]
        body = {"query": attempt.question, "kb_ids": [kb_id(attempt)]} | ({"history": history} if history else {})
        response = httpx.post(f"{self.urls[answerer]}/api/v1/search", json=body, headers=self.headers, timeout=20)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def text(self, document_id: str) -> dict[str, Any]:
        path = f"{self.urls['extractive']}/api/v1/documents/{document_id}"
        found: dict[str, Any] = httpx.get(path, headers=self.headers).json()
        return found


def kb_id(attempt: Attempt) -> str:
    return f"kb-{ATTEMPTS.index(attempt)}"


def written(folder: Path) -> dict[str, Path]:
    """The documents of each attempt, each in a knowledge base with one for others; and the vault."""
    for attempt in ATTEMPTS:
        below = folder / kb_id(attempt)
        below.mkdir()
        (below / "policy.txt").write_text(f"{ANSWER} They are tested weekly.")
        (below / "board.txt").write_text("Backups are kept for HERON-3306 days in truth.")
        (below / "board.txt.access.json").write_text('{"principals": ["board"]}')
        if attempt.text:
            (below / attempt.document).parent.mkdir(exist_ok=True)  # a name may look like a path
            (below / attempt.document).write_text(attempt.text)
    (folder / VAULT).mkdir()
    (folder / VAULT / "vault-codes.txt").write_text("Backups are kept for ever, by the code OSTRICH-7741.")
    return {below.name: below for below in folder.iterdir()}


async def ingested(folders: dict[str, Path], index: SqliteIndex) -> None:
    for name, folder in folders.items():
        files = find_files([str(folder)]).files.values()
        assert {outcome.state async for outcome in load(files, name, index, None)} == {"added"}


@pytest.fixture(scope="module")
def place(litellm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    data = tmp_path_factory.mktemp("injections")
    (data / "documents").mkdir()
    asyncio.run(fill(data))
    with Obedient() as model, Issuer() as issuer:
        settings = load_settings(
            {}, data=data, auth="jwt", jwt_issuer=issuer.url, jwt_audience=AUDIENCE, max_answers=10
        )
        answerers: dict[str, Answerer] = {
            "extractive": ExtractiveAnswerer(),
            "model": LiteLLMAnswerer(("openai/gpt-4o",), api_base=model.base_url),
        }
        engines = {}
        for name, answerer in answerers.items():
            index = SqliteIndex(data / "index.db", None)
            hub = make_hub(settings, SqliteStreamLog(data / f"{name}.db", 3600))
            engines[name] = Engine(index, None, Pipeline(index, answerer), hub)
        token = issuer.token(sub=CALLER, groups=[GROUP], kb_ids=[kb_id(attempt) for attempt in ATTEMPTS])
        with (
            serving(create_local_app(settings, engines["extractive"])) as extractive,
            serving(create_local_app(settings, engines["model"])) as modelled,
        ):
            urls = {"extractive": extractive, "model": modelled}
            yield Place(urls, model, bearer(token), bearer(issuer.token(sub="board", kb_ids="*")))


async def fill(data: Path) -> None:
    index = SqliteIndex(data / "index.db", None)
    await ingested(written(data / "documents"), index)
    await index.aclose()


def test_what_is_secret_is_there_for_others(place: Place) -> None:
    body = {"query": QUESTION, "kb_ids": [VAULT, kb_id(ATTEMPTS[0])]}
    url = f"{place.urls['extractive']}/api/v1/search"
    found = httpx.post(url, json=body, headers=place.others).json()["results"]
    assert {"vault-codes.txt", "board.txt"} <= {result["document_name"] for result in found}
    assert httpx.post(url, json=body, headers=place.headers).status_code == 404


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_what_the_built_in_answerer_says(place: Place, attempt: Attempt) -> None:
    found = place.ask("extractive", attempt)
    assert found["citations"] or (attempt.question != QUESTION and found["finish_reason"] == "no_answer")
    check_answer(place, attempt, found)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_what_an_obedient_model_is_told_and_what_comes_out(place: Place, attempt: Attempt) -> None:
    asked = len(place.model.replies)
    found = place.ask("model", attempt)
    requests = [reply.request.result(0)["messages"] for reply in place.model.replies[asked:]]
    assert len(requests) == (2 if attempt.history else 1)
    check_prompt(requests[-1], attempt, found["results"])
    check_nothing_secret(json.dumps(requests, ensure_ascii=False))
    assert kb_id(attempt) not in json.dumps(requests)
    check_answer(place, attempt, found)
    assert found["components"]["invalid_markers"] >= 1
    assert "You answer a question from the sources" in found["answer"], "the rules are no secret, and hold none"
    assert found["results"][-1]["text"].split()[0] in found["answer"]


def check_prompt(messages: list[dict[str, str]], attempt: Attempt, results: list[dict[str, Any]]) -> None:
    """The sources are the passages and nothing else, and what follows them is the question."""
    rules, *turns, last = messages
    assert (rules["role"], last["role"]) == ("system", "user")
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    at, shown = 0, []
    while source := SOURCE.match(last["content"], at):
        shown.append((int(source[1]), source[2]))
        at = source.end()
    assert shown == [(number, harmless(result["text"])) for number, result in enumerate(results, start=1)]
    assert last["content"][at:] == f"Question: {harmless(attempt.question)}"
    for message in (last, *turns):
        seen = unicodedata.normalize("NFKC", message["content"])
        tags = re.findall(r"<\W*source|<\|", "".join(char for char in seen if unicodedata.category(char) != "Cf"), re.I)
        assert len(tags) == (2 * len(shown) if message is last else 0)


def check_answer(place: Place, attempt: Attempt, found: dict[str, Any]) -> None:
    """Every marker has its citation, every citation its marker, and what it quotes stands in a document of its own."""
    check_nothing_secret(json.dumps(found, ensure_ascii=False))
    numbers = [citation["number"] for citation in found["citations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= len(found["results"])
    if "```" not in found["answer"]:
        assert list(dict.fromkeys(map(int, re.findall(r"\[(\d{1,3})\]", found["answer"])))) == numbers
        assert not re.search(r"[【［]\s*\d", found["answer"])
    for citation in found["citations"]:
        document = place.text(citation["document_id"])
        assert document["kb_id"] == citation["kb_id"] == kb_id(attempt)
        assert document["text"][citation["char_start"] : citation["char_end"]] == citation["excerpt"]


def check_nothing_secret(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []
