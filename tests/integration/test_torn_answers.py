"""What a model sends, torn apart anywhere, is one and the same answer, streamed and as JSON."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.models import litellm as litellm
from tests.openai_server import DONE, END, OpenAIServer, chunk, delta, finish, usage
from tests.server import product
from tests.sse import answer_of, ask

QUESTION = "How does a client get an access token with OAuth?"
WRITTEN = (
    '<think>Wohl [3] 🤔, oder <b>[9]</b>?</think>\n\n<source n="1" document="a.md">\nÄ\n</source>\n'
    "Tökens gelten [1, 2] 👩\u200d🚀, שלום【2】.\u2028See `a[1]`\r\nand [9] e\u0301 [^3].\n\n**Quellen:**\n1. a.md\n"
)
ANSWER = "Tökens gelten [1][2] 👩\u200d🚀, שלום[2].\u2028See `a[1]`\r\nand e\u0301 [3]."


@pytest.fixture(scope="module")
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def url(openai: OpenAIServer, library: Path, litellm: None) -> Iterator[str]:
    with product(data=library, model="openai/m", api_base=openai.base_url) as url:
        yield url


def seen(url: str, openai: OpenAIServer, steps: Sequence[bytes]) -> dict[str, Any]:
    """The JSON answer, the same as the stream put together."""
    for _ in range(2):
        openai.reply(*steps, END)
    stream = ask(url, QUESTION)
    body: dict[str, Any] = httpx.post(f"{url}/api/v1/search", json={"query": QUESTION}).json()
    assert body["answer"] == answer_of(stream)
    assert body["citations"] == [frame.data for frame in stream if frame.event == "citation"]
    assert (body["confidence_score"], body["components"]) == (
        stream[-1].data["confidence_score"],
        stream[-1].data["components"],
    )
    return body


def event(content: str) -> bytes:
    """A piece of the answer as most providers write it: in UTF-8, not escaped."""
    sent = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    return f"data: {json.dumps(sent | {'choices': choices}, ensure_ascii=False)}\n\n".encode()


def by_bytes() -> list[bytes]:
    whole = event(WRITTEN) + finish() + DONE
    return [whole[at : at + 1] for at in range(len(whole))]


def by_tokens() -> list[bytes]:
    dice, tokens, at = random.Random(1), [], 0
    while at < len(WRITTEN):
        end = at + dice.randint(0, 5)
        tokens.append(delta(WRITTEN[at:end]))
        at = end
    return [chunk(), delta(None), *tokens, finish(), usage(100, 10), DONE]


def by_surrogates() -> list[bytes]:
    units = memoryview(WRITTEN.encode("utf-16-le")).cast("H").tolist()
    return [*(delta(chr(unit)) for unit in units), finish(), DONE]


@pytest.mark.parametrize("tear", [by_bytes, by_tokens, by_surrogates])
def test_a_torn_answer(url: str, openai: OpenAIServer, tear: Any) -> None:
    body = seen(url, openai, tear())
    assert body["answer"] == ANSWER
    assert [citation["number"] for citation in body["citations"]] == [1, 2, 3]
    assert body["components"]["invalid_markers"] == 1


def test_two_passages_of_one_document_are_two_citations(url: str, openai: OpenAIServer) -> None:
    def answered(text: str) -> Any:
        openai.reply(delta(text), finish(), DONE, END)
        return httpx.post(f"{url}/api/v1/search", json={"query": QUESTION, "top_k": 20}).json()

    results = answered("None.")["results"]
    documents = [result["document_id"] for result in results]
    first, second = next(
        (documents.index(document), at) for at, document in enumerate(documents) if document in documents[:at]
    )
    body = answered(f"A [{second + 1}]. B [{first + 1}][{second + 1}].")
    assert body["answer"] == "A [1]. B [2][1]."
    assert [citation["number"] for citation in body["citations"]] == [1, 2]
    for citation, cited in zip(body["citations"], (second, first), strict=True):
        assert citation["document_id"] == documents[first]
        assert results[cited]["char_start"] <= citation["char_start"] < results[cited]["char_end"]


def test_no_answer_goes_out_of_what_never_ends_its_reasoning(url: str, openai: OpenAIServer) -> None:
    for _ in range(2):
        openai.reply(delta("<think>Tokens live "), delta("15 minutes [1]."), finish("length"), DONE, END)
    (failure,) = ask(url, QUESTION)
    assert (failure.event, failure.data["code"]) == ("failure", "upstream_error")
    response = httpx.post(f"{url}/api/v1/search", json={"query": QUESTION})
    assert response.status_code == 502
    assert "15 minutes" not in response.text


def test_markers_are_those_of_the_contract(url: str, openai: OpenAIServer) -> None:
    body = seen(url, openai, [delta("A [3]. `[2]` B [1-3], C [[2]] [2023]."), finish(), DONE])
    assert body["answer"] == "A [1]. `[2]` B [2][3][1], C [3] [2023]."
    marked = re.sub("`[^`]*`", "", body["answer"])
    assert sorted({int(number) for number in re.findall(r"\[(\d{1,3})\]", marked)}) == [1, 2, 3]
