"""The list of documents, and who may see which: in the list, by their id, in answers, and when coming back to one."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from citestream.model import Chunk, Document, document_id
from citestream.retrieval.sqlite_index import SqliteIndex
from tests.issuer import AUDIENCE, Issuer, bearer
from tests.server import product
from tests.sse import STREAM, decoded

# The principals of each document; None is everybody. One more can't be read.
ACCESS: dict[str, tuple[str, ...] | None] = {
    "a-open.md": None,
    "b-ada.md": ("ada",),
    "c-hr.md": ("hr", "leads"),
    "d-nobody.md": (),
    "e-open.md": None,
    "f-hr.md": ("hr",),
}
BROKEN = "g-broken.pdf"
QUESTION = {"query": "How high is the travel allowance?"}
OPEN = ["a-open.md", "e-open.md"]
ADA = [*OPEN, "b-ada.md"]
HR = [*OPEN, "c-hr.md", "f-hr.md"]
EVERYTHING = sorted(ACCESS)


def id_of(name: str) -> str:
    return document_id("team", name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    asyncio.run(fill(folder))
    return folder


async def fill(folder: Path) -> None:
    async with aclosing(SqliteIndex(folder / "index.db", None)) as index:
        for number, (name, access) in enumerate(ACCESS.items()):
            text = f"The travel allowance of group {number} is {number}0 euros."
            document = Document(id_of(name), name, "team", text, access)
            await index.put(document, "digest", [Chunk(0, len(text))], None)
        await index.fail(id_of(BROKEN), "team", BROKEN, "it is encrypted")
        other = Document(document_id("other", "x.md"), "x.md", "other", "Of another knowledge base.")
        await index.put(other, "digest", [Chunk(0, len(other.text))], None)


@dataclass(frozen=True)
class Api:
    """The product for callers with a token; each call is that of the token with these claims."""

    client: httpx.Client
    issuer: Issuer

    def ask(self, path: str, *, method: str = "GET", claims: dict[str, Any], **request: Any) -> httpx.Response:
        headers = bearer(self.issuer.token(**{"sub": "eve"} | claims)) | request.pop("headers", {})
        return self.client.request(method, f"/api/v1/{path}", headers=headers, **request)

    def names(self, claims: dict[str, Any], **parameters: Any) -> tuple[list[str], str | None]:
        """A page of the list, and where the next one begins."""
        response = self.ask("documents", claims=claims, params={"kb_id": "team"} | parameters)
        assert response.status_code == 200, response.text
        body = response.json()
        assert set(body) == {"documents", "next"}
        return [each["document_name"] for each in body["documents"]], body["next"]


@pytest.fixture(scope="module")
def api(data: Path) -> Iterator[Api]:
    with (
        Issuer() as issuer,
        product(data=data, auth="jwt", jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield Api(client, issuer)


CLAIMS = [
    ({"sub": "eve"}, OPEN),
    ({"sub": "ada"}, ADA),
    ({"groups": ["hr"]}, HR),
    ({"groups": "leads ada"}, [*ADA, "c-hr.md"]),
    ({"groups": ["*"]}, OPEN),
]


@pytest.mark.parametrize(("claims", "visible"), CLAIMS)
def test_the_list_holds_what_the_caller_may_see(api: Api, claims: dict[str, Any], visible: list[str]) -> None:
    assert api.names(claims) == ([*sorted(visible), BROKEN], None)


def test_without_login_nothing_is_withheld(data: Path) -> None:
    with product(data=data) as url:
        body = httpx.get(f"{url}/api/v1/documents", params={"kb_id": "team"}).json()
        assert [each["document_name"] for each in body["documents"]] == [*EVERYTHING, BROKEN]
        results = httpx.post(f"{url}/api/v1/search", json=QUESTION).json()["results"]
        assert {each["document_name"] for each in results} == set(EVERYTHING)


def test_a_line_says_what_became_of_the_file(api: Api) -> None:
    response = api.ask("documents", claims={}, params={"kb_id": "team"})
    first, *_, last = response.json()["documents"]
    times = [each.pop("updated_at") for each in (first, last)]
    assert first == {
        "document_id": id_of("a-open.md"),
        "document_name": "a-open.md",
        "kb_id": "team",
        "state": "ready",
        "reason": None,
        "chunk_count": 1,
    }
    assert last == first | {
        "document_id": id_of(BROKEN),
        "document_name": BROKEN,
        "state": "failed",
        "reason": "it is encrypted",
        "chunk_count": 0,
    }
    for each in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each)
    assert times[0][:10] in {time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago)) for ago in (0, 3600)}
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("claims", "visible"), CLAIMS[:3])
def test_page_by_page_all_of_them_come_once_and_no_name_that_is_withheld(
    api: Api, claims: dict[str, Any], visible: list[str], limit: int, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``page`` is how many the index is asked for at once: also where all of these are withheld, it goes on."""
    monkeypatch.setattr("citestream.http.library._PAGE", page)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        names, after = api.names(claims, limit=limit, after=after)
        assert len(names) <= limit
        assert after in (None, *names[-1:])
        seen += names
    assert seen == [*sorted(visible), BROKEN]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"kb_id"}),
        ("kb_id=", {"kb_id"}),
        ("kb_id=team&kb_id=other", {"kb_id"}),
        ("kb_id=team&limit=0", {"limit"}),
        ("kb_id=team&limit=1001", {"limit"}),
        ("kb_id=team&limit=-1", {"limit"}),
        ("kb_id=team&limit=1.5", {"limit"}),
        ("kb_id=team&limit=", {"limit"}),
        ("kb_id=team&limit=1&limit=2", {"limit"}),
        ("kb_id=team&after=a&after=b", {"after"}),
        ("limit=x&colour=red&kb_ids=team", {"kb_id", "limit", "colour", "kb_ids"}),
    ],
)
def test_bad_parameters_are_422_and_named(api: Api, query: str, fields: set[str]) -> None:
    response = api.ask(f"documents?{query}", claims={})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in response.json()["errors"]} == fields


