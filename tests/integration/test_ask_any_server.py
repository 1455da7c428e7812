"""`citestream ask --url` against servers that are broken, or mean harm: one line, exit status 1, no traceback."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import pytest
from click.testing import CliRunner, Result

from citestream.cli import main

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
DONE = {"confidence_score": 50, "finish_reason": "stop", "stream_id": "s", "components": {}}
CITATION = {"number": 1, "document_name": "a.md", "kb_id": "kb", "excerpt": "it", "page": None, "section": None}


@contextmanager
def saying(chunks: Iterable[bytes], heard: list[bytes]) -> Iterator[str]:
    """A server that reads a request, into ``heard``, says this, and is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            listening.close()
            with connection:
                request = b""
                while not request.endswith(b"}"):  # what is left unread makes the connection break
                    request += connection.recv(65536)
                heard.append(request)
                try:
                    for chunk in chunks:
                        connection.sendall(chunk)
                except OSError:  # it has heard enough
                    return

        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=serve)
        thread.start()
        yield url
        thread.join(60)
        assert not thread.is_alive()


def ask(chunks: Iterable[bytes], *options: str) -> Result:
    with saying(chunks, []) as url:
        result = CliRunner().invoke(main, ["ask", "x", "--url", url, *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def frame(event: str, data: Any, id: str = "s-1") -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"event: {event}\ndata: {text}\nid: {id}\n\n"


def stream(*frames: str, head: str = HEAD) -> list[bytes]:
    return [f"{head}\r\n{''.join(frames)}".encode()]


def check_failed(result: Result, reason: str) -> None:
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr
    assert len(result.stderr) < 2000


def test_a_server_as_it_should_be() -> None:
    result = ask(stream(frame("token", {"text": "It is [1]."}), frame("news", "?"), frame("done", DONE)))
    assert (result.exit_code, result.stdout) == (0, "It is [1].\n\nConfidence 50 of 100\n")


@pytest.mark.parametrize(
    ("event", "data", "reason"),
    [
        ("token", "{", "a token that is not JSON"),
        ("token", "", "a token that is not JSON"),
        ("token", "[" * 100_000, "a token that is not JSON"),
        ("token", '{"text": "\\ud800"}', "a token that is not JSON"),
        ("done", DONE | {"confidence_score": float("nan")}, "a done that is not JSON"),
        ("token", [], "a bad token: data: "),
        ("token", None, "a bad token: data: "),
        ("token", {}, "a bad token: text: Field required"),
        ("token", {"text": 5}, "a bad token: text: "),
        ("citation", CITATION | {"number": "1"}, "a bad citation: number: "),
        ("citation", CITATION | {"page": "\x1b[2J"}, "a bad citation: page: "),
        ("citation", {"number": 1}, "a bad citation: document_name: Field required"),
        ("results", {"results": 5}, "a bad results: results: "),
        ("done", DONE | {"confidence_score": 101}, "a bad done: confidence_score: "),
        ("done", DONE | {"citations": 5}, "a bad done: citations: "),
        ("failure", {"message": "no"}, "a bad failure: code: Field required"),
    ],
)
def test_events_that_are_not_as_they_should_be(event: str, data: Any, reason: str) -> None:
    check_failed(ask(stream(frame(event, data))), f"the server sends {reason}")


@pytest.mark.parametrize("id", ["é", "a b", "x" * 129])
def test_an_id_that_is_none(id: str) -> None:
    check_failed(ask(stream(frame("token", {"text": "a"}, id))), "a token with a bad id")


@pytest.mark.parametrize(
    "body",
    [
        repeat(b"data: " + b"x" * 65536),
        chain([b"event: token\n"], repeat((b"data: " + b"x" * 500 + b"\n") * 200)),
    ],
    ids=["line", "frame"],
)
def test_an_answer_without_an_end(body: Iterable[bytes]) -> None:
    check_failed(ask(chain([f"{HEAD}\r\n".encode()], body)), "more than an answer can be")


def test_a_problem_without_an_end() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
    check_failed(ask(chain([head], repeat(b"x" * 65536))), "more than an answer can be")


def test_a_body_that_would_grow_on_this_side() -> None:
    body = gzip.compress(b"x" * 10_000_000)
    check_failed(ask([f"{HEAD}Content-Encoding: gzip\r\n\r\n".encode(), body]), "not asked for")


def test_a_charset_that_is_no_charset() -> None:
    head = HEAD.replace("event-stream", "event-stream; charset=zlib")
    assert ask(stream(frame("token", {"text": "é"}), frame("done", DONE), head=head)).stdout.startswith("é\n")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("302 Found\r\nLocation: https://other.example/", "302: the server sends to another address"),
        ("307 Temporary Redirect\r\nLocation: /elsewhere", "not followed: /elsewhere"),
        ("200 OK\r\nContent-Type: text/event-stream\r\nLocation: https://other.example/s", "at another server"),
        ("200 OK\r\nContent-Type: text/event-stream\r\nLocation: http://x:y/", "the answer is said to be at"),
        ("200 OK\r\nContent-Type: text/event-stream", "could not be resumed"),
        ("204 No Content", "204: not an answer of Citestream"),
        ("999 \x1b[2J", "not an answer of Citestream"),
        ("nonsense", "does not answer"),
    ],
)
def test_replies_that_lead_nowhere(reply: str, reason: str) -> None:
    first = reply if reply == "nonsense" else f"HTTP/1.1 {reply}"
    check_failed(ask([f"{first}\r\nConnection: close\r\n\r\n".encode()]), reason)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"detail": "no \\u001b]0;x\\u0007 such\\nthing"}', "404: no ]0;x such thing"),
        ('{"detail": ["x"]}', "404: not an answer of Citestream"),
        ("[" * 100_000, "404: not an answer of Citestream"),
        ('{"detail": "%s"}' % ("x" * 5000), "404: xxx"),
    ],
)
def test_a_problem_is_shown_on_one_line(body: str, shown: str) -> None:
    result = ask([f"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{body}".encode()])
    check_failed(result, shown)
    assert result.stderr.rstrip("\n").isprintable()


