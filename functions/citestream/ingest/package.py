"""The Open Packaging file (ECMA-376, part 2) that a DOCX is: XML in a zip archive, read with an eye on bombs."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator, Mapping

from citestream.ingest.parsed import UnreadableFile

_MAX_MEMBERS = 10_000
_MAX_UNPACKED = 200_000_000
# Parts of real documents pack 5 to 50 times smaller; one that packs smaller than this has to be small.
_MAX_RATIO = 200
_MAX_SMALL = 10_000_000

_ENTRY = b"PK\x01\x02"  # starts each entry of a zip's directory
_COMPOUND_FILE = bytes.fromhex("d0cf11e0a1b11ae1")  # what encrypted documents and those of Word 97 come in
_ENCRYPTED = 1  # the flag of a member
_PIECE = 1 << 16


class Elements:
    """What a part's elements are reported to: local names, as strict and transitional documents differ in the
    namespaces alone.
    """

    def opened(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def closed(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class Package:
    """Nothing that a member claims of its size is believed: what comes out of it is counted."""

    def __init__(self, data: bytes) -> None:
        if data.startswith(_COMPOUND_FILE):
            raise UnreadableFile("encrypted, or a file of Word 97: save it as .docx without a password")
        if not data.startswith(b"PK"):
            raise UnreadableFile("not a DOCX file: it is no zip archive")
        if data.count(_ENTRY) > _MAX_MEMBERS:
            raise UnreadableFile(f"a zip archive with more than {_MAX_MEMBERS:,} members")
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._parts = frozenset(self._archive.namelist())
        self._allowance = _MAX_UNPACKED

    def related(self, part: str = "") -> dict[str, str]:
        """The parts that ``part``, or the package itself, points to, by the last word of the relationship's type."""
        folder, name = posixpath.split(part)
        relationships = _Relationships(folder)
        self.feed(posixpath.join(folder, "_rels", f"{name}.rels"), relationships)
        return relationships.targets

    def feed(self, part: str, elements: Elements) -> bool:
        """Report the elements of ``part``, as they are read; False if there is no such part."""
        from lxml import etree  # type: ignore[import-untyped]

        if part not in self._parts:
            return False
        parser = etree.XMLParser(target=_Target(part, elements), resolve_entities=False, no_network=True)
        for piece in self._unpacked(part):
            parser.feed(piece)
        parser.close()
        return True

    def _unpacked(self, part: str) -> Iterator[bytes]:
        info = self._archive.getinfo(part)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableFile(f"{part} is compressed as no office program does it")
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableFile(f"encrypted ({part}): save it without a password")
        allowance = max(_MAX_SMALL, _MAX_RATIO * info.compress_size)
        with self._archive.open(info) as member:
            while piece := member.read(_PIECE):
                allowance -= len(piece)
                self._allowance -= len(piece)
                if allowance < 0 or self._allowance < 0:
                    raise UnreadableFile(f"{part} unpacks to more than a document can hold (a zip bomb?)")
                yield piece


class _Relationships(Elements):
    def __init__(self, folder: str) -> None:
        self.targets: dict[str, str] = {}
        self._folder = folder

    def opened(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship":
            target = posixpath.join("/", self._folder, attributes["Target"])
            self.targets[attributes["Type"].rpartition("/")[2]] = posixpath.normpath(target).lstrip("/")


class _Target:
    """Between lxml and ``Elements``."""

    def __init__(self, part: str, elements: Elements) -> None:
        self._part = part
        self._elements = elements

    def doctype(self, *_: str | None) -> None:
        # Entities come with one, and with them attacks; no part of a package may have one (part 2, 8.1.4).
        raise UnreadableFile(f"{self._part} has a document type declaration")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements.opened(tag.rpartition("}")[2], attributes)

    def end(self, tag: str) -> None:
        self._elements.closed(tag.rpartition("}")[2])

    def data(self, text: str) -> None:
        self._elements.text(text)

    def close(self) -> None: ...
