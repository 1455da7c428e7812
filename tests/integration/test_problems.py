"""Every refusal is a problem, also where it is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from citestream.http.library import Static
from citestream.http.problems import OnlyProblems
from tests.server import product, serving

PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("text")


async def pieces(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(["in ", "two"]), 418, media_type="text/plain")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = Starlette(routes=[Route("/plain", plain), Route("/pieces", pieces), Mount("/static", Static())])
    with_cors = CORSMiddleware(app, allow_origins=["https://a.example"], allow_methods=["GET"])
    with serving(OnlyProblems(with_cors)) as url:
        yield url


def problem(response: httpx.Response) -> dict[str, object]:
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["status"] == response.status_code
    return body


@pytest.mark.parametrize(("ranges", "status"), [("bytes=9-1", 400), ("lines=0-1", 400), ("bytes=99999999-", 416)])
def test_a_range_that_can_not_be_served(url: str, ranges: str, status: int) -> None:
    response = httpx.get(f"{url}/static/citestream.js", headers={"Range": ranges})
    assert response.status_code == status
    assert problem(response)["detail"]
    assert ("content-range" in response.headers) == (status == 416)


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"Origin": "https://b.example"}, "Disallowed CORS origin"),
        ({"Access-Control-Request-Method": "PUT"}, "Disallowed CORS method"),
        ({"Access-Control-Request-Headers": "X-Other"}, "Disallowed CORS headers"),
    ],
)
def test_a_preflight_that_is_refused(url: str, headers: dict[str, str], detail: str) -> None:
    response = httpx.options(f"{url}/plain", headers=PREFLIGHT | headers)
    assert (response.status_code, problem(response)["detail"]) == (400, detail)
    assert "origin" in response.headers["vary"].lower()
    assert ("access-control-allow-origin" in response.headers) == ("Origin" not in headers)


def test_a_refusal_in_pieces(url: str) -> None:
    assert problem(httpx.get(f"{url}/pieces"))["detail"] == "in two"


def test_everything_else_is_left_as_it_is(url: str) -> None:
    assert httpx.get(f"{url}/plain").text == "text"
    assert httpx.options(f"{url}/plain", headers=PREFLIGHT).text == "OK"
    part = httpx.get(f"{url}/static/citestream.js", headers={"Range": "bytes=0-3"})
    assert (part.status_code, len(part.content)) == (206, 4)


def test_the_product_refuses_by_problems_only(tmp_path: Path) -> None:
    with product(data=tmp_path, allowed_origins="https://a.example") as url:
        problem(httpx.get(f"{url}/static/citestream.js", headers={"Range": "bytes=99999999-"}))
        problem(httpx.get(url, headers={"Range": "lines=1"}))
        problem(httpx.options(url, headers=PREFLIGHT | {"Origin": "https://b.example"}))
