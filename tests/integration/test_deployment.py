"""The deployment as a whole: bucket, ingest, stores, streaming function, models; AWS alone is played by others."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docx
import pytest
from fpdf import FPDF

from asgi_lambda.emulator import Function
from tests.aws import AwsServer, Stores
from tests.bedrock_server import BedrockServer
from tests.bucket import Bucket
from tests.lambda_platform import ROOT, Emulated, Outcome, emulated, measured
from tests.patience import UNHURRIED_ENVIRONMENT
from tests.sse import decoded

# As the platform's own client calls it: one event after the other, in one process.
INGEST = """
import json, sys
from citestream import handlers

class Context:
    def get_remaining_time_in_millis(self):
        return 900_000

ingest = handlers.ingest
for line in sys.stdin:
    print(json.dumps(ingest(json.loads(line), Context())), flush=True)
"""
SENTENCES = {
    "handbook/harbour rules.pdf": "Ships over forty metres take a pilot on board before the outer buoy.",
    "handbook/cranes.docx": "The north crane lifts twelve tonnes and is inspected every spring.",
    "handbook/tides.html": "High water at the north quay comes forty minutes after the outer buoy.",
}


def pdf(text: str) -> bytes:
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica", size=12)
    made.multi_cell(0, 8, text)
    return bytes(made.output())


def word(text: str) -> bytes:
    made, file = docx.Document(), io.BytesIO()
    made.add_heading("Cranes")
    made.add_paragraph(text)
    made.save(file)
    return file.getvalue()


def html(text: str) -> bytes:
    return f"<!doctype html><title>Tides</title><h1>Tides</h1><p>{text}</p>".encode()


@contextmanager
def ingest_function(environ: dict[str, str]) -> Iterator[Any]:
    """The ingest function; called with an event, it returns the reply."""
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST], cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def call(event: Any) -> Any:
            stdin.write(json.dumps(event) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield call
        stdin.close()


@pytest.mark.timeout(300)
def test_documents_are_answered_from_until_they_are_deleted(
    aws_server: AwsServer, aws_stores: Stores, tmp_path: Any
) -> None:
    bucket = Bucket(aws_server, aws_stores)
    made = {".pdf": pdf, ".docx": word, ".html": html}
    for key, text in SENTENCES.items():
        bucket.put(key, made[key[key.rindex(".") :]](text))
    with BedrockServer() as bedrock:
        environ = bedrock.environment | aws_server.environ | aws_stores.environ | measured(tmp_path)
        environ |= {"CITESTREAM_EMBEDDING_DIMENSIONS": "256"}
        asking = (
            environ | UNHURRIED_ENVIRONMENT | {"CITESTREAM_MODEL": "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0"}
        )
        asks = Function(
            ROOT / "functions", "citestream.handlers.app", "/var/task/run-stream", environ=asking, timeout=300
        )
        gone = "ObjectRemoved:DeleteMarkerCreated"
        with ingest_function(environ) as ingest, emulated(asks) as function:
            assert ingest(bucket.event(*SENTENCES)) == {"batchItemFailures": []}
            _require_answer(function)
            for key in SENTENCES:
                bucket.delete(key)
            assert ingest(bucket.event(*SENTENCES, name=gone)) == {"batchItemFailures": []}
            _require_nothing(function)
    assert bucket.stored() == {"indexes": [], "vectors": [], "texts": [], "left": []}


def _require_answer(function: Emulated) -> None:
    names = {name.removeprefix("handbook/") for name in SENTENCES}
    listed = function.request("/api/v1/documents?kb_id=handbook").json()["documents"]
    assert {each["document_name"]: each["state"] for each in listed} == dict.fromkeys(names, "ready")
    question = {"query": "When do ships take a pilot, and when is high water?", "include": ["results"]}
    response = _asked(function, question, "text/event-stream")
    events = [(event.event, event.data) for event in decoded(response.body)]
    assert events[-1][0] == "done"
    (results,) = [data["results"] for name, data in events if name == "results"]
    assert {each["document_name"] for each in results} <= names
    cited = [data for name, data in events if name == "citation"]
    assert [each["number"] for each in cited] == [1, 2]
    for each in cited:
        text = function.request(f"/api/v1/documents/{each['document_id']}").json()["text"]
        assert text[each["char_start"] : each["char_end"]] == each["excerpt"]
        assert SENTENCES[f"{each['kb_id']}/{each['document_name']}"] in text
    replay = function.request(response.headers["location"])
    assert _without_comments(replay.body) == _without_comments(response.body)


def _require_nothing(function: Emulated) -> None:
    assert function.request("/api/v1/knowledge-bases").json() == {"knowledge_bases": []}
    answer = _asked(function, {"query": "When do ships take a pilot?"}, "application/json").json()
    assert (answer["results"], answer["citations"], answer["finish_reason"]) == ([], [], "no_answer")
    assert _asked(function, {"query": "When?", "kb_ids": ["handbook"]}, "application/json").status == 404


def _asked(function: Emulated, question: dict[str, Any], accept: str) -> Outcome:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    return function.request("/api/v1/search", "POST", json.dumps(question).encode(), headers)


def _without_comments(stream: bytes) -> bytes:
    return b"".join(line for line in stream.splitlines(keepends=True) if not line.startswith(b":"))
