"""Logs as Lambda reads them: one JSON object a line, with the ids of the invocation that it was logged in."""

from __future__ import annotations

import json
import logging
import os
import struct
import time
import traceback
from collections.abc import Mapping

from asgi_lambda.context import request_id, trace_id

# A frame's type tells Lambda the level: this for none, and 4 more for each from DEBUG (2) to CRITICAL (6).
_FRAME_TYPE = 0xA55A0002
_STDOUT = 1

#: Names the file descriptor for frames, where there is one.
DESCRIPTOR = "_LAMBDA_TELEMETRY_LOG_FD"


def configure(environ: Mapping[str, str]) -> None:
    """Send all logging to Lambda, from AWS_LAMBDA_LOG_LEVEL (INFO) on."""
    framed = environ.get(DESCRIPTOR, "")
    handler = LambdaHandler(int(framed) if framed else _STDOUT, framed=bool(framed))
    handler.setFormatter(JsonFormatter())
    level = logging.getLevelNamesMapping().get(environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO").upper(), logging.DEBUG)
    logging.basicConfig(handlers=[handler], level=level, force=True)


class JsonFormatter(logging.Formatter):
    """The members that Lambda's own JSON logs have, and the logger's extras."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        line = {name: value for name, value in vars(record).items() if name not in self._STANDARD}
        line |= {
            "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": request_id.get(),
            "traceId": trace_id.get(),
        }
        if record.exc_info and (error := record.exc_info[1]):
            line |= {"errorType": error.__class__.__name__, "errorMessage": str(error)}
            line["stackTrace"] = [each.rstrip("\n") for each in traceback.format_exception(error)]
        return json.dumps({name: value for name, value in line.items() if value != ""}, default=str, ensure_ascii=False)


class LambdaHandler(logging.Handler):
    """Writes lines to a file descriptor; framed, they need no line ends (as in awslambdaric's
    ``FramedTelemetryLogSink``: type, length, time in microseconds, message; big endian)."""

    def __init__(self, descriptor: int, *, framed: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._framed = framed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
            data = memoryview(_head(record, line) + line if self._framed else line + b"\n")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except Exception:
            self.handleError(record)  # logging's own way: a log line that fails must not fail the function


def _head(record: logging.LogRecord, line: bytes) -> bytes:
    level = record.levelno // 10 + 1 if record.levelno in (10, 20, 30, 40, 50) else 0
    return struct.pack(">IIQ", _FRAME_TYPE + 4 * level, len(line), int(record.created * 1_000_000))