def test_a_knowledge_base_that_is_not_the_callers_looks_as_if_it_were_not_there(api: Api) -> None:
    claims = {"kb_ids": "team"}
    bodies = {api.ask("documents", claims=claims, params={"kb_id": kb_id}).content for kb_id in ("other", "nowhere")}
    bodies.add(api.ask("search", claims=claims, params={"query": "x", "kb_ids": "nowhere"}).content)
    (body,) = bodies
    assert b'"status":404' in body


def test_head_has_the_same_headers_and_no_body(api: Api) -> None:
    given: dict[str, Any] = {"claims": {"groups": ["hr"]}, "params": {"kb_id": "team"}}
    head, get = api.ask("documents", method="HEAD", **given), api.ask("documents", **given)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("content-type", "content-length", "cache-control")} == {
        name: get.headers[name] for name in ("content-type", "content-length", "cache-control")
    }
    assert api.ask("documents", method="HEAD", claims={}, params={"kb_id": "nowhere"}).status_code == 404


@pytest.mark.parametrize(("claims", "visible"), CLAIMS)
def test_by_its_id_too_a_document_is_there_for_those_who_may_see_it(
    api: Api, claims: dict[str, Any], visible: list[str]
) -> None:
    responses = {name: api.ask(f"documents/{id_of(name)}", claims=claims) for name in ACCESS}
    assert [name for name, response in responses.items() if response.status_code == 200] == sorted(visible)
    unknown = api.ask("documents/unknown", claims=claims)
    assert unknown.status_code == 404
    assert {response.content for response in responses.values() if response.status_code != 200} == {unknown.content}
    assert {response.headers["cache-control"] for response in responses.values()} == {"no-store"}


@pytest.mark.parametrize(("claims", "visible"), CLAIMS)
def test_an_answer_is_written_from_what_the_asker_may_see(api: Api, claims: dict[str, Any], visible: list[str]) -> None:
    answer = api.ask("search", method="POST", claims=claims | {"kb_ids": ["team"]}, json=QUESTION).json()
    assert {result["document_name"] for result in answer["results"]} == set(visible)
    assert {citation["document_name"] for citation in answer["citations"]} <= set(visible)


def test_knowledge_bases_count_what_is_withheld_too(api: Api) -> None:
    listed = api.ask("knowledge-bases", claims={"kb_ids": "team"}).json()["knowledge_bases"]
    assert listed == [{"id": "team", "document_count": len(ACCESS), "chunk_count": len(ACCESS)}]


GRANTED = {"groups": ["hr"], "kb_ids": ["team"]}


@pytest.fixture(scope="module")
def stream_id(api: Api) -> str:
    """A stream of eve's, asked while she was with ``hr``, with all that those may see."""
    body = QUESTION | {"include": ["results"]}
    response = api.ask("search", method="POST", claims=GRANTED, headers=STREAM, json=body)
    stream_id: str = decoded(response.content)[-1].data["stream_id"]
    return stream_id


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        (GRANTED, 200),
        (GRANTED | {"kb_ids": "*"}, 200),
        (GRANTED | {"groups": []}, 404),
        (GRANTED | {"groups": ["leads"]}, 404),
        (GRANTED | {"kb_ids": ["other"]}, 404),
    ],
)
def test_every_way_back_to_a_stream_asks_again_what_the_caller_may_read(
    api: Api, stream_id: str, claims: dict[str, Any], status: int
) -> None:
    cursor = f"{stream_id}-1"
    headers = STREAM | {"Last-Event-ID": cursor}
    ways = [
        api.ask(f"streams/{stream_id}", claims=claims),
        api.ask(f"streams/{stream_id}", claims=claims, headers=headers),
        api.ask("search", method="POST", claims=claims, headers=headers, json=QUESTION),
        api.ask("search", claims=claims, headers=STREAM, params=QUESTION | {"last_event_id": cursor}),
    ]
    assert [response.status_code for response in ways] == [status] * 4
    if status == 404:
        unknown = api.ask("streams/unknown", claims=claims)
        assert {response.content for response in ways} == {unknown.content}


def test_the_owner_may_stop_a_stream_whatever_has_been_withdrawn(api: Api, stream_id: str) -> None:
    assert api.ask(f"streams/{stream_id}", method="DELETE", claims={"kb_ids": []}).status_code == 204
    assert api.ask(f"streams/{stream_id}", method="DELETE", claims={"sub": "ada"}).status_code == 404
