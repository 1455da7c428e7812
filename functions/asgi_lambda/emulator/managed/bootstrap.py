"""A stand-in for the loop of Lambda's managed Python runtime: calls a plain handler, buffered.

It runs as a script of the function's interpreter, with the function's packages and none of the emulator's."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

_RUNTIME = "/2018-06-01/runtime"


class Context:
    """What a handler gets beside the event."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Until the environment is killed."""
        return max(self._deadline_ms - int(time.time() * 1000), 0)


def _load(name: str) -> Callable[[Any, Context], Any]:
    module, _, attribute = name.replace("/", ".").rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), attribute)
    return handler


def _error(error: BaseException) -> tuple[bytes, dict[str, str]]:
    name = type(error).__name__
    body = {"errorMessage": str(error), "errorType": name, "stackTrace": traceback.format_exception(error)}
    return json.dumps(body).encode(), {"Lambda-Runtime-Function-Error-Type": f"Runtime.{name}"}


def _post(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> None:
    connection.request("POST", f"{_RUNTIME}/{path}", body, {"Content-Type": "application/json", **headers})
    connection.getresponse().read()


def main() -> None:
    """Serve invocations for ever."""
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = _load(os.environ["_HANDLER"])
    except BaseException as error:
        _post(connection, "init/error", *_error(error))
        raise
    while True:
        connection.request("GET", f"{_RUNTIME}/invocation/next")
        response = connection.getresponse()
        event, context = json.loads(response.read()), Context(response.headers)
        try:
            result = json.dumps(handler(event, context)).encode()
        except Exception as error:
            traceback.print_exception(error)
            _post(connection, f"invocation/{context.aws_request_id}/error", *_error(error))
        else:
            _post(connection, f"invocation/{context.aws_request_id}/response", result, {})


if __name__ == "__main__":
    main()
