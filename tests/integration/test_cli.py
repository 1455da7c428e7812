"""The commands, as a user types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from citestream import __version__
from citestream.cli import main
from citestream.remote import AskFailed, remote_events
from tests.cutting_proxy import cutting
from tests.openai_server import OpenAIServer, Status, delta
from tests.openai_server import answer as steps
from tests.patience import UNHURRIED_ENVIRONMENT
from tests.server import product, serving
from tests.sse import STREAM, frames


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    env = UNHURRIED_ENVIRONMENT | {"CITESTREAM_MODEL": ""} | (env or {})
    result = CliRunner().invoke(main, [str(each) for each in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of documents, one of them in a folder of its own."""
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "tea.md").write_text("# Tea\n\nGreen tea is brewed at 80 degrees for two minutes.\n")
    (folder / "deep" / "coffee.txt").write_text("Coffee is brewed at 93 degrees.\n")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("hidden")
    return folder


def names(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / "index.db")) as file, file:
        rows = file.execute("SELECT name FROM documents ORDER BY name").fetchall()
    return [name for (name,) in rows]


def ingest(data: Path, *paths: str | Path, kb: str = "drinks") -> Result:
    return run("ingest", *paths, "--kb", kb, "--data", data)


def test_a_folder_is_ingested_with_names_below_it(data: Path, docs: Path) -> None:
    result = ingest(data, docs)
    assert result.exit_code == 0, result.output
    assert "drinks: 2 added, 0 updated, 0 unchanged, 0 skipped (1 files of other kinds left out)" in result.output
    assert names(data) == ["deep/coffee.txt", "tea.md"]


def test_what_is_unchanged_is_known_and_what_changed_is_replaced(data: Path, docs: Path) -> None:
    ingest(data, docs)
    (docs / "tea.md").write_text("White tea is brewed at 70 degrees.")
    assert "0 added, 1 updated, 1 unchanged, 0 skipped" in ingest(data, docs).output
    answer = run("ask", "At how many degrees is tea brewed?", "--data", data).output
    assert "70 degrees" in answer
    assert "80 degrees" not in answer


@pytest.mark.parametrize(("pattern", "found"), [("*.md", ["tea.md"]), ("**/*.txt", ["deep/coffee.txt"])])
def test_a_glob_that_the_shell_left_alone(data: Path, docs: Path, pattern: str, found: list[str]) -> None:
    assert ingest(data, docs / pattern).exit_code == 0
    assert names(data) == found


def test_a_file_is_named_by_its_name(data: Path, docs: Path) -> None:
    assert ingest(data, docs / "deep" / "coffee.txt").exit_code == 0
    assert names(data) == ["coffee.txt"]


