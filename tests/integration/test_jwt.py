"""Callers by JWT, against a real key server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.server import product
from tests.sse import STREAM

AUDIENCE = "citestream"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An OpenID provider as far as its keys go; counts how often they are fetched."""

    def __init__(self) -> None:
        self.keys = [
            RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa", "use": "sig"},
            ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"},
        ]
        self.fetched = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    body: Any = {"jwks_uri": f"{issuer.url}/keys"}
                else:
                    issuer.fetched += 1
                    body = {"keys": issuer.keys}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def token(self, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa", **claims: Any) -> str:
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "exp": now + 600, "kb_ids": "*"} | claims
        present = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(present, key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.thread.start()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()
    issuer.thread.join()


@pytest.fixture(scope="module")
def guarded(issuer: Issuer, library: Path) -> Iterator[str]:
    """The product for callers with a token."""
    with product(data=library, auth="jwt", jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as url:
        yield url


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def knowledge_bases(url: str, token: str) -> list[str]:
    response = httpx.get(f"{url}/api/v1/knowledge-bases", headers=bearer(token))
    assert response.status_code == 200, response.text
    return [kb["id"] for kb in response.json()["knowledge_bases"]]


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec")])
def test_tokens_of_the_issuer_are_taken(issuer: Issuer, guarded: str, key: Any, algorithm: str, kid: str) -> None:
    assert knowledge_bases(guarded, issuer.token(key, algorithm, kid)) == ["engineering", "handbook"]


@pytest.mark.parametrize(
    ("claim", "readable"),
    [
        ("*", ["engineering", "handbook"]),
        (["*"], ["engineering", "handbook"]),
        ("handbook", ["handbook"]),
        ("handbook engineering", ["engineering", "handbook"]),
        (["handbook", "nowhere", 7], ["handbook"]),
        ("", []),
        ([], []),
        (None, []),
        ({"handbook": True}, []),
        (5, []),
    ],
)
def test_the_claim_says_what_may_be_read(issuer: Issuer, guarded: str, claim: Any, readable: list[str]) -> None:
    assert knowledge_bases(guarded, issuer.token(kb_ids=claim)) == readable


def refused(url: str, headers: dict[str, str]) -> str:
    response = httpx.post(f"{url}/api/v1/search", json={"query": "x"}, headers=headers)
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}, bearer("junk")])
def test_without_a_token_nothing(guarded: str, headers: dict[str, str]) -> None:
    refused(guarded, headers)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 9_999_999_999},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
    ],
)
def test_claims_that_do_not_hold(issuer: Issuer, guarded: str, claims: dict[str, Any]) -> None:
    refused(guarded, bearer(issuer.token(**claims)))


def test_signatures_that_do_not_hold(issuer: Issuer, guarded: str) -> None:
    refused(guarded, bearer(issuer.token(OTHER_KEY)))
    refused(guarded, bearer(issuer.token(RSA_KEY, "RS512")))
    refused(guarded, bearer(issuer.token("x" * 40, "HS256")))
    refused(guarded, bearer(issuer.token(EC_KEY, "ES256", "rsa")))
    refused(guarded, bearer(issuer.token(RSA_KEY, kid=None)))
    unsigned = jwt.encode({"iss": issuer.url, "aud": AUDIENCE, "sub": "ada", "exp": 9_999_999_999}, "", "none")
    refused(guarded, bearer(unsigned))


def test_unknown_key_ids_do_not_make_the_server_fetch_again_and_again(issuer: Issuer, guarded: str) -> None:
    refused(guarded, bearer(issuer.token(kid="unknown")))
    before = issuer.fetched
    for i in range(20):
        refused(guarded, bearer(issuer.token(kid=f"unknown-{i}")))
    assert issuer.fetched <= before + 1


