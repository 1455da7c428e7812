"""Callers by JWT, against a real key server on loopback."""

from __future__ import annotations

import asyncio
import base64
import gzip
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from starlette.datastructures import Headers

from citestream.app import make_callers
from citestream.errors import StoreUnavailable
from citestream.http.callers import LocalCaller
from citestream.http.tokens import IssuerKeys, JwtCallers
from citestream.settings import BadSettings, load_settings
from tests.issuer import AUDIENCE, EC_KEY, OTHER_KEY, RSA_KEY, Issuer, bearer, public_jwk
from tests.server import product
from tests.sse import STREAM
from tests.virtual_time import Hurry
from tests.virtual_time import hurry as hurry


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def other_issuer() -> Iterator[Issuer]:
    """One of the test's own, whose keys it may change."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(issuer: Issuer, library: Path) -> Iterator[str]:
    """The product for callers with a token."""
    with product(data=library, auth="jwt", jwt_issuer=issuer.url, jwt_audience=AUDIENCE) as url:
        yield url


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


GROUPS = [f"g{i}" for i in range(3000)]


@pytest.mark.parametrize(
    ("claims", "principals"),
    [
        ({}, {"ada"}),
        ({"groups": ["hr", "leads"]}, {"ada", "hr", "leads"}),
        ({"groups": "hr leads"}, {"ada", "hr", "leads"}),
        ({"groups": []}, {"ada"}),
        ({"groups": {"hr": True}}, {"ada"}),
        ({"groups": 5}, {"ada"}),
        ({"groups": ["hr", 7, None, ["leads"], ""]}, {"ada", "hr"}),
        ({"groups": ["*", "hr"]}, {"ada", "hr"}),
        ({"groups": "*"}, {"ada"}),
        ({"groups": ["\0nobody", "line\n", "two words"]}, {"ada", "two words"}),
        ({"groups": ["x" * 128, "y" * 129]}, {"ada", "x" * 128}),
        ({"sub": "*", "groups": ["hr"]}, {"hr"}),
        ({"sub": "*"}, set()),
        ({"groups": ["hr"] * 3000}, {"ada", "hr"}),
        ({"groups": GROUPS}, {"ada", *GROUPS[:499]}),
        ({"groups": " ".join(GROUPS)}, {"ada", *GROUPS[:499]}),
        ({"kb_ids": "*"}, {"ada"}),
    ],
)
async def test_the_subject_and_its_groups_are_who_documents_may_be_for(
    issuer: Issuer, claims: dict[str, Any], principals: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    callers = JwtCallers(IssuerKeys(issuer.url), issuer.url, AUDIENCE, "kb_ids", 0)
    caller = await callers.identify(Headers(bearer(issuer.token(**claims))))
    assert set(caller.principals or ()) == principals
    assert [record.getMessage() for record in caplog.records] == (
        ["'ada' has 3001 principals: the first 500 count"] if len(principals) == 500 else []
    )


async def test_the_groups_claims_name_can_be_chosen(issuer: Issuer) -> None:
    callers = JwtCallers(IssuerKeys(issuer.url), issuer.url, AUDIENCE, "kb_ids", 0, "cognito:groups")
    claims: dict[str, Any] = {"groups": ["leads"], "cognito:groups": ["hr"]}
    caller = await callers.identify(Headers(bearer(issuer.token(**claims))))
    assert caller.principals == frozenset({"ada", "hr"})


async def test_without_login_no_document_is_withheld() -> None:
    assert (await LocalCaller().identify(Headers())).principals is None


def refused(url: str, headers: dict[str, str]) -> str:
    response = httpx.post(f"{url}/api/v1/search", json={"query": "x"}, headers=headers)
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


def test_a_token_that_is_nested_too_deeply(guarded: str) -> None:
    nested = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 20_000).decode().rstrip("=")
    assert "recursion" in refused(guarded, bearer(f"{nested}.e30.e30"))


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


def test_unknown_key_ids_do_not_make_the_server_fetch_again_and_again(
    issuer: Issuer, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IssuerKeys, "PAUSE_SECONDS", 1000.0)
    refused(guarded, bearer(issuer.token(kid="unknown")))
    before = issuer.fetched
    for i in range(20):
        refused(guarded, bearer(issuer.token(kid=f"unknown-{i}")))
    assert issuer.fetched <= before + 1


def test_a_key_that_is_new_at_the_issuer_is_taken(
    other_issuer: Issuer, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IssuerKeys, "PAUSE_SECONDS", 0.0)
    new = other_issuer.token(OTHER_KEY, kid="new")
    with product(data=library, auth="jwt", jwt_issuer=other_issuer.url, jwt_audience=AUDIENCE) as url:
        refused(url, bearer(new))
        other_issuer.keys = [public_jwk(OTHER_KEY, "new")]
        assert knowledge_bases(url, new) == ["engineering", "handbook"]
        refused(url, bearer(other_issuer.token()))


async def test_a_token_that_names_no_key_means_the_only_one(other_issuer: Issuer) -> None:
    other_issuer.keys = [public_jwk(RSA_KEY, "rsa"), public_jwk(OTHER_KEY, "secret", use="enc")]
    assert (await IssuerKeys(other_issuer.url).find(None)).key_id == "rsa"


async def test_keys_for_encryption_sign_nothing(other_issuer: Issuer) -> None:
    other_issuer.keys.append(public_jwk(OTHER_KEY, "secret", use="enc"))
    keys = IssuerKeys(other_issuer.url)
    assert (await keys.find("rsa")).key_id == "rsa"
    with pytest.raises(jwt.InvalidKeyError):
        await keys.find("secret")


def test_clocks_may_differ_by_the_leeway(issuer: Issuer, library: Path) -> None:
    settings = {"jwt_issuer": issuer.url, "jwt_audience": AUDIENCE, "jwt_leeway_seconds": 120}
    now = int(time.time())
    with product(data=library, auth="jwt", **settings) as url:
        assert knowledge_bases(url, issuer.token(exp=now - 30, nbf=now + 90)) == ["engineering", "handbook"]
        refused(url, bearer(issuer.token(exp=now - 130)))


@pytest.mark.parametrize(
    "reply",
    [
        *(b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 Sorry\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"),
        *(b'HTTP/1.1 200 OK\r\n\r\n["keys"]', b'HTTP/1.1 200 OK\r\n\r\n{"keys":[{"kty":"RSA","n":5}]}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b'HTTP/1.1 200 OK\r\n\r\n{"keys":' + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b'{"keys":[]}', mtime=0),
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
    ],
)
async def test_a_garbled_reply_means_that_there_are_no_keys_yet(other_issuer: Issuer, reply: bytes) -> None:
    other_issuer.fails_with = reply
    with pytest.raises(StoreUnavailable, match="no keys"):
        await IssuerKeys(other_issuer.url, f"{other_issuer.url}/keys").find("rsa")


async def test_keys_are_no_more_than_a_megabyte(other_issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    other_issuer.keys.append({"kty": "RSA", "padding": "x" * (1 << 20)})
    with pytest.raises(StoreUnavailable, match="no keys"):
        await IssuerKeys(other_issuer.url).find("rsa")
    assert "more than 1048576 bytes" in caplog.text


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_an_issuer_that_never_ends_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, hurry: Hurry, start: bytes
) -> None:
    monkeypatch.setattr(IssuerKeys, "FETCH_SECONDS", 3.0)  # its client waits 5 for the next byte
    begun, left = asyncio.Event(), asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        begun.set()
        with suppress(ConnectionError):  # so may who leaves seem to, too
            while not reader.at_eof():
                writer.write(b" ")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), 0.02)
        left.set()
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        finding = asyncio.create_task(IssuerKeys(f"http://127.0.0.1:{port}").find("rsa"))
        await begun.wait()
        hurry(3.0)
        with pytest.raises(StoreUnavailable, match="no keys"):
            await finding
        await left.wait()  # the connection is closed, too


async def test_an_issuer_may_send_elsewhere(other_issuer: Issuer, issuer: Issuer) -> None:
    other_issuer.fails_with = f"HTTP/1.1 302 Found\r\nLocation: {issuer.url}/keys\r\n\r\n".encode()
    assert (await IssuerKeys(issuer.url, f"{other_issuer.url}/keys").find("rsa")).key_id == "rsa"


async def test_in_an_outage_the_issuer_is_asked_once_and_nobody_waits_in_a_queue(
    other_issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(IssuerKeys, "FAILURE_PAUSE_SECONDS", 1000.0)
    keys = IssuerKeys(other_issuer.url, f"{other_issuer.url}/keys")
    other_issuer.fails_with = b"nonsense"
    outcomes = await asyncio.gather(
        *(keys.find(kid) for kid in ("rsa", "ec", "x", None, "rsa")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 5
    assert (other_issuer.fetched, len(caplog.records)) == (1, 1)
    other_issuer.fails_with = None
    monkeypatch.setattr(IssuerKeys, "FAILURE_PAUSE_SECONDS", 0.0)
    assert (await keys.find("rsa")).key_id == "rsa"


async def test_in_an_outage_the_keys_there_are_stay_good(
    other_issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = IssuerKeys(other_issuer.url, f"{other_issuer.url}/keys")
    await keys.find("rsa")
    monkeypatch.setattr(IssuerKeys, "LIFETIME_SECONDS", 0.0)
    monkeypatch.setattr(IssuerKeys, "FAILURE_PAUSE_SECONDS", 1000.0)
    other_issuer.fails_with = b"nonsense"
    assert [(await keys.find("rsa")).key_id for _ in range(5)] == ["rsa"] * 5
    assert (other_issuer.fetched, len(caplog.records)) == (2, 1)
    with pytest.raises(jwt.InvalidKeyError):
        await keys.find("unknown")


async def test_while_one_asks_again_the_others_go_on(other_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = IssuerKeys(other_issuer.url, f"{other_issuer.url}/keys")
    await keys.find("rsa")
    monkeypatch.setattr(IssuerKeys, "LIFETIME_SECONDS", 0.0)
    other_issuer.answering.clear()
    first = asyncio.create_task(keys.find("rsa"))
    await asyncio.sleep(0)  # it holds the lock now
    try:
        assert (await asyncio.wait_for(keys.find("ec"), 30)).key_id == "ec"
        assert not first.done()
    finally:
        other_issuer.answering.set()
    assert (await first).key_id == "rsa"
    assert other_issuer.fetched == 2


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_pyjwt_nothing_starts(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delitem(sys.modules, "citestream.http.tokens")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadSettings, match=r"pip install 'citestream\[jwt\]'"):
        make_callers(load_settings({}, auth="jwt", jwt_issuer="https://i.example", jwt_audience=AUDIENCE))


def test_a_refusal_repeats_nothing_of_the_token(issuer: Issuer, guarded: str) -> None:
    for token in (issuer.token(sub="sesame", aud="sesame"), issuer.token(iss="https://sesame.example"), "sesame.x.y"):
        assert "sesame" not in refused(guarded, bearer(token))
        assert token not in refused(guarded, bearer(token))


def test_401_comes_before_everything_else(guarded: str) -> None:
    headers = {"Accept": "image/png", "Content-Type": "text/plain"}
    assert httpx.post(f"{guarded}/api/v1/search", content=b"x" * 70_000, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/citestream.js"])
def test_these_need_no_login(guarded: str, path: str) -> None:
    assert httpx.get(f"{guarded}{path}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/knowledge-bases", "/api/v1/documents", "/api/v1/documents/x", "/api/v1/streams/x"]
)
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
