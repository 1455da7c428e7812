"""Routes and wiring: which implementation stands behind each protocol is decided here, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from citestream.answer.answerer import Answerer
from citestream.answer.extractive import ExtractiveAnswerer
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.answer.pipeline import Pipeline
from citestream.http.callers import Callers, LocalCaller
from citestream.http.hosts import LoopbackHosts
from citestream.http.library import LibraryEndpoints, Static, health, page
from citestream.http.problems import EXCEPTION_HANDLERS
from citestream.http.search import SearchEndpoint
from citestream.http.streams import StreamEndpoint
from citestream.retrieval import minilm
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.sqlite_index import SqliteIndex
from citestream.settings import BadSettings, Settings, load_settings
from citestream.streams.hub import Hub
from citestream.streams.production import Limits
from citestream.streams.sqlite_log import SqliteStreamLog

_LOG = logging.getLogger("citestream")


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The whole product as an ASGI app. Raises BadSettings, WeightsError, WrongIndex and StoreUnavailable."""
    settings = settings or load_settings()
    index = open_index(settings, load_embedder())
    index.check()
    hub = open_hub(settings)
    answerer = make_answerer(settings)
    callers = make_callers(settings)
    streams = StreamEndpoint(callers, hub)
    search = SearchEndpoint(callers, index, Pipeline(index, answerer), hub, streams)
    library = LibraryEndpoints(callers, index)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        yield
        await hub.aclose()
        await answerer.aclose()
        await index.aclose()

    app = Starlette(
        routes=[
            Route("/api/v1/search", search.search, methods=["GET", "POST"]),
            Route("/api/v1/streams/{stream_id}", streams.endpoint, methods=["GET", "DELETE"]),
            Route("/api/v1/knowledge-bases", library.knowledge_bases),
            Route("/api/v1/documents/{document_id}", library.document),
            Route("/healthz", health),
            Route("/", page),
            Mount("/static", Static()),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    return _with_cors(_with_hosts(app, settings), settings)


def load_embedder() -> Embedder | None:
    """The embedder of this installation; without one, documents are found by words alone. Raises WeightsError."""
    embedder = minilm.load()
    if embedder is None:
        _LOG.warning("no embedder is installed: documents are found by words alone (the README says how to add it)")
    return embedder


def open_index(settings: Settings, embedder: Embedder | None) -> SqliteIndex:
    return SqliteIndex(settings.data / "index.db", embedder)


def open_hub(settings: Settings) -> Hub:
    limits = Limits(
        answer=settings.answer_seconds,
        heartbeat=settings.heartbeat_seconds,
        retention=settings.retention_seconds,
    )
    return Hub(SqliteStreamLog(settings.data / "streams.db"), limits)


def make_answerer(settings: Settings) -> Answerer:
    """The answerer that ``CITESTREAM_MODEL`` names; what it needs is imported meanwhile. Raises BadSettings."""
    if settings.model in ("", "extractive"):
        return ExtractiveAnswerer()
    answerer = LiteLLMAnswerer(
        settings.model,
        api_base=settings.api_base or None,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        first_token_seconds=settings.first_token_seconds,
    )
    try:
        answerer.preload()
    except ModuleNotFoundError as error:
        raise BadSettings(str(error)) from error
    return answerer


def make_callers(settings: Settings) -> Callers:
    """How ``CITESTREAM_AUTH`` says that callers are known; what that needs is imported. Raises BadSettings."""
    if settings.auth == "none":
        return LocalCaller()
    try:
        import cryptography  # noqa: F401  PyJWT does without, but then knows no RS256 and no ES256

        from citestream.http.tokens import IssuerKeys, JwtCallers
    except ModuleNotFoundError as error:
        raise BadSettings("CITESTREAM_AUTH=jwt needs pyjwt: pip install 'citestream[jwt]'") from error
    return JwtCallers(
        IssuerKeys(settings.jwt_issuer, settings.jwt_jwks_url),
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_kb_claim,
        settings.jwt_leeway_seconds,
    )


def _with_hosts(app: ASGIApp, settings: Settings) -> ASGIApp:
    return app if settings.auth == "jwt" or settings.allow_open else LoopbackHosts(app)


def _with_cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Around everything, so that an error's response can be read by the page that met it, too."""
    if not settings.allowed_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        expose_headers=["Location", "Retry-After"],
    )
