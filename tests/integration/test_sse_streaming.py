"""The stream of an answer, byte by byte, from a real server over a real socket."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.openai_server import DONE, END, OpenAIServer, delta, finish, usage
from tests.server import product, raw
from tests.sse import STREAM, answer_of, ask, frames

QUESTION = "How does a client get an access token with OAuth?"


def dechunked(body: bytes) -> bytes:
    text, at = b"", 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if size == 0:
            return text
        text += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def test_search_with_sse_accept_header_returns_event_stream(url: str) -> None:
    with httpx.stream("POST", f"{url}/api/v1/search", json={"query": QUESTION}, headers=STREAM) as response:
        assert response.status_code == 200
        sent = response.headers
        assert sent["content-type"] == "text/event-stream; charset=utf-8"
        assert sent["cache-control"] == "no-store, no-transform"
        assert sent["x-accel-buffering"] == "no"
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["vary"] == "Accept"
        assert re.fullmatch(r"/api/v1/streams/[A-Za-z0-9_-]+", sent["location"])
        assert "content-length" not in sent
        assert "content-encoding" not in sent
        assert list(frames(response))[-1].event == "done"


def test_the_bytes_on_the_wire_are_these_lines_and_no_others(url: str) -> None:
    body = '{"query":"token lifetime","include":["results"]}'
    request = (
        "POST /api/v1/search HTTP/1.1\nHost: localhost\nAccept: text/event-stream\nContent-Type: application/json\n"
        f"Accept-Encoding: gzip, br\nConnection: close\nContent-Length: {len(body)}\n\n{body}"
    )
    head, _, chunks = raw(url, request).partition(b"\r\n\r\n")
    stream_id = re.search(rb"location: /api/v1/streams/(\S+)", head)[1].decode()  # type: ignore[index]
    wire = dechunked(chunks)
    assert wire.startswith(b": open\nevent: results\n")
    assert b"\r" not in wire
    blocks = wire.removeprefix(b": open\n").decode().split("\n\n")
    assert blocks.pop() == ""
    for n, block in enumerate(blocks, start=1):
        retry = "retry: 1500\n" if n == 1 else ""
        layout = rf"event: (results|token|citation|done)\ndata: \{{.*\}}\n{retry}id: {stream_id}-{n}"
        assert re.fullmatch(layout, block), block
        assert len(block.encode()) + 2 <= 16 * 1024


def test_the_first_byte_is_a_comment_without_a_blank_line(url: str) -> None:
    with httpx.stream("POST", f"{url}/api/v1/search", json={"query": QUESTION}, headers=STREAM) as response:
        assert next(response.iter_raw()).startswith(b": open\n")


def test_sse_events_streamed_in_correct_order(url: str) -> None:
    stream = ask(url, QUESTION, include=["results"])
    kinds = [frame.event for frame in stream]
    shape = "".join({"results": "r", "token": "t", "citation": "c", "done": "d"}[kind] for kind in kinds)
    assert re.fullmatch(r"r+t+c+d", shape)
    stream_id = stream[-1].data["stream_id"]
    assert [frame.id for frame in stream] == [f"{stream_id}-{n}" for n in range(1, len(stream) + 1)]


def test_results_come_only_when_they_are_asked_for(url: str) -> None:
    assert "results" not in {frame.event for frame in ask(url, QUESTION)}


@pytest.fixture
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def test_sse_token_events_contain_incremental_text(openai: OpenAIServer, library: Path) -> None:
    """Each piece arrives before the model has been told to write the next one."""
    with product(data=library, model="openai/m", api_base=openai.base_url) as url:
        reply = openai.reply()
        body = {"query": QUESTION}
        with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
            arriving = frames(response)
            texts = ["A client uses ", "the authorization code flow ", "with PKCE [1]."]
            seen = ""
            for n, text in enumerate(texts, start=1):
                reply.send(delta(text))
                frame = next(arriving)
                assert frame.event == "token"
                seen += frame.data["text"]
                # White space at the end may wait for what follows it.
                assert seen.rstrip() == "".join(texts[:n]).rstrip()
            reply.send(finish(), usage(100, 3), DONE, END)
            rest = [frame.event for frame in arriving]
    assert rest == ["citation", "done"]


def test_sse_citation_events_contain_metadata(url: str) -> None:
    stream = ask(url, QUESTION, include=["results"])
    citations = [frame.data for frame in stream if frame.event == "citation"]
    names = {"number", "document_id", "document_name", "kb_id", "excerpt", "char_start", "char_end", "page", "section"}
    assert citations
    for number, citation in enumerate(citations, start=1):
        assert set(citation) == names | {"score", "support"}
        assert citation["number"] == number
        assert 0 <= citation["support"] <= 1
        document = httpx.get(f"{url}/api/v1/documents/{citation['document_id']}").json()
        assert document["text"][citation["char_start"] : citation["char_end"]] == citation["excerpt"] != ""
        assert (document["document_name"], document["kb_id"]) == (citation["document_name"], citation["kb_id"])
    assert [f"[{c['number']}]" for c in citations] == list(dict.fromkeys(re.findall(r"\[\d+\]", answer_of(stream))))


def test_done_says_how_far_to_trust_the_answer_and_what_it_cost(url: str) -> None:
    done = ask(url, QUESTION)[-1].data
    assert set(done) == {"confidence_score", "finish_reason", "stream_id", "components", "usage", "timing_ms"}
    assert done["finish_reason"] == "stop"
    assert isinstance(done["confidence_score"], int)
    assert 50 < done["confidence_score"] <= 100
    assert done["components"]["invalid_markers"] == 0
    assert done["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert set(done["timing_ms"]) == {"retrieval", "first_token", "total"}


def test_done_counts_what_the_model_counted_and_the_time_it_took(openai: OpenAIServer, library: Path) -> None:
    with product(data=library, model="openai/m", api_base=openai.base_url) as url:
        openai.reply(0.05, delta("Yes [1]."), finish(), usage(100, 3), DONE, END)
        started = time.monotonic()
        done = ask(url, QUESTION)[-1].data
        taken = (time.monotonic() - started) * 1000
    assert done["usage"] == {"input_tokens": 100, "output_tokens": 3}
    timing = done["timing_ms"]
    assert 0 <= timing["retrieval"] <= timing["first_token"] - 40  # the model waits 50 ms
    assert timing["first_token"] <= timing["total"] <= taken + 1  # rounded


def test_sse_reconnection_resumes_from_last_event(url: str) -> None:
    body = {"query": QUESTION, "include": ["results"]}
    with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
        location = response.headers["location"]
        arriving = frames(response)
        seen = [next(arriving), next(arriving)]
    headers = STREAM | {"Last-Event-ID": seen[-1].id or ""}
    with httpx.stream("GET", f"{url}{location}", headers=headers) as response:
        rest = list(frames(response))
    with httpx.stream("GET", f"{url}{location}", headers=STREAM) as response:
        replay = list(frames(response))
    assert [frame.lines for frame in seen + rest] == [frame.lines for frame in replay]
    assert replay[-1].event == "done"


def test_search_without_sse_header_returns_non_streaming(url: str) -> None:
    response = httpx.post(f"{url}/api/v1/search", json={"query": QUESTION})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "Accept"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert set(body) == {
        *("answer", "citations", "confidence_score", "results", "finish_reason"),
        *("stream_id", "components", "usage", "timing_ms"),
    }
    assert {"chunk_id", "document_id", "document_name", "kb_id", "text", "char_start", "char_end"} < set(
        body["results"][0]
    )


@pytest.mark.parametrize("question", [QUESTION, "What must I do when my laptop is lost?", "Who owns the moon?", "?"])
def test_the_json_answer_is_the_stream_put_together(url: str, question: str) -> None:
    stream = ask(url, question, include=["results"])
    body = httpx.post(f"{url}/api/v1/search", json={"query": question}).json()
    assert body["answer"] == answer_of(stream)
    assert body["citations"] == [frame.data for frame in stream if frame.event == "citation"]
    assert body["results"] == [each for frame in stream if frame.event == "results" for each in frame.data["results"]]
    for name in ("confidence_score", "finish_reason", "components", "usage"):
        assert body[name] == stream[-1].data[name]


def test_a_question_that_the_documents_do_not_answer(url: str) -> None:
    stream = ask(url, "Who won the chess championship in 1972?")
    assert [frame.event for frame in stream] == ["token", "done"]
    assert stream[-1].data["finish_reason"] == "no_answer"
    assert stream[-1].data["confidence_score"] <= 5


def test_silence_is_filled_with_heartbeats_without_id_or_blank_line(openai: OpenAIServer, library: Path) -> None:
    with product(data=library, model="openai/m", api_base=openai.base_url, heartbeat_seconds=0.05) as url:
        reply = openai.reply()
        body = {"query": QUESTION}
        with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
            received, silent = b"", True
            for chunk in response.iter_raw():
                received += chunk
                if silent and received.count(b": hb\n") >= 3:
                    silent = False
                    reply.send(delta("Yes [1]."), finish(), usage(1, 1), DONE, END)
    assert received.startswith(b": open\n: hb\n: hb\n: hb\n")
    assert b"\n\n: hb\n\n" not in received
    assert received.split(b"\n\n")[-2].endswith(b"-3")


def test_get_is_the_same_for_clients_that_can_only_get(url: str) -> None:
    parameters = {"query": QUESTION, "kb_ids": "engineering", "top_k": "3", "include": "results"}
    with httpx.stream("GET", f"{url}/api/v1/search", params=parameters, headers=STREAM) as response:
        got = list(frames(response))
    posted = ask(url, QUESTION, kb_ids=["engineering"], top_k=3, include=["results"])
    assert [frame.fields["data"] for frame in got[:-1]] == [frame.fields["data"] for frame in posted[:-1]]
    assert sum(len(frame.data["results"]) for frame in got if frame.event == "results") == 3


@pytest.mark.parametrize("kb_ids", [["engineering"], ["handbook"], ["handbook", "engineering", "handbook"]])
def test_the_named_knowledge_bases_are_searched_and_no_others(url: str, kb_ids: list[str]) -> None:
    fields: dict[str, Any] = {"query": "What must I do about access to the laptop?", "top_k": 20}
    posted = httpx.post(f"{url}/api/v1/search", json=fields | {"kb_ids": kb_ids}).json()
    got = httpx.get(f"{url}/api/v1/search", params=fields | {"kb_ids": ",".join(kb_ids)}).json()
    assert {result["kb_id"] for result in posted["results"]} == set(kb_ids)
    assert posted["results"] == got["results"]
    assert {citation["kb_id"] for citation in posted["citations"]} <= set(kb_ids)


def test_ids_never_repeat_between_streams(url: str) -> None:
    ids = [{frame.id for frame in ask(url, QUESTION)} for _ in range(3)]
    assert all(not first & second for first, second in pairwise(ids))
