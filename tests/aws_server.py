"""AWS on loopback: moto's server with an S3 Vectors of ours, as a process of its own.

    python -m tests.aws_server

prints its address as one line and serves until its standard input ends, so that it dies with whoever has started it.
What neither moto nor we know is answered with an error, 501, and recorded. Tests steer it over HTTP as well:

    POST /_test/fail   {"service": "dynamodb", "operation": "GetItem", "code": "ThrottlingException", "status": 400,
                        "times": 2}: the operation's next calls fail so
    POST /_test/page   {"size": 3}: QueryVectors answers that many vectors a page
    GET  /_test/calls  {"dynamodb.GetItem": 3, ...} since the last reset, those that failed included
    GET  /_test/unknown  what was asked for and is not here: "s3.RenameObject", ...
    POST /_test/reset  forgets failures, page size, calls and unknown ones; what the services hold stays
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from tests.s3_vectors import S3Vectors
from tests.s3_vectors_index import MAX_TOP_K
from tests.s3_vectors_model import Refusal

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
MAX_REQUEST = 20 * 1024 * 1024
MAX_KEY = 1024
# The services that moto stands in for.
MOTO = frozenset({"dynamodb", "s3", "secretsmanager", "sqs", "ssm", "sts"})
# Whatever moto does not know of S3, it answers with a list of objects: these it knows.
S3_OPERATIONS = frozenset(
    {
        *("CreateBucket", "DeleteBucket", "HeadBucket", "ListBuckets", "GetBucketLocation"),
        *("GetBucketVersioning", "PutBucketVersioning", "PutBucketEncryption", "PutPublicAccessBlock"),
        *("GetBucketTagging", "PutBucketTagging"),
        *("GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration"),
        *("GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration"),
        *("GetObject", "HeadObject", "PutObject", "CopyObject", "DeleteObject", "DeleteObjects"),
        *("ListObjects", "ListObjectsV2", "ListObjectVersions", "GetObjectTagging", "PutObjectTagging"),
        *("CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload"),
    }
)


@dataclass
class Failure:
    code: str
    status: int
    times: int


@dataclass
class Notes:
    """What tests have asked for, and what they want to know."""

    failures: dict[str, Failure] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def failure(self, call: str) -> Failure | None:
        """Counts the call; the failure that it is to have."""
        with self.lock:
            self.calls[call] += 1
            failure = self.failures.get(call)
            if failure is None or failure.times == 0:
                return None
            failure.times -= 1
            return failure

    def reset(self) -> None:
        with self.lock:
            self.failures.clear()
            self.calls.clear()
            self.unknown.clear()


class AwsServer:
    """A WSGI application: the service comes from the signature's credential scope, as in moto's server."""

    def __init__(self) -> None:
        self._notes = Notes()
        self._vectors = S3Vectors()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._moto_lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # All of it is read before an answer leaves: closing a connection with something unread would reset it.
        environ["wsgi.input"] = io.BytesIO(_read(environ))
        path = environ["PATH_INFO"]
        if path.startswith("/_test/"):
            return self._control(path.removeprefix("/_test/"), environ, start_response)
        service, region = _scope(environ)
        operation = _operation(service, environ)
        call = f"{service}.{operation}"
        if failure := self._notes.failure(call):
            return _error(service, failure.code, failure.status, "told to fail by a test", start_response)
        if service == "s3" and len(path.removeprefix("/").partition("/")[2]) > MAX_KEY:  # WSGI: a character is a byte
            return _error(service, "KeyTooLongError", 400, f"a key has at most {MAX_KEY} bytes", start_response)
        try:
            if service == "s3vectors":
                return self._answer_vectors(operation, region, environ, start_response)
            return self._answer_moto(service, operation, environ, start_response)
        except Exception as error:  # whatever it is: a test must learn of it
            self._notes.unknown.append(f"{call}: {type(error).__name__}: {error}")
            return _error(service, "NotImplemented", 501, str(error), start_response)

    def _answer_vectors(
        self, operation: str, region: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        try:
            if len(body) > MAX_REQUEST:
                raise Refusal("ValidationException", f"a request has at most {MAX_REQUEST} bytes")
            answer = self._vectors.call(operation, json.loads(body or b"{}"), region)
        except Refusal as refusal:
            return _error("s3vectors", refusal.code, refusal.status, refusal.message, start_response)
        return _json(answer, start_response)

    def _answer_moto(
        self, service: str, operation: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        if service not in MOTO or (service == "s3" and operation not in S3_OPERATIONS):
            raise NotImplementedError(f"nobody here knows {service}'s {operation}")
        # moto looks at a condition and writes afterwards, and undoes a transaction by an older copy of the whole table.
        with nullcontext() if service == "sqs" else self._moto_lock:  # a queue may keep its reader waiting
            return self._moto(environ, start_response)  # type: ignore[no-any-return]

    def _control(self, action: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = json.loads(environ["wsgi.input"].read() or b"{}")
        if action == "fail":
            call = f"{body['service']}.{body['operation']}"
            self._notes.failures[call] = Failure(body["code"], body["status"], body["times"])
        elif action == "page":
            self._vectors.page_size = body["size"]
        elif action == "reset":
            self._notes.reset()
            self._vectors.page_size = MAX_TOP_K
        elif action == "calls":
            return _json(dict(self._notes.calls), start_response)
        elif action == "unknown":
            return _json(self._notes.unknown, start_response)
        else:
            return _error("_test", "NotFound", 404, action, start_response)
        return _json({}, start_response)


def _scope(environ: Environ) -> tuple[str, str]:
    """The service and the region of the request's credential scope (Signature Version 4)."""
    credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    return (credential[3], credential[2]) if len(credential) == 5 else ("unsigned", "unknown")


def _operation(service: str, environ: Environ) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    if service in MOTO or service == "s3vectors":
        try:
            return str(get_service_router(service).match(Request({**environ}))[0].name)
        except HTTPException:  # no operation has such a path
            pass
        finally:
            environ["wsgi.input"].seek(0)
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _read(environ: Environ) -> bytes:
    # A body in chunks has no length; werkzeug ends it.
    length = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    return body


def _error(service: str, code: str, status: int, message: str, start_response: StartResponse) -> Iterable[bytes]:
    if service == "s3":
        body = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>".encode()
    else:
        body = json.dumps({"__type": code, "message": message}).encode()
    headers = [("Content-Length", str(len(body))), ("x-amzn-ErrorType", code)]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _json(answer: object, start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class _Handler(MotoRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Silent: tests read what the server has to say."""


def main() -> None:
    server = make_server("127.0.0.1", 0, AwsServer(), threaded=True, request_handler=_Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # whatever request is under way


if __name__ == "__main__":
    main()
