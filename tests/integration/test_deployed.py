"""The commands on a deployment, as a user types them: files into its bucket, and answers from them waited for."""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient  # type: ignore[import-untyped]
from click.testing import CliRunner, Result

from citestream import aws
from citestream.cli import main
from citestream.commands import deployed, deployment, listing
from citestream.commands.summary import Summary
from citestream.ingest.files import Found
from citestream.model import DocumentEntry
from citestream.retrieval.embedder import EmbeddingFailed
from tests.aws import AwsServer, Stores
from tests.bucket import Bucket, WordBag

TEA = "# Tea\n\nGreen tea is brewed at 80 degrees for two minutes.\n"


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(main, [str(each) for each in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


_new_client = aws._client
_made_client = cache(_new_client)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "_PAUSE_SECONDS", (0.02, 0.05))
    monkeypatch.setattr(aws, "_client", _made_client)  # to make one takes longer than most tests


@pytest.fixture
def new_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_client", _new_client)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "tea.md").write_text(TEA)
    (folder / "deep" / "coffee.txt").write_text("Coffee is brewed at 93 degrees.\n")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    return folder


class Deployed:
    """A deployment, whose ingest function runs while ``working``."""

    def __init__(self, server: AwsServer, stores: Stores) -> None:
        self.server = server
        self.stores = stores
        self.name = stores.documents_bucket
        self.embedder = WordBag()
        self.sent: list[str] = []  # keys, in order; behind a minus those that were deleted
        self.queue: queue.Queue[str | None] = queue.Queue()
        self.before: Callable[[str], None] = lambda key: None
        self.s3 = server.client("s3")
        self.tag(stores.table)

    def tag(self, table: str) -> None:
        tags = {"TagSet": [{"Key": "citestream-table", "Value": table}]}
        self.s3.put_bucket_tagging(Bucket=self.name, Tagging=tags)

    def put(self, key: str, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.name, Key=key, Body=data)

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def note(self, operation: str, arguments: dict[str, Any]) -> None:
        """What S3 tells its queue."""
        if operation in ("PutObject", "DeleteObject") and arguments["Bucket"] == self.name:
            self.sent.append("-" * (operation == "DeleteObject") + arguments["Key"])
            self.queue.put(arguments["Key"])

    @contextmanager
    def working(self) -> Iterator[None]:
        """The ingest function, on a thread; messages of before are lost."""
        self.queue = queue.Queue()
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self.queue.put(None)
            thread.join()

    def entries(self, kb_id: str) -> dict[str, DocumentEntry]:
        async def entries() -> dict[str, DocumentEntry]:
            bucket = Bucket(self.server, self.stores)
            try:
                return {each.document_name: each for each in await bucket.index.documents(kb_id)}
            finally:
                await bucket.aclose()

        return asyncio.run(entries())

    def sync(self, key: str) -> None:
        async def sync() -> None:
            bucket = Bucket(self.server, self.stores, embedder=self.embedder)
            try:
                await bucket.ingest.sync(key)
            finally:
                await bucket.aclose()

        asyncio.run(sync())

    def _work(self) -> None:
        while key := self.queue.get():
            self.before(key)
            with suppress(EmbeddingFailed):  # the message comes again, much later
                self.sync(key)

    def ingest(self, *paths: Path, wait: float = 100) -> Result:
        return run("ingest", *paths, "--kb", "drinks", "--bucket", self.name, "--wait", str(wait))

    def ready(self, *paths: Path) -> None:
        with self.working():
            result = self.ingest(*paths)
        assert result.exit_code == 0, result.output


@pytest.fixture
def stack(aws_server: AwsServer, aws_stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    stack = Deployed(aws_server, aws_stores)
    ask: Callable[..., Any] = BaseClient._make_api_call

    def note(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        reply = ask(client, operation, arguments)
        stack.note(operation, arguments)
        return reply

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    return stack


def summary(result: Result) -> str:
    return result.output.splitlines()[-1]


# --- ingest


def test_files_are_uploaded_and_answered_from_and_sent_once(stack: Deployed, docs: Path) -> None:
    with stack.working():
        result = stack.ingest(docs)
        assert result.exit_code == 0, result.output
        others = " (1 files of other kinds left out)"
        assert summary(result) == f"drinks: 2 added, 0 updated, 0 unchanged, 0 skipped{others}"
        assert {name: each.state for name, each in stack.entries("drinks").items()} == {
            "deep/coffee.txt": "ready",
            "tea.md": "ready",
        }
        (docs / "tea.md").write_text("White tea is brewed at 70 degrees.")
        assert summary(stack.ingest(docs)) == f"drinks: 0 added, 1 updated, 1 unchanged, 0 skipped{others}"
    stack.sent.clear()
    assert summary(stack.ingest(docs)) == f"drinks: 0 added, 0 updated, 2 unchanged, 0 skipped{others}"
    assert stack.sent == []


def test_a_list_of_readers_is_there_before_its_document(stack: Deployed, docs: Path) -> None:
    beside = docs / "tea.md.access.json"
    beside.write_text('{"principals": ["alice"]}')
    with stack.working():
        assert stack.ingest(docs / "tea.md").exit_code == 0
        assert stack.sent == ["drinks/tea.md.access.json", "drinks/tea.md"]
        assert stack.entries("drinks")["tea.md"].access == ("alice",)
        beside.write_text('{"principals": ["bob"]}')
        assert "0 added, 1 updated" in stack.ingest(docs / "tea.md").output
        assert stack.sent[2:] == ["drinks/tea.md.access.json"]
        assert stack.entries("drinks")["tea.md"].access == ("bob",)
        beside.unlink()
        result = stack.ingest(docs / "tea.md")
    assert "it stays for those whom drinks/tea.md.access.json in the bucket lists" in result.output
    assert "1 unchanged" in result.output
    assert stack.entries("drinks")["tea.md"].access == ("bob",)


def test_a_broken_list_withdraws_its_document(stack: Deployed, docs: Path) -> None:
    (docs / "tea.md.access.json").write_text('{"principals": "alice"}')
    with stack.working():
        result = stack.ingest(docs / "tea.md")
    assert result.exit_code == 1
    assert f"skipped {docs}/tea.md: tea.md.access.json: principals is not a list" in result.output


def test_what_can_not_be_read_is_told_with_its_reason(stack: Deployed, docs: Path) -> None:
    (docs / "torn.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    with stack.working():
        result = stack.ingest(docs)
    assert result.exit_code == 1
    assert f"skipped {docs}/torn.pdf: " in result.output
    assert "2 added, 0 updated, 0 unchanged, 1 skipped" in result.output
    stack.sent.clear()
    assert "0 added, 0 updated, 2 unchanged, 1 skipped" in stack.ingest(docs).output
    assert stack.sent == []


def test_what_no_document_can_be_is_not_sent(stack: Deployed, tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_bytes(b"")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(100_000_001)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "line\nbreak.md").write_text("text")
    deep = tmp_path.joinpath(*["茶" * 70] * 5)
    deep.mkdir(parents=True)
    (deep / "tea.md").write_text(TEA)
    (tmp_path / "blocked.md").write_text("text")
    (tmp_path / "blocked.md.access.json").mkdir()
    result = stack.ingest(tmp_path, tmp_path / "photo.png", tmp_path / "nothing.md")
    assert result.exit_code == 1
    for reason in (
        "empty.md: empty",
        "huge.txt: 100,000,001 bytes: 100,000,000 is the limit",
        "photo.png: of an unknown kind",
        "nothing.md: no such file",
        "its name holds characters",
        "its name is too long for a key of S3",
        "blocked.md: blocked.md.access.json: not a regular file",
    ):
        assert reason in result.output
    assert stack.sent == []


def test_a_file_that_changes_while_it_is_read_is_skipped(stack: Deployed, docs: Path) -> None:
    stack.server.fail("s3", "PutObject", "BadDigest")
    result = stack.ingest(docs / "tea.md")
    assert result.exit_code == 1
    assert "tea.md: it has changed while it was read" in result.output


def test_waiting_has_an_end(stack: Deployed, docs: Path) -> None:
    result = stack.ingest(docs / "tea.md", wait=0.1)
    assert result.exit_code == 1
    assert f"waiting {docs}/tea.md: it is not there after 0.1 s" in result.output
    assert summary(result) == "drinks: 0 added, 0 updated, 0 unchanged, 0 skipped, 1 still waiting"


def test_who_does_not_want_to_wait_need_not(stack: Deployed, docs: Path) -> None:
    result = stack.ingest(docs / "tea.md", wait=0)
    assert result.exit_code == 0
    assert "tea.md: it is not waited for; the ingest goes on" in result.output


def test_a_message_that_was_lost_is_made_up_for(stack: Deployed, docs: Path) -> None:
    stack.put("drinks/tea.md", TEA)
    with stack.working():
        assert "1 added" in stack.ingest(docs / "tea.md").output


async def test_to_stop_waiting_does_not_stop_the_ingest(
    stack: Deployed, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = asyncio.create_task(deployed.ingest(stack.name, [str(docs / "tea.md")], "drinks", 900))
    while stack.server.calls().get("dynamodb.BatchGetItem", 0) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    assert await task is False
    said = capsys.readouterr()
    assert "tea.md: it is not waited for; the ingest goes on" in said.err
    assert "1 still waiting" in said.out
    assert stack.keys() == ["drinks/tea.md"]


def test_what_fails_for_now_is_told_at_once_and_waited_for(stack: Deployed, docs: Path) -> None:
    class Silent(WordBag):
        async def embed(self, texts: Any) -> Any:
            raise EmbeddingFailed("the model does not answer", retryable=True)

    stack.embedder = Silent()
    with stack.working():
        result = stack.ingest(docs / "tea.md", wait=6)
    assert result.exit_code == 1
    assert result.output.count("fails for now, and is tried again: the model does not answer") == 1
    assert "tea.md: it is not there after 6 s: the model does not answer" in result.output
    assert "1 still waiting" in result.output
    stack.embedder = WordBag()
    with stack.working():
        assert "1 updated" in stack.ingest(docs / "tea.md").output


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_whom_another_has_outrun_is_told_so(stack: Deployed, docs: Path, what: str) -> None:
    stack.ready(docs / "tea.md")

    def meddle(key: str) -> None:
        stack.before = lambda key: None
        if what == "deleted":
            stack.s3.delete_object(Bucket=stack.name, Key=key)
        else:
            stack.put(key, "Somebody else's tea.")

    stack.before = meddle
    (docs / "tea.md").write_text("White tea is brewed at 70 degrees.")
    with stack.working():
        result = stack.ingest(docs / "tea.md")
    assert result.exit_code == 1
    assert f"tea.md: somebody has {what} it in the bucket meanwhile" in result.output


def test_what_is_still_being_ingested_of_before_is_not_taken_for_the_upload(stack: Deployed, docs: Path) -> None:
    stack.put("drinks/tea.md", "Old tea.")
    (docs / "tea.md.access.json").write_text('{"principals": ["alice"]}')
    with stack.working():
        # The list comes first, and with it the old content is ingested.
        result = stack.ingest(docs / "tea.md")
    assert result.exit_code == 0, result.output
    assert "1 added" in result.output
    assert stack.entries("drinks")["tea.md"].access == ("alice",)


# --- what is missing


@pytest.mark.parametrize(
    ("service", "operation", "code", "permission"),
    [
        ("s3", "GetBucketTagging", "AccessDenied", "s3:GetBucketTagging"),
        ("s3", "HeadBucket", "AccessDenied", "s3:ListBucket"),
        ("dynamodb", "BatchGetItem", "AccessDeniedException", "dynamodb:BatchGetItem"),
        ("s3", "HeadObject", "AccessDenied", "s3:GetObject"),
        ("s3", "GetObject", "AccessDenied", "s3:GetObject"),
        ("s3", "PutObject", "AccessDenied", "s3:PutObject"),
    ],
)
def test_the_permission_that_is_missing_is_named(
    stack: Deployed, docs: Path, service: str, operation: str, code: str, permission: str
) -> None:
    stack.server.fail(service, operation, code, status=403, times=100)
    result = stack.ingest(docs)
    assert result.exit_code == 1
    assert f"Error: AWS does not allow {operation}: the permission {permission} is missing" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "service", "operation", "permission"),
    [
        (["documents"], "dynamodb", "Query", "dynamodb:Query"),
        (["remove", "tea.md"], "s3", "DeleteObject", "s3:DeleteObject"),
    ],
)
def test_so_it_is_by_the_other_commands(
    stack: Deployed, command: list[str], service: str, operation: str, permission: str
) -> None:
    stack.put("drinks/tea.md", TEA)
    stack.server.fail(service, operation, "AccessDeniedException", status=400, times=100)
    result = run(*command, "--kb", "drinks", "--bucket", stack.name)
    assert result.exit_code == 1
    assert f"Error: AWS does not allow {operation}: the permission {permission} is missing" in result.output


def test_a_deployment_is_not_guessed(stack: Deployed, docs: Path) -> None:
    result = run("ingest", docs, "--kb", "drinks", "--bucket", "nowhere-at-all")
    assert (result.exit_code, result.output) == (1, "Error: there is no bucket nowhere-at-all\n")
    result = run("ingest", docs, "--kb", "drinks", "--bucket", "no bucket")
    assert result.exit_code == 1
    assert "Invalid bucket name" in result.output
    result = run("ingest", docs, "--kb", "drinks", "--bucket", stack.stores.text_bucket)
    assert result.exit_code == 1
    assert "has no tag citestream-table" in result.output
    stack.tag("no-such-table")
    result = stack.ingest(docs)
    assert (result.exit_code, summary(result)) == (1, "Error: there is no table no-such-table")
    stack.server.fail("s3", "GetBucketTagging", "InvalidAccessKeyId", status=403)
    result = stack.ingest(docs)
    assert result.exit_code == 1
    assert "Error: AWS refuses GetBucketTagging: InvalidAccessKeyId" in result.output


@pytest.mark.parametrize("error", ["NoSuchTagSet", "AccessDenied"])
def test_the_environment_names_the_table_where_the_bucket_does_not(stack: Deployed, docs: Path, error: str) -> None:
    stack.ready(docs / "tea.md")
    stack.server.fail("s3", "GetBucketTagging", error, status=403)
    env = {"CITESTREAM_TABLE": stack.stores.table}
    result = run("documents", "--kb", "drinks", "--bucket", stack.name, env=env)
    assert "tea.md" in result.output


def test_without_credentials(stack: Deployed, docs: Path, new_clients: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = stack.ingest(docs)
    assert result.exit_code == 1
    assert "there are no credentials for AWS" in result.output


@pytest.mark.parametrize(("package", "told"), [("boto3", True), ("botocore.config", False)])
def test_without_the_package(
    stack: Deployed, docs: Path, new_clients: None, monkeypatch: pytest.MonkeyPatch, package: str, told: bool
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    if told:
        assert "pip install 'citestream[aws]'" in stack.ingest(docs).output
    else:
        with pytest.raises(ModuleNotFoundError, match=r"botocore\.config"):
            stack.ingest(docs)


@pytest.mark.parametrize("arguments", [["ingest", "."], ["remove", "tea.md"]])
def test_documents_of_a_deployment_come_by_its_bucket(arguments: list[str]) -> None:
    env = {"CITESTREAM_TABLE": "t", "CITESTREAM_VECTOR_BUCKET": "v", "CITESTREAM_TEXT_BUCKET": "x"}
    for each in ([*arguments, "--kb", "drinks"], ["samples"]):
        result = run(*each, env=env)
        assert result.exit_code == 2
        assert "give --bucket" in result.output
    result = run(*arguments, "--kb", "drinks", "--bucket", "b", "--data", "d")
    assert result.exit_code == 2
    assert "give one of them" in result.output


# --- remove


def test_documents_are_removed_and_gone_from_the_index(stack: Deployed, docs: Path) -> None:
    (docs / "tea.md.access.json").write_text('{"principals": ["alice"]}')
    with stack.working():
        assert stack.ingest(docs).exit_code == 0
        stack.sent.clear()
        result = run("remove", "tea.md", "water.md", "--kb", "drinks", "--bucket", stack.name)
        assert result.exit_code == 1
        assert result.output == "drinks: 1 removed\nError: not in drinks: water.md\n"
        assert stack.sent == ["-drinks/tea.md", "-drinks/tea.md.access.json"]
        assert list(stack.entries("drinks")) == ["deep/coffee.txt"]
        result = run("remove", "deep/coffee.txt", "--kb", "drinks", "--bucket", stack.name)
        assert (result.exit_code, result.output) == (0, "drinks: 1 removed\n")
    assert stack.keys() == []


def test_a_document_is_removed_however_its_key_is_spelt(stack: Deployed) -> None:
    stack.put("drinks/caf\u0065\u0301.md", TEA)
    stack.sync("drinks/caf\u0065\u0301.md")
    with stack.working():
        result = run("remove", "caf\u00e9.md", "--kb", "drinks", "--bucket", stack.name)
    assert (result.exit_code, result.output) == (0, "drinks: 1 removed\n")
    assert stack.keys() == []


def test_a_removal_is_waited_for_with_an_end(stack: Deployed, docs: Path) -> None:
    stack.ready(docs)
    result = run("remove", "tea.md", "--kb", "drinks", "--bucket", stack.name, "--wait", "0.1")
    assert result.exit_code == 1
    assert result.output == "drinks: 0 removed\nError: in drinks still: tea.md\n"
    with stack.working():  # the object is gone, its message is lost
        assert run("remove", "tea.md", "--kb", "drinks", "--bucket", stack.name).output == "drinks: 1 removed\n"


def test_a_document_that_comes_back_is_not_waited_for(stack: Deployed, docs: Path) -> None:
    stack.ready(docs / "tea.md")

    def put_back(key: str) -> None:
        stack.before = lambda key: None
        stack.put(key, "Somebody else's tea.")

    stack.before = put_back
    with stack.working():
        result = run("remove", "tea.md", "--kb", "drinks", "--bucket", stack.name)
    assert result.exit_code == 1
    assert "put into the bucket again meanwhile: tea.md" in result.output


# --- documents


@pytest.fixture(params=["data", "bucket", "table"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str | Path]:
    """What names a store with three documents of ``drinks``, one of them broken."""
    monkeypatch.setattr(listing, "_PAGE", 2)
    (docs / "torn.pdf").write_bytes(b"%PDF-1.7\nnothing more")
    if request.param == "data":
        run("ingest", docs, "--kb", "drinks", "--data", tmp_path / "data")
        return ["--data", tmp_path / "data"]
    stack: Deployed = request.getfixturevalue("stack")
    for name in ("tea.md", "deep/coffee.txt", "torn.pdf"):
        stack.put(f"drinks/{name}", (docs / name).read_bytes())
        stack.sync(f"drinks/{name}")
    if request.param == "bucket":
        return ["--bucket", stack.name]
    for name, value in stack.stores.environ.items():
        monkeypatch.setenv(name, value)
    return []


def test_documents_are_listed_with_what_became_of_them(place: list[str | Path]) -> None:
    result = run("documents", "--kb", "drinks", *place)
    assert result.exit_code == 0, result.output
    coffee, tea, torn = result.output.splitlines()[-3:]
    assert coffee.startswith("ready        1 chunks  20")
    assert coffee.endswith("Z  deep/coffee.txt")
    assert tea.endswith("  tea.md")
    assert torn.startswith("failed       0 chunks")
    assert "  torn.pdf: " in torn
    lines = run("documents", "--kb", "drinks", "--json", *place).output.splitlines()
    documents = json.loads(lines[-1])["documents"]
    assert [each["document_name"] for each in documents] == ["deep/coffee.txt", "tea.md", "torn.pdf"]
    assert documents[1].keys() == {
        *("document_id", "document_name", "kb_id", "state", "reason", "chunk_count", "updated_at", "access"),
    }


def test_a_knowledge_base_that_is_not_there_is_told(place: list[str | Path]) -> None:
    result = run("documents", "--kb", "food", *place)
    assert result.exit_code == 1
    assert result.output.endswith("Error: no such knowledge base: food (there are: drinks)\n")


# --- the summary


def test_only_the_first_of_many_that_are_waited_for_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Summary("drinks", Found(), waiting=[(f"{n}.md", "slow") for n in range(12)]).show()
    said = capsys.readouterr()
    assert said.err.splitlines()[-2:] == ["waiting 9.md: slow", "waiting 2 more"]
    assert said.out == "drinks: 0 added, 0 updated, 0 unchanged, 0 skipped, 12 still waiting\n"
