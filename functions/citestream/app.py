"""Routes and wiring: which implementation stands behind each protocol is decided here and, of stores, in ``stores``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from citestream import provider
from citestream.answer.answerer import Answerer
from citestream.answer.litellm import LiteLLMAnswerer
from citestream.answer.pipeline import Pipeline
from citestream.aws import Aws
from citestream.http.callers import Callers, LocalCaller
from citestream.http.hosts import LoopbackHosts
from citestream.http.library import LibraryEndpoints, Static, health, page
from citestream.http.problems import EXCEPTION_HANDLERS, OnlyProblems
from citestream.http.search import SearchEndpoint
from citestream.http.streams import StreamEndpoint
from citestream.retrieval.embedder import Embedder
from citestream.retrieval.index import Index
from citestream.settings import BadSettings, Settings, load_settings
from citestream.stores import open_aws, open_embedder, open_index, open_log
from citestream.streams.hub import Hub
from citestream.streams.log import StreamLog
from citestream.streams.production import Limits


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers questions, whoever asks: the server's routes, or the command line."""

    index: Index
    embedder: Embedder | None
    pipeline: Pipeline
    hub: Hub
    aws: Aws | None = None

    async def aclose(self) -> None:
        """End what is being produced, then let go of everything, also where one of them fails to."""
        async with AsyncExitStack() as stack:
            if self.aws is not None:
                stack.push_async_callback(self.aws.aclose)
            stack.push_async_callback(provider.close)
            stack.push_async_callback(self.index.aclose)
            stack.push_async_callback(self.hub.aclose)


def open_engine(settings: Settings) -> Engine:
    """The parts that the settings name. Raises BadSettings, WeightsError, WrongIndex and StoreUnavailable."""
    aws = open_aws(settings)
    embedder = open_embedder(settings)
    index = open_index(settings, embedder, aws)
    answerer = make_answerer(settings)
    hub = make_hub(settings, open_log(settings, aws))
    return Engine(index, embedder, Pipeline(index, answerer), hub, aws)


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> ASGIApp:
    """The whole product as an ASGI app, which closes the engine at its end. Raises what ``open_engine`` raises."""
    settings = settings or load_settings()
    callers = make_callers(settings)
    engine = engine or open_engine(settings)
    streams = StreamEndpoint(callers, engine.index, engine.hub)
    search = SearchEndpoint(callers, engine.index, engine.pipeline, engine.hub, streams)
    library = LibraryEndpoints(callers, engine.index)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        if settings.samples and not await engine.index.kb_ids():
            from citestream.ingest.samples import load_samples  # no parser on the way of a cold start

            await load_samples(engine.index, engine.embedder)
        yield
        await engine.aclose()

    app = Starlette(
        routes=[
            Route("/api/v1/search", search.search, methods=["GET", "POST"]),
            Route("/api/v1/streams/{stream_id}", streams.endpoint, methods=["GET", "DELETE"]),
            Route("/api/v1/knowledge-bases", library.knowledge_bases),
            Route("/api/v1/documents", library.documents),
            Route("/api/v1/documents/{document_id}", library.document),
            Route("/healthz", health),
            Route("/", page),
            Mount("/static", Static()),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    # A path with one slash more is another path, and not there.
    app.router.redirect_slashes = False
    return OnlyProblems(_with_cors(app, settings))


def create_local_app(settings: Settings, engine: Engine | None = None) -> ASGIApp:
    """The app as this machine's own server: without login it answers to loopback's names only."""
    app = create_app(settings, engine)
    return app if settings.auth == "jwt" or settings.allow_open else LoopbackHosts(app)


def make_hub(settings: Settings, log: StreamLog) -> Hub:
    """The streams of this process, kept in ``log``."""
    limits = Limits(
        answer=settings.answer_seconds,
        heartbeat=settings.heartbeat_seconds,
        retention=settings.retention_seconds,
        lease=settings.lease_seconds,
        coalesce=settings.coalesce_seconds,
        token_bytes=settings.token_bytes,
        answers=settings.max_answers,
    )
    return Hub(log, limits)


def make_answerer(settings: Settings) -> Answerer:
    """The answerer that ``CITESTREAM_MODEL`` names; what it needs is imported meanwhile. Raises BadSettings."""
    if not settings.models:
        from citestream.answer.extractive import ExtractiveAnswerer  # where a model answers, it is not needed

        return ExtractiveAnswerer()
    answerer = LiteLLMAnswerer(
        settings.models,
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
        settings.jwt_groups_claim,
    )


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
