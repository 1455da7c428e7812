"""Knowledge bases, documents, health, the page, and what other origins may do."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

import citestream
from citestream.model import document_id
from tests.server import product


def test_knowledge_bases_are_counted(url: str) -> None:
    listed = httpx.get(f"{url}/api/v1/knowledge-bases").json()["knowledge_bases"]
    assert [(kb["id"], kb["document_count"]) for kb in listed] == [("engineering", 5), ("handbook", 4)]
    assert all(kb["chunk_count"] >= kb["document_count"] for kb in listed)
    assert set(listed[0]) == {"id", "document_count", "chunk_count"}


def test_a_document_is_its_whole_text(url: str) -> None:
    wanted = document_id("engineering", "oauth-guide.md")
    body = httpx.get(f"{url}/api/v1/documents/{wanted}").json()
    source = Path(citestream.__file__).parent / "samples" / "engineering" / "oauth-guide.md"
    assert body == {
        "document_id": wanted,
        "document_name": "oauth-guide.md",
        "kb_id": "engineering",
        "text": body["text"],
    }
    assert body["text"].split() == source.read_text("utf-8").split()


def test_an_unknown_document_is_404(url: str) -> None:
    response = httpx.get(f"{url}/api/v1/documents/unknown")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_health_needs_no_login_and_tells_the_version(url: str) -> None:
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok", "version": citestream.__version__}


def test_the_page_runs_its_own_scripts_only(url: str) -> None:
    response = httpx.get(url)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "<script>" not in response.text


def test_the_browser_client_is_a_module(url: str) -> None:
    response = httpx.get(f"{url}/static/citestream.js")
    assert response.headers["content-type"].partition(";")[0] in ("text/javascript", "application/javascript")
    assert "export " in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache"


PREFLIGHT = {"Origin": "https://team.example", "Access-Control-Request-Method": "POST"}


def test_no_other_origin_may_ask_unless_it_is_allowed(url: str) -> None:
    preflight = httpx.options(f"{url}/api/v1/search", headers=PREFLIGHT)
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in httpx.get(f"{url}/healthz", headers=PREFLIGHT).headers


def test_an_allowed_origin_may_do_what_the_contract_says(library: Path) -> None:
    asked = PREFLIGHT | {"Access-Control-Request-Headers": "authorization,content-type,idempotency-key,last-event-id"}
    with product(data=library, allowed_origins="https://team.example") as url:
        preflight = httpx.options(f"{url}/api/v1/search", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://team.example"
        methods = {each.strip() for each in preflight.headers["access-control-allow-methods"].split(",")}
        assert {"GET", "POST", "DELETE"} <= methods
        response = httpx.post(
            f"{url}/api/v1/search", json={"query": "token"}, headers={"Origin": "https://team.example"}
        )
        assert response.headers["access-control-allow-origin"] == "https://team.example"
        exposed = {each.strip() for each in response.headers["access-control-expose-headers"].split(",")}
        assert exposed == {"Location", "Retry-After"}
        assert "Accept" in response.headers["vary"]
        refused = httpx.post(f"{url}/api/v1/search", content=b"", headers={"Origin": "https://team.example"})
        assert refused.status_code == 415
        assert refused.headers["access-control-allow-origin"] == "https://team.example"
        elsewhere = httpx.get(f"{url}/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in elsewhere.headers


@pytest.mark.parametrize(
    "path", ["/healthz", "/api/v1/knowledge-bases", "/api/v1/documents", "/api/v1/documents/x", "/"]
)
def test_405_names_what_is_allowed(url: str, path: str) -> None:
    response = httpx.post(f"{url}{path}")
    assert response.status_code == 405
    assert {each.strip() for each in response.headers["allow"].split(",")} == {"GET", "HEAD"}
