"""Who may read a document: what the file beside it lists, and what it means when that can't be told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from citestream.ingest.access import MAX_BYTES, SUFFIX, parse_access, read_access
from citestream.ingest.parsed import UnreadableFile
from citestream.model import Access


def listing(*principals: Any) -> bytes:
    return json.dumps({"principals": principals}).encode()


MOST = [f"group-{i}" for i in range(32)]


@pytest.mark.parametrize(
    ("data", "principals"),
    [
        (listing("alice", "hr"), ("alice", "hr")),
        (listing("hr", "alice", "hr"), ("alice", "hr")),
        (listing(), ()),
        (listing("grün", "文書", "a b", "ALICE", "auth0|7"), ("ALICE", "a b", "auth0|7", "grün", "文書")),
        (listing(*MOST, *MOST), tuple(sorted(MOST))),
        (listing(*(f"{i:02}{'x' * 123}" for i in range(12))), tuple(f"{i:02}{'x' * 123}" for i in range(12))),
        (b"\xef\xbb\xbf" + listing("alice"), ("alice",)),
        (listing("alice").decode().encode("utf-16"), ("alice",)),
        (b' {\r\n\t"principals": [\n"alice"\n]\n}\n' + b" " * 1000, ("alice",)),
    ],
)
def test_principals_are_listed_sorted_and_once(data: bytes, principals: tuple[str, ...]) -> None:
    assert parse_access(data) == principals


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"alice", "not JSON"),
        (b'{"principals": ["\xff"]}', "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b'["alice"]', 'not of the form {"principals": ["…", "…"]}'),
        (b"{}", "not of the form"),
        (b"[]", "not of the form"),
        (b"null", "not of the form"),
        (b'{"principal": ["alice"]}', "not of the form"),
        (b'{"principals": ["alice"], "until": "tomorrow"}', "not of the form"),
        (b'{"principals": ["alice"], "principals": []}', "not of the form"),
        (b'{"principals": "alice"}', "principals is not a list"),
        (b'{"principals": {"alice": 1}}', "principals is not a list"),
        (b'{"principals": {}}', "principals is not a list"),
        (b'{"principals": null}', "principals is not a list"),
        (listing("alice", 7), "7 is not a principal: not a string"),
        (listing(None), "None is not a principal: not a string"),
        (listing(["alice"]), "is not a principal: not a string"),
        (listing(""), "'' is not a principal: 1 to 128 characters"),
        (listing("x" * 129), "is not a principal: 1 to 128 characters"),
        (listing("x" * 16_000), "is not a principal: 1 to 128 characters"),
        (listing("a\nb"), r"'a\nb' is not a principal: it holds characters that can't be shown"),
        (b'{"principals": ["\\ud800"]}', "it holds characters that can't be shown"),
        (listing("alice", "*"), "'*' is not a principal: without this file, everybody may read the document"),
        (listing(*MOST, "one more"), "33 principals: 32 is the limit"),
        (listing(*(f"{i}{'é' * 125}" for i in range(6))), "principals of over 1,500 bytes of UTF-8 together"),
        (listing("alice") + b" " * MAX_BYTES, "over 16,384 bytes"),
    ],
)
def test_what_is_no_list_of_principals_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFile) as refused:
        parse_access(data)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "pay.md"
    path.write_text("text")
    return path


def beside(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


@pytest.mark.parametrize(("content", "access"), [(None, None), (listing(), ()), (listing("alice"), ("alice",))])
def test_the_file_beside_a_document_says_who_may_read_it(document: Path, content: bytes | None, access: Access) -> None:
    if content is not None:
        beside(document).write_bytes(content)
    beside(document.with_name("other.md")).write_bytes(listing("bob"))
    assert read_access(document) == access


@pytest.mark.parametrize("names", [("pay\u00e9.md", "paye\u0301.md"), ("paye\u0301.md", "pay\u00e9.md")])
def test_a_list_whose_name_is_written_in_another_way_counts(document: Path, names: tuple[str, str]) -> None:
    written, listed = map(document.with_name, names)
    written.write_text("text")
    beside(listed).write_bytes(listing("alice"))
    assert read_access(written) == ("alice",)


def test_what_lists_nobody_that_is_known_is_told_by_its_name(document: Path) -> None:
    beside(document).write_bytes(listing("*"))
    with pytest.raises(UnreadableFile, match=r"^pay\.md\.access\.json: '\*' is not a principal"):
        read_access(document)


def test_a_name_that_leaves_no_room_for_another_file_beside_has_none(document: Path) -> None:
    long = document.with_name("x" * 250 + ".md")
    long.write_text("text")
    assert read_access(long) is None


def test_a_link_does_not_open_what_it_leads_to(document: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to(document)
    assert read_access(link) is None
    beside(document).write_bytes(listing("alice"))
    assert read_access(link) == ("alice",)
    beside(link).write_bytes(listing("bob"))
    assert read_access(link) == ("bob",)


def test_an_access_file_may_be_a_link_within_its_folder(document: Path) -> None:
    (document.parent / "..data").mkdir()
    (document.parent / "..data" / "it").write_bytes(listing("alice"))
    beside(document).symlink_to("..data/it")
    assert read_access(document) == ("alice",)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link to nowhere", "No such file or directory"),
        ("link to itself", "Too many levels of symbolic links"),
        ("link outside", "a link to a file outside of its folder"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
    ],
)
def test_an_access_file_that_can_not_be_read_opens_nothing(document: Path, kind: str, reason: str) -> None:
    path = beside(document)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        outside = document.parents[1] / "outside.json"
        outside.write_bytes(listing("alice"))
        targets = {"link to nowhere": Path("nowhere"), "link to itself": path, "link outside": outside}
        path.symlink_to(targets[kind])
    with pytest.raises(UnreadableFile, match=rf"^pay\.md\.access\.json: {reason}"):
        read_access(document)


def test_a_folder_that_can_not_be_looked_into_tells_nothing(document: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"under\.md\.access\.json: Not a directory"):
        read_access(document / "under.md")