def test_401_comes_before_everything_else(guarded: str) -> None:
    headers = {"Accept": "image/png", "Content-Type": "text/plain"}
    assert httpx.post(f"{guarded}/api/v1/search", content=b"x" * 70_000, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/citestream.js"])
def test_these_need_no_login(guarded: str, path: str) -> None:
    assert httpx.get(f"{guarded}{path}").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/knowledge-bases", "/api/v1/documents/x", "/api/v1/streams/x"])
def test_these_do(guarded: str, path: str) -> None:
    assert httpx.get(f"{guarded}{path}").status_code == 401


def test_what_may_not_be_read_looks_as_if_it_were_not_there(issuer: Issuer, guarded: str) -> None:
    headers = bearer(issuer.token(kb_ids="handbook"))
    unreadable, unknown = (
        httpx.post(f"{guarded}/api/v1/search", json={"query": "x", "kb_ids": [kb_id]}, headers=headers)
        for kb_id in ("engineering", "nowhere")
    )
    assert (unreadable.status_code, unknown.status_code) == (404, 404)
    assert unreadable.content == unknown.content


def test_a_search_without_knowledge_bases_is_one_of_the_readable_ones(issuer: Issuer, guarded: str) -> None:
    body = {"query": "How does a client get an access token with OAuth?"}
    answer = httpx.post(f"{guarded}/api/v1/search", json=body, headers=bearer(issuer.token(kb_ids="handbook"))).json()
    assert {result["kb_id"] for result in answer["results"]} == {"handbook"}
    nothing = httpx.post(f"{guarded}/api/v1/search", json=body, headers=bearer(issuer.token(kb_ids=""))).json()
    assert (nothing["results"], nothing["finish_reason"], nothing["confidence_score"]) == ([], "no_answer", 0)


def test_documents_and_streams_of_others_are_404(issuer: Issuer, guarded: str) -> None:
    ada = bearer(issuer.token())
    body = {"query": "How does a client get an access token with OAuth?"}
    answer = httpx.post(f"{guarded}/api/v1/search", json=body, headers=ada).json()
    document = f"{guarded}/api/v1/documents/{answer['citations'][0]['document_id']}"
    assert httpx.get(document, headers=ada).status_code == 200
    assert httpx.get(document, headers=bearer(issuer.token(kb_ids="handbook"))).status_code == 404
    stream = f"{guarded}/api/v1/streams/{answer['stream_id']}"
    eve = bearer(issuer.token(sub="eve"))
    assert httpx.get(stream, headers=ada).status_code == 200
    assert httpx.get(stream, headers=eve).status_code == 404
    assert httpx.delete(stream, headers=eve).status_code == 404
    cursor = STREAM | eve | {"Last-Event-ID": f"{answer['stream_id']}-1"}
    assert httpx.post(f"{guarded}/api/v1/search", json=body, headers=cursor).status_code == 404


@pytest.mark.parametrize("jwks_url", ["http://127.0.0.1:9/keys", "file:///etc/passwd", ""])
def test_keys_that_can_not_be_had_are_503(issuer: Issuer, library: Path, jwks_url: str) -> None:
    issuer_url = issuer.url if jwks_url else "http://127.0.0.1:9"
    settings = {"jwt_issuer": issuer_url, "jwt_audience": AUDIENCE, "jwt_jwks_url": jwks_url}
    with product(data=library, auth="jwt", **settings) as url:
        response = httpx.get(f"{url}/api/v1/knowledge-bases", headers=bearer(issuer.token()))
        assert response.status_code == 503


def test_the_claims_name_can_be_chosen(issuer: Issuer, library: Path) -> None:
    settings = {"jwt_issuer": issuer.url, "jwt_audience": AUDIENCE, "jwt_jwks_url": f"{issuer.url}/keys"}
    with product(data=library, auth="jwt", jwt_kb_claim="https://x.example/kbs", **settings) as url:
        token = issuer.token(**{"kb_ids": "engineering", "https://x.example/kbs": "handbook"})
        assert knowledge_bases(url, token) == ["handbook"]
