"""What can be read beside answers: knowledge bases, documents, the page, the server's health."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

import citestream
from citestream.http.callers import Caller, Callers
from citestream.http.fields import check, query_fields
from citestream.http.problems import NO_KNOWLEDGE_BASE, Problem
from citestream.model import DocumentEntry
from citestream.retrieval.index import Index

_WEB = Path(citestream.__file__).parent / "web"

_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# How many documents are asked for at once, and are listed at most.
_PAGE = 1000
# Longer is no document's id, and more than a key of DynamoDB's may have, which it would refuse to look for.
_LONGEST_ID = 128


class Listing(BaseModel):
    """Which documents to list: those of a knowledge base whose names come after ``after``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kb_id: Annotated[str, Field(min_length=1)]
    after: str = ""
    limit: Annotated[int, Field(ge=1, le=_PAGE)] = _PAGE


class LibraryEndpoints:
    """``/api/v1/knowledge-bases``, ``/api/v1/documents`` and ``/api/v1/documents/{document_id}``."""

    def __init__(self, callers: Callers, index: Index) -> None:
        self._callers = callers
        self._index = index

    async def knowledge_bases(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        found = [kb for kb in await self._index.knowledge_bases() if caller.may_read(kb.id)]
        return JSONResponse({"knowledge_bases": [asdict(kb) for kb in found]}, headers=_PRIVATE)

    async def documents(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        listing = check(Listing, query_fields(request.query_params.multi_items(), numbers=("limit",)))
        if not caller.may_read(listing.kb_id) or listing.kb_id not in await self._index.kb_ids():
            raise Problem(404, NO_KNOWLEDGE_BASE)
        shown, more = await self._listed(caller, listing)
        after = shown[-1].document_name if more else None
        return JSONResponse({"documents": [_line(entry) for entry in shown], "next": after}, headers=_PRIVATE)

    async def _listed(self, caller: Caller, listing: Listing) -> tuple[list[DocumentEntry], bool]:
        """The documents, and whether there may be more.

        Pages of the index are read on until so many are found that the caller may see: the name of one withheld, as
        where to go on from, would tell of it.
        """
        found: list[DocumentEntry] = []
        after = listing.after
        while True:
            page = await self._index.documents(listing.kb_id, after, _PAGE)
            found += [entry for entry in page if caller.may_see(entry.kb_id, entry.access)]
            if len(page) < _PAGE or len(found) >= listing.limit:
                return found[: listing.limit], len(page) == _PAGE or len(found) > listing.limit
            after = page[-1].document_name

    async def document(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        document_id: str = request.path_params["document_id"]
        document = await self._index.document(document_id) if len(document_id) <= _LONGEST_ID else None
        if document is None or not caller.may_see(document.kb_id, document.access):
            raise Problem(404, "No such document.")
        body = {"document_id": document.document_id, "document_name": document.name}
        return JSONResponse(body | {"kb_id": document.kb_id, "text": document.text}, headers=_PRIVATE)


def _line(entry: DocumentEntry) -> dict[str, Any]:
    return {
        "document_id": entry.document_id,
        "document_name": entry.document_name,
        "kb_id": entry.kb_id,
        "state": entry.state,
        "reason": entry.reason,
        "chunk_count": entry.chunk_count,
        "updated_at": _utc(entry.updated_at),
    }


def _utc(seconds: float) -> str:
    """A time as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": citestream.__version__}, headers={"Cache-Control": "no-store"})


async def page(request: Request) -> Response:
    return FileResponse(_WEB / "index.html", headers=_PAGE_HEADERS)


class Static(StaticFiles):
    """The page's scripts and style, under the page's own rules, asked for anew after each deployment."""

    def __init__(self) -> None:
        super().__init__(directory=_WEB)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_PAGE_HEADERS)
        return response
