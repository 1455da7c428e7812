"""What can be read beside answers: knowledge bases, documents, the page, the server's health."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

import citestream
from citestream.http.callers import Callers
from citestream.http.problems import Problem
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


class LibraryEndpoints:
    """``/api/v1/knowledge-bases`` and ``/api/v1/documents/{document_id}``."""

    def __init__(self, callers: Callers, index: Index) -> None:
        self._callers = callers
        self._index = index

    async def knowledge_bases(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        found = [kb for kb in await self._index.knowledge_bases() if caller.may_read(kb.id)]
        return JSONResponse({"knowledge_bases": [asdict(kb) for kb in found]}, headers=_PRIVATE)

    async def document(self, request: Request) -> Response:
        caller = await self._callers.identify(request.headers)
        document = await self._index.document(request.path_params["document_id"])
        if document is None or not caller.may_read(document.kb_id):
            raise Problem(404, "No such document.")
        body = {"document_id": document.document_id, "document_name": document.name}
        return JSONResponse(body | {"kb_id": document.kb_id, "text": document.text}, headers=_PRIVATE)


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