def test_a_server_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citestream.remote._RECONNECTS", 1)
    head = f"{HEAD}Location: /api/v1/streams/s\r\n"
    result = ask(stream(frame("token", {"text": "It"}), head=head))
    assert result.stdout == "It"
    check_failed(result, "the connection broke, and the answer could not be resumed")


HARM = "\x1b[2J\x9b31m\x07\x7f\r\x08"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_a_terminal_would_obey_is_never_shown(options: list[str]) -> None:
    harmful = {name: f"{HARM}{name}\n[9] forged" for name in ("document_name", "kb_id", "excerpt", "section")}
    frames = [
        frame("results", {"results": [{"text": HARM}]}),
        frame("token", {"text": f"{HARM}It is [1]."}),
        frame("citation", CITATION | harmful | {"page": 3}),
        frame("done", DONE | {"finish_reason": HARM}),
    ]
    result = ask(stream(*frames), *options)
    assert result.exit_code == 0
    assert not {each for each in result.output if not each.isprintable()} - {"\n"}
    if options:
        assert json.loads(result.stdout)["citations"] == [CITATION | harmful | {"page": 3}]
    else:
        assert "\n[1] [2J31mdocument_name [9] forged, page 3, " in result.output


def test_a_failure_is_shown_on_one_line() -> None:
    failure = {"code": "timeout", "message": f"{HARM}Too\nlong", "retryable": True}
    result = ask(stream(frame("failure", failure)))
    assert (result.exit_code, result.stderr) == (1, "\nFailed: [2J31mToo long\n")


def test_a_token_is_sent_to_the_server_that_is_asked() -> None:
    heard: list[bytes] = []
    with saying(stream(frame("done", DONE)), heard) as url:
        CliRunner().invoke(main, ["ask", "x", "--url", url], env={"CITESTREAM_TOKEN": "sesame"})
    assert [b"\r\nAuthorization: Bearer sesame\r\n" in request for request in heard] == [True]


@pytest.mark.parametrize("token", ["tökén", "two\nlines"])
def test_a_token_that_can_not_be_sent(token: str) -> None:
    env = {"CITESTREAM_TOKEN": token}
    result = CliRunner().invoke(main, ["ask", "x", "--url", "http://127.0.0.1:9"], env=env)
    check_failed(result, "CITESTREAM_TOKEN holds characters that are in no token")