def bad_files(folder: Path) -> dict[str, str]:
    """Files that can't be ingested, and what must be said of each."""
    (folder / "empty.md").write_bytes(b"")
    (folder / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (folder / "torn.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    (folder / "fake.docx").write_bytes(b"PK\x03\x04 not really")
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(1 << 30)
    (folder / "line\nbreak.md").write_text("text")
    return {
        "empty.md": "empty",
        "latin.txt": "UTF-8",
        "torn.pdf": "PDF",
        "fake.docx": "",
        "huge.txt": "100,000,000 is the limit",
        r"line\nbreak.md": "name",
    }


def test_bad_files_are_reported_with_their_reason_and_the_rest_is_kept(data: Path, docs: Path) -> None:
    expected = bad_files(docs)
    result = ingest(data, docs)
    assert result.exit_code == 1
    assert "2 added, 0 updated, 0 unchanged, 6 skipped" in result.output
    for name, reason in expected.items():
        assert re.search(rf"skipped .*{re.escape(name)}: .*{reason}", result.output), (name, result.output)
    assert "Traceback" not in result.output
    assert names(data) == ["deep/coffee.txt", "tea.md"]


def test_a_document_that_turns_bad_stays_as_it_was(data: Path, docs: Path) -> None:
    ingest(data, docs)
    (docs / "tea.md").write_bytes(b"\xff\xff\xff")
    assert ingest(data, docs).exit_code == 1
    assert "80 degrees" in run("ask", "How is green tea brewed?", "--data", data).output


def test_paths_that_lead_nowhere_are_reported(data: Path, docs: Path) -> None:
    result = ingest(data, docs / "tea.md", docs / "nothing.md", docs / "*.docx", docs / "photo.png")
    assert result.exit_code == 1
    assert "1 added, 0 updated, 0 unchanged, 3 skipped" in result.output
    for each in ("nothing.md: no such file", "*.docx: no file matches", "photo.png: "):
        assert each in result.output


def test_a_link_that_leads_out_of_the_folder_is_reported(data: Path, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (docs / "link.md").symlink_to(tmp_path / "secret.md")
    result = ingest(data, docs)
    assert result.exit_code == 1
    assert "2 added, 0 updated, 0 unchanged, 1 skipped" in result.output
    assert f"skipped {docs}/link.md: a link to a file outside of the folder" in result.output


def test_two_files_of_one_name_are_not_taken_for_one(data: Path, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tea.md").write_text("Another tea.")
    result = ingest(data, docs / "tea.md", tmp_path / "other" / "tea.md")
    assert result.exit_code == 1
    assert "its name, tea.md, is taken by" in result.output


@pytest.mark.parametrize("kb", ["", "a b", "a,b", "*", "../x", "-x", "x" * 64])
def test_a_knowledge_base_has_a_plain_name(data: Path, docs: Path, kb: str) -> None:
    result = ingest(data, docs, kb=kb)
    assert result.exit_code == 2
    assert "letters, digits" in result.output


def test_remove(data: Path, docs: Path) -> None:
    ingest(data, docs)
    assert run("remove", "tea.md", "--kb", "drinks", "--data", data).output == "drinks: 1 removed\n"
    assert names(data) == ["deep/coffee.txt"]
    again = run("remove", "tea.md", "deep/coffee.txt", "--kb", "drinks", "--data", data)
    assert again.exit_code == 1
    assert "not in drinks: tea.md" in again.output
    assert names(data) == []


def test_an_embedder_that_refuses_is_one_line(data: Path, docs: Path) -> None:
    with OpenAIServer() as openai:
        openai.reply(Status(401), to="embeddings")
        env = {"CITESTREAM_EMBEDDING_MODEL": "openai/m", "CITESTREAM_EMBEDDING_API_BASE": openai.base_url}
        result = run("ingest", docs, "--kb", "drinks", "--data", data, env=env | {"OPENAI_API_KEY": "only-for-tests"})
    assert result.exit_code == 1
    *_, told, error = result.output.splitlines()
    assert told.startswith("drinks: 0 added, ")
    assert error == "Error: The model's provider did not accept this server's credentials."


def test_samples_are_loaded_and_questions_printed_that_they_answer(data: Path) -> None:
    result = run("samples", "--data", data)
    assert result.exit_code == 0, result.output
    assert "engineering: 5 added" in result.output
    assert "handbook: 4 added" in result.output
    questions = result.output.partition("Questions to try:\n")[2].split("\n")[:3]
    for question in questions:
        answer = json.loads(run("ask", question.strip(), "--json", "--data", data).output)
        assert answer["finish_reason"] == "stop"


# --- ask


def check_answer(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert "[1]" in result.output
    assert re.search(r"\nSources\n\[1\] oauth-guide\.md, .*\(engineering\)\n    “.+”\n", result.output)
    assert re.search(r"Confidence \d+ of 100\n$", result.output)


QUESTION = "How does a client get an access token with OAuth?"


def test_ask_the_index_on_this_machine(library: Path) -> None:
    check_answer(run("ask", QUESTION, "--kb", "engineering", "--data", library))


def test_ask_a_server(url: str, data: Path) -> None:
    check_answer(run("ask", QUESTION, "--kb", "engineering", "--url", url, "--data", data))


def test_ask_for_json_gives_the_same_from_both(url: str, library: Path, data: Path) -> None:
    here = json.loads(run("ask", QUESTION, "--json", "--data", library).output)
    there = json.loads(run("ask", QUESTION, "--json", "--url", url, "--data", data).output)
    by_http = httpx.post(f"{url}/api/v1/search", json={"query": QUESTION}).json()
    assert set(here) == set(there) == set(by_http)
    for name in ("answer", "citations", "results", "confidence_score", "finish_reason"):
        assert here[name] == there[name] == by_http[name]


@pytest.mark.parametrize("question", ["", "   ", "x" * 2001])
def test_a_question_has_1_to_2000_characters(data: Path, question: str) -> None:
    assert run("ask", question, "--data", data).exit_code == 2


def test_an_unknown_knowledge_base(url: str, library: Path) -> None:
    here = run("ask", "x", "--kb", "nowhere", "--data", library)
    assert here.exit_code == 1
    assert "nowhere" in here.output
    assert "engineering, handbook" in here.output
    there = run("ask", "x", "--kb", "nowhere", "--url", url)
    assert there.exit_code == 1
    assert "404: No such knowledge base" in there.output


def test_no_server_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    result = run("ask", "x", "--url", url)
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_a_failed_answer_is_exit_status_1(library: Path) -> None:

    with OpenAIServer() as openai:
        openai.reply(Status(401))
        env = {"CITESTREAM_MODEL": "openai/m", "CITESTREAM_API_BASE": openai.base_url}
        result = run("ask", QUESTION, "--data", library, env=env)
        assert result.exit_code == 1
        assert "Failed: " in result.output
        openai.reply(Status(401))
        result = run("ask", QUESTION, "--data", library, "--json", env=env)
    assert result.exit_code == 1
    assert json.loads(result.output)["code"] == "upstream_error"


# --- settings, version, serve


def test_version_and_help() -> None:
    assert run("--version").output.strip().endswith(__version__)
    assert {"ask", "ingest", "remove", "serve"} <= set(run("--help").output.split())


def test_a_bad_setting_is_one_line(data: Path) -> None:
    result = run("ask", "x", "--data", data, env={"CITESTREAM_ANSWER_SECONDS": "soon"})
    assert result.exit_code == 2
    assert "CITESTREAM_ANSWER_SECONDS='soon'" in result.output


def test_a_data_folder_that_can_not_be_used_is_one_line(tmp_path: Path, docs: Path) -> None:
    (tmp_path / "file").write_text("")
    result = ingest(tmp_path / "file", docs)
    assert result.exit_code == 1
    assert "the store does not answer" in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_the_server_refuses_to_show_everything_to_everybody(data: Path, host: str) -> None:
    result = run("serve", "--host", host, "--data", data)
    assert result.exit_code == 2
    assert "CITESTREAM_AUTH=jwt" in result.output


def command(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    line: Sequence[str | Path] = [sys.executable, "-c", "from citestream.cli import main; main()", *arguments]
    return subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_serve_answers_and_stops_when_told(library: Path) -> None:
    with command("serve", "--port", "0", "--data", library, env=os.environ | {"CITESTREAM_MODEL": ""}) as server:
        assert server.stderr is not None
        url = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        check_answer(run("ask", QUESTION, "--url", url))
        server.send_signal(signal.SIGINT)
        rest = server.stderr.read()
    assert "Traceback" not in rest
    assert server.returncode == 0 or server.returncode == -signal.SIGINT


def test_when_the_server_is_told_to_stop_a_live_stream_gets_its_end(library: Path) -> None:
    with OpenAIServer() as openai:
        openai.reply(delta("It goes on "), delta("and on "))
        env = (
            os.environ
            | UNHURRIED_ENVIRONMENT
            | {"CITESTREAM_MODEL": "openai/m", "CITESTREAM_API_BASE": openai.base_url}
        )
        with command("serve", "--port", "0", "--data", library, env=env) as server:
            assert server.stderr is not None
            url = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            body = {"query": QUESTION}
            with httpx.stream("POST", f"{url}/api/v1/search", json=body, headers=STREAM) as response:
                stream = frames(response)
                assert next(stream).event == "token"
                server.send_signal(signal.SIGTERM)
                *_, last = stream
            assert "Traceback" not in server.stderr.read()
    assert last.data["code"] == "producer_lost"


def test_killed_at_any_moment_an_ingest_loses_no_document_and_breaks_nothing(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(150):
        (folder / f"{i:03}.md").write_text(f"# Number {i}\n\nThe secret word of document {i} is word{i}.\n")
    seen = 0
    for _ in range(4):
        with command("ingest", folder, "--kb", "many", "--data", data) as process:
            goal = seen + 5
            while process.poll() is None and _committed(data) < goal:
                time.sleep(0.001)
            process.kill()
        with closing(sqlite3.connect(data / "index.db")) as file, file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            documents, chunks = (
                file.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("documents", "chunks")
            )
            words = file.execute("SELECT count(*) FROM words WHERE words MATCH 'secret'").fetchone()[0]
        assert documents == chunks == words >= seen
        seen = documents
    assert ingest(data, folder, kb="many").exit_code == 0
    assert len(names(data)) == 150


def _committed(data: Path) -> int:
    try:
        return len(names(data)) if (data / "index.db").exists() else 0
    except sqlite3.OperationalError:  # the tables are being made
        return 0


def test_a_lost_connection_is_resumed(library: Path) -> None:
    """A proxy cuts the first two connections in the middle of a frame; the answer arrives whole all the same."""
    with product(data=library) as url, cutting(url, after=[5000, _size_of_stream(url) - 200]) as proxy:
        whole = json.loads(run("ask", QUESTION, "--json", "--url", url).output)
        pieced = json.loads(run("ask", QUESTION, "--json", "--url", proxy.url).output)
    assert proxy.cuts == 2
    assert pieced["answer"] == whole["answer"]
    assert pieced["citations"] == whole["citations"]
    assert pieced["results"] == whole["results"]


def _size_of_stream(url: str) -> int:
    body = {"query": QUESTION, "include": ["results"]}
    return len(httpx.post(f"{url}/api/v1/search", json=body, headers=STREAM).content)


# --- ask, against servers that are not what they should be


async def _plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("hello")(scope, receive, send)


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999", "ftp://x", "nonsense"])
def test_a_url_that_is_none(url: str) -> None:
    result = run("ask", "x", "--url", url)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_server_that_is_not_ours() -> None:
    with serving(_plain_app) as url:
        result = run("ask", "x", "--url", url)
    assert result.exit_code == 1
    assert "does not answer with a stream of events" in result.output


def test_what_a_terminal_would_obey_is_left_out(library: Path) -> None:
    with OpenAIServer() as openai:
        openai.reply(*steps("\x1b[2JRed \x9b31malert\x07 [1]."))
        env = {"CITESTREAM_MODEL": "openai/m", "CITESTREAM_API_BASE": openai.base_url}
        output = run("ask", QUESTION, "--data", library, env=env).output
    assert "[2JRed 31malert [1]." in output
    assert not {"\x1b", "\x9b", "\x07"} & set(output)


def test_without_documents_the_way_to_add_some_is_told(data: Path) -> None:
    result = run("ask", "x", "--data", data)
    assert result.exit_code == 1
    assert "citestream ingest" in result.output


async def test_leaving_early_stops_the_answer(library: Path) -> None:
    with OpenAIServer() as openai, product(data=library, model="openai/m", api_base=openai.base_url) as url:
        reply = openai.reply(delta("It goes on "), delta("and on "))
        async with aclosing(remote_events(url, QUESTION, [])) as events:
            async for name, _ in events:
                if name == "token":
                    break
        assert await reply.closed_by_client()


async def test_a_server_that_refuses_says_why(library: Path) -> None:
    settings = {"auth": "jwt", "jwt_issuer": "http://127.0.0.1:9", "jwt_audience": "x"}
    with product(data=library, **settings) as url, pytest.raises(AskFailed, match=r"^401: A bearer token is needed"):
        await anext(remote_events(url, QUESTION, []))
