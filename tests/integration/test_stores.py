"""What a client is told when a store on disk is not what it was, while the server runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from citestream.cli import main
from citestream.errors import WrongIndex
from citestream.http.problems import EXCEPTION_HANDLERS
from tests.server import product, serving


def check_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("name", ["index.db", "streams.db"])
def test_a_file_that_another_version_has_taken_over_is_503(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with product(data=tmp_path) as url:
        with closing(sqlite3.connect(tmp_path / name)) as file, file:
            file.execute("PRAGMA user_version = 99")
        check_unavailable(httpx.post(f"{url}/api/v1/search", json={"query": "x"}))
    assert "has schema version 99, this program needs" in caplog.text
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(("length", "status"), [(24, 503), (128, 503), (129, 404), (5000, 404)])
def test_no_store_is_asked_for_what_is_too_long_for_an_id(tmp_path: Path, length: int, status: int) -> None:
    with product(data=tmp_path) as url:
        with closing(sqlite3.connect(tmp_path / "index.db")) as file, file:
            file.execute("PRAGMA user_version = 99")
        assert httpx.get(f"{url}/api/v1/documents/{'a' * length}").status_code == status


@pytest.mark.parametrize("name", ["index.db", "streams.db"])
@pytest.mark.parametrize(
    ("version", "message"), [(0, "file is not a database"), (99, "has schema version 99, this program needs")]
)
def test_a_server_does_not_start_with_a_file_that_is_none_of_its_own(
    tmp_path: Path, name: str, version: int, message: str
) -> None:
    if version:
        with closing(sqlite3.connect(tmp_path / name)) as file, file:
            file.execute(f"PRAGMA user_version = {version}")
    else:
        (tmp_path / name).write_bytes(b"not a database, but long enough to look at" * 100)
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert f"{name}" in result.stderr
    assert message in result.stderr


async def _wrong(request: Request) -> Response:
    raise WrongIndex("made with another embedder")


def test_a_wrong_index_is_503_wherever_it_is_met(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Starlette(routes=[Route("/{name}", _wrong)], exception_handlers=EXCEPTION_HANDLERS)) as url:
        response = httpx.get(f"{url}/%1b%5b2Jforged")
    check_unavailable(response)
    assert "embedder" not in response.text
    assert [record.getMessage() for record in caplog.records] == [r"GET '/\x1b[2Jforged': made with another embedder"]
