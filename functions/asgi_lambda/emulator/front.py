"""The front ends that call a function, and in what they differ: events, modes, headers, and their own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from asgi_lambda.emulator import output, prelude
from asgi_lambda.emulator.events import Request, rest_event, url_event
from asgi_lambda.emulator.options import Options
from asgi_lambda.emulator.output import Output
from asgi_lambda.emulator.prelude import BadOutput

_TOO_LONG = {"message": "Request Too Long"}


@dataclass(frozen=True)
class Own:
    """An answer of the front end's own. A string is sent as it is, anything else as JSON."""

    status: int
    body: Any
    error_type: str | None = None


class FunctionUrl:
    """A function URL. ``notes`` of an output are for who deploys the function."""

    name = "Function URL"
    # Known of function URLs and REST APIs alike: the value arrives, under another name.
    renamed: ClassVar[set[str]] = {"content-length", "www-authenticate", "date", "server", "connection"}
    failed = Own(502, "Internal Server Error")
    misread = failed
    throttled = Own(
        429,
        {
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        },
        "TooManyRequestsException",
    )
    too_large = Own(413, _TOO_LONG, "RequestTooLargeException")

    def __init__(self, *, buffered: bool = False) -> None:
        self.streams = not buffered
        self.prefix = ""

    def event(self, request: Request) -> dict[str, Any]:
        return url_event(request)

    def refusal(self, path: str) -> Own | None:
        """What a path that leads nowhere gets."""
        return None

    def output(self, content_type: str | None, *, streaming: bool) -> tuple[Output, list[str]]:
        """What reads an answer of this type. Raises ``BadOutput`` when no such answer can be right."""
        if content_type == prelude.CONTENT_TYPE:
            if self.streams:
                return output.Streamed(gateway=False), []
            note = "the function streamed, the URL is BUFFERED: the caller gets prelude and NULs in the body"
            return output.Collected(output.verbatim), [f"MODE MISMATCH: {note}"]
        if not self.streams:
            return output.Collected(output.url_result), []
        if streaming:
            return output.Plain(content_type), []
        note = "the function answered buffered, the URL is RESPONSE_STREAM: the caller gets its result as it is"
        return output.Collected(output.as_it_is), [f"MODE MISMATCH: {note}"]


class RestApi(FunctionUrl):
    """A REST API, as a greedy resource under its stage."""

    name = "REST API"
    failed = Own(502, {"message": "Internal server error"}, "InternalServerErrorException")
    throttled = replace(failed, status=500)

    def __init__(self, stage: str, *, buffered: bool = False) -> None:
        super().__init__(buffered=buffered)
        self.prefix = f"/{stage}"
        self.misread = replace(self.failed, status=500) if self.streams else self.failed

    def event(self, request: Request) -> dict[str, Any]:
        return rest_event(request, self.prefix[1:])

    def refusal(self, path: str) -> Own | None:
        inside = f"{path}/".startswith(f"{self.prefix}/")
        return None if inside else Own(403, {"message": "Forbidden"}, "ForbiddenException")

    def output(self, content_type: str | None, *, streaming: bool) -> tuple[Output, list[str]]:
        has_prelude = content_type == prelude.CONTENT_TYPE
        if self.streams and has_prelude:
            return output.Streamed(gateway=True), []
        if self.streams:
            raise BadOutput("MODE MISMATCH: the API streams, the function answered without a prelude")
        if not has_prelude:
            return output.Collected(output.rest_result), []
        note = "the function streamed, the API is buffered: the caller gets no body"
        return output.Collected(output.head_alone), [f"MODE MISMATCH: {note}"]


class HttpApi(FunctionUrl):
    """An HTTP API, which can't stream; it decodes the path, and leaves the headers' names alone."""

    name = "HTTP API"
    renamed: ClassVar[set[str]] = set()
    failed = misread = Own(500, {"message": "Internal Server Error"})
    throttled = Own(503, {"message": "Service Unavailable"})

    def __init__(self) -> None:
        super().__init__(buffered=True)

    def event(self, request: Request) -> dict[str, Any]:
        event = url_event(request)
        event["rawPath"] = event["requestContext"]["http"]["path"]
        return event

    def output(self, content_type: str | None, *, streaming: bool) -> tuple[Output, list[str]]:
        if content_type == prelude.CONTENT_TYPE:
            raise BadOutput("MODE MISMATCH: the function streamed, an HTTP API can't")
        return output.Collected(output.url_result), []


def front_of(options: Options) -> FunctionUrl:
    """The front end that is asked for."""
    if options.http_api:
        return HttpApi()
    if options.api_gateway:
        return RestApi(options.stage, buffered=options.buffered)
    return FunctionUrl(buffered=options.buffered)
