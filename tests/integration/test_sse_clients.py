"""The stream as other people's clients read it: all of them the same events, and no others."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import httpx_sse
import pytest
import sseclient
from openai._streaming import SSEDecoder

from tests.node import node as node
from tests.node import script
from tests.server import product
from tests.sse import STREAM, ask

QUESTION = "How does a client get an access token with OAuth?"

#: An event as a client hands it on: its name, its data, its id.
Seen = tuple[str, str, str]


@pytest.fixture(scope="module")
def chatty(library: Path) -> Iterator[str]:
    """The product with heartbeats between the frames, as on a slow day."""
    with product(data=library, heartbeat_seconds=0.001) as url:
        yield url


def by_httpx_sse(url: str) -> list[Seen]:
    with httpx.Client() as client:
        request = {"json": {"query": QUESTION}, "headers": STREAM}
        with httpx_sse.connect_sse(client, "POST", f"{url}/api/v1/search", **request) as source:
            return [(event.event, event.data, event.id or "") for event in source.iter_sse()]


def by_openai(url: str) -> list[Seen]:
    with httpx.stream("POST", f"{url}/api/v1/search", json={"query": QUESTION}, headers=STREAM) as response:
        events = list(SSEDecoder().iter_bytes(response.iter_raw()))
    return [(event.event or "", event.data, event.id or "") for event in events]


def by_sseclient(url: str) -> list[Seen]:
    with httpx.stream("POST", f"{url}/api/v1/search", json={"query": QUESTION}, headers=STREAM) as response:
        events = list(sseclient.SSEClient(response.iter_raw()).events())
    return [(event.event or "", event.data, event.id or "") for event in events]


@pytest.mark.parametrize("client", [by_httpx_sse, by_openai, by_sseclient])
def test_python_clients_see_every_event_and_no_other(chatty: str, client: Callable[[str], list[Seen]]) -> None:
    check(client(chatty), chatty)


def check(seen: list[Seen], url: str) -> None:
    """The same events as our own reader sees in a stream of the same question; only ids and times differ."""
    expected = ask(url, QUESTION)
    stream_id = json.loads(seen[-1][1])["stream_id"]
    assert [name for name, _, _ in seen] == [frame.event for frame in expected]
    assert [data for _, data, _ in seen[:-1]] == [frame.fields["data"] for frame in expected[:-1]]
    assert [event_id for _, _, event_id in seen] == [f"{stream_id}-{n}" for n in range(1, len(seen) + 1)]


def by_node(node: str, name: str, *arguments: str, folder: Path) -> list[Seen]:
    line = [node, str(script(name, folder)), *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    events = map(json.loads, done.stdout.splitlines())
    return [(event["event"], event["data"], event["id"]) for event in events]


@pytest.mark.parametrize("name", ["eventsource_parser.mjs", "fetch_event_source.mjs"])
def test_javascript_clients_see_every_event_and_no_other(chatty: str, node: str, name: str, tmp_path: Path) -> None:
    check(by_node(node, name, chatty, QUESTION, folder=tmp_path), chatty)


def test_fetch_event_source_resumes_where_it_was_cut(url: str, node: str, tmp_path: Path) -> None:
    """It repeats its POST with Last-Event-ID, and gets the rest of the same stream."""
    check(by_node(node, "fetch_event_source.mjs", url, QUESTION, "2", folder=tmp_path), url)
