"""Who serves without login answers to loopback's names only: no page can rebind its own name and read documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from citestream.app import create_local_app
from citestream.http.hosts import is_loopback
from citestream.settings import load_settings
from tests.server import product, raw, serving
from tests.sse import STREAM


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LocalHost", "localhost:8000", "localhost:"),
        *("localhost.", "[::ffff:127.0.0.1]:8000"),
        *("127.0.0.1", "127.0.0.1:80", "127.9.8.7", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_names_of_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":8000", " ", "localhost:http", "localhost:80:80", "local host", "::1", "[::1", "[localhost]", "[]"),
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80", "evil@localhost"),
        *("10.0.0.1", "0.0.0.0", "[::]", "[2001:db8::1]:8000", "testserver", "localhost, evil.example", "localhost\n"),
    ],
)
def test_other_names(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/api/v1/knowledge-bases"), ("GET", "/api/v1/documents/x"), ("GET", "/api/v1/streams/x")),
        *(("GET", "/api/v1/search?query=token"), ("POST", "/api/v1/search"), ("DELETE", "/api/v1/streams/x")),
        *(("GET", "/"), ("GET", "/static/citestream.js"), ("GET", "/nothing"), ("GET", "/healthz/"), ("OPTIONS", "/")),
    ],
)
def test_a_foreign_name_is_misdirected(url: str, method: str, path: str) -> None:
    response = httpx.request(method, f"{url}{path}", headers=STREAM | {"Host": "evil.example:8000"})
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"
    assert "'evil.example:8000'" in response.json()["detail"]
    assert "CITESTREAM_ALLOW_OPEN=1" in response.json()["detail"]


def test_an_empty_name_is_misdirected_and_none_at_all_is_not(url: str) -> None:
    assert b" 421 " in raw(url, "GET / HTTP/1.1\nHost:\nConnection: close\n\n").split(b"\r\n")[0]
    assert b" 200 " in raw(url, "GET / HTTP/1.0\n\n").split(b"\r\n")[0]


def test_health_is_told_by_any_name(url: str, library: Path) -> None:
    evil = {"Host": "evil.example"}
    assert httpx.get(f"{url}/healthz", headers=evil).status_code == 200
    with serving(create_local_app(load_settings({}, data=library)), root_path="/stage") as staged:
        assert httpx.get(f"{staged}/healthz", headers=evil).status_code == 200
        assert httpx.get(staged, headers=evil).status_code == 421


@pytest.fixture(params=[{"allow_open": True}, {"auth": "jwt", "jwt_issuer": "http://127.0.0.1:9", "jwt_audience": "x"}])
def known_by_any_name(request: pytest.FixtureRequest, library: Path) -> Iterator[str]:
    with product(data=library, **request.param) as url:
        yield url


def test_what_is_open_on_purpose_or_asks_for_a_login_has_any_name(known_by_any_name: str) -> None:
    assert httpx.get(known_by_any_name, headers={"Host": "team.example"}).status_code == 200
