"""A Citestream server that plays a script: the test says what it streams, and when, and when the line goes dead.

It keeps to the contract's bytes, so that page and client meet here what they meet in the world.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import citestream

WEB = Path(citestream.__file__).with_name("web")
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
TERMINAL = {"done", "failure"}


class LineCut(Exception):
    """The connection dies in mid-body."""


@dataclass
class Script:
    """One answer's events, as many as the test has let go."""

    stream_id: str = "stream1"
    frames: list[bytes] = field(default_factory=list)
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, event: str, data: Any) -> None:
        number = len(self.frames) + 1
        retry = "retry: 40\n" if number == 1 else ""
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self.frames.append(f"event: {event}\ndata: {text}\n{retry}id: {self.stream_id}-{number}\n\n".encode())
        self.ended = event in TERMINAL
        self.wake()

    def token(self, text: str) -> None:
        self.send("token", {"text": text})

    def cite(self, number: int, document: dict[str, str], excerpt: str, **more: Any) -> None:
        start = document["text"].index(excerpt)
        head = {key: value for key, value in document.items() if key != "text"}
        span = {"excerpt": excerpt, "char_start": start, "char_end": start + len(excerpt)}
        place = {"page": None, "section": None, "score": 0.8, "support": 0.9}
        self.send("citation", {"number": number} | head | span | place | more)

    def done(self, score: int = 88, reason: str = "stop") -> None:
        head = {"confidence_score": score, "finish_reason": reason, "stream_id": self.stream_id, "components": {}}
        usage = {"input_tokens": 0, "output_tokens": 0}
        self.send("done", head | {"usage": usage, "timing_ms": {"retrieval": 1, "first_token": 2, "total": 3}})

    def fail(self, code: str, message: str, *, retryable: bool) -> None:
        self.send("failure", {"code": code, "message": message, "retryable": retryable})

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(frozen=True)
class Refusal:
    """What the server says instead of answering."""

    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        body = {"type": "about:blank", "title": "Refused", "status": self.status, "detail": self.detail}
        return JSONResponse(body, self.status, self.headers, media_type="application/problem+json")


class Stage:
    """The server: what it holds, what it was asked, and the answer that it gives at the moment."""

    def __init__(self) -> None:
        self.url = ""
        self.app = Starlette(routes=self._routes())
        self.knowledge_bases = {"engineering": 5, "handbook": 4}
        self.documents: dict[str, dict[str, str]] = {}
        self.token: str | None = None
        self.refusal: Refusal | None = None
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.cursors: list[str] = []
        self.script = Script()
        self._cuts = 0

    def next_script(self) -> Script:
        """What the next question gets."""
        self.script = Script(f"stream{len(self.bodies) + 1}")
        return self.script

    def cut(self) -> None:
        """Breaks the connections there are; a new one finds all that has been sent."""
        self._cuts += 1
        self.script.wake()

    def hold(self, document_id: str, name: str, kb_id: str, text: str) -> dict[str, str]:
        document = {"document_id": document_id, "document_name": name, "kb_id": kb_id, "text": text}
        self.documents[document_id] = document
        return document

    def _routes(self) -> list[Route]:
        return [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/api/v1/search", self._search, methods=["POST"]),
            Route("/api/v1/streams/{stream_id}", self._resume, methods=["GET"]),
            Route("/api/v1/streams/{stream_id}", self._stop, methods=["DELETE"]),
            Route("/api/v1/knowledge-bases", self._knowledge_bases),
            Route("/api/v1/documents/{document_id}", self._document),
        ]

    async def _page(self, request: Request) -> Response:
        return FileResponse(WEB / "index.html", headers=SECURITY)

    async def _static(self, request: Request) -> Response:
        return FileResponse(WEB / request.path_params["name"], headers=SECURITY)

    async def _search(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        self.bodies.append(await request.json())
        return self._stream(0)

    async def _resume(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        cursor = request.headers.get("Last-Event-ID", "")
        self.cursors.append(cursor)
        after = int(cursor.rpartition("-")[2] or 0)
        if self.script.ended and after == len(self.script.frames):
            return Response(status_code=204)
        return self._stream(after)

    async def _stop(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        if not self.script.ended:
            self.script.fail("cancelled", "The answer was stopped.", retryable=True)
        return Response(status_code=204)

    async def _knowledge_bases(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        listed = [
            {"id": kb, "document_count": count, "chunk_count": count * 7} for kb, count in self.knowledge_bases.items()
        ]
        return JSONResponse({"knowledge_bases": listed})

    async def _document(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        document = self.documents.get(request.path_params["document_id"])
        return JSONResponse(document) if document else Refusal(404, "No such document.").response()

    def _refuse(self, request: Request) -> Response | None:
        self.requests.append((request.method, request.url.path))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Refusal(401, "The token is missing or not valid.", {"WWW-Authenticate": "Bearer"}).response()
        if request.method == "POST" and self.refusal:
            refusal, self.refusal = self.refusal, None
            return refusal.response()
        return None

    def _stream(self, after: int) -> Response:
        headers = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store, no-transform",
            "X-Accel-Buffering": "no",
            "Vary": "Accept",
            "Location": f"/api/v1/streams/{self.script.stream_id}",
        }
        return StreamingResponse(self._read(self.script, after), headers=SECURITY | headers)

    async def _read(self, script: Script, after: int) -> AsyncGenerator[bytes]:
        cuts = self._cuts
        yield b": open\n"
        for number in range(after, 10_000):
            while number == len(script.frames):
                if script.ended:
                    return
                await script.changed.wait()
                if cuts != self._cuts:
                    raise LineCut
            yield script.frames[number]


class Theatre:
    """A server in the running loop, on a port of its own; one stage after the other plays in it."""

    def __init__(self) -> None:
        self._stage = Stage()

    def open(self) -> Stage:
        self._stage = Stage()
        self._stage.url = self._url
        return self._stage

    async def __aenter__(self) -> Self:
        self._server = uvicorn.Server(uvicorn.Config(self, port=0, log_config=None, lifespan="off"))
        self._server.force_exit = True  # a browser keeps its connections open
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.should_exit = True
        await self._task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stage.app(scope, receive, send)
