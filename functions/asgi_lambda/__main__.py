"""``python -m asgi_lambda [module:app]``, or ``… --instead-of COMMAND…`` as the exec wrapper calls it."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
from pathlib import Path

from asgi_lambda import logs
from asgi_lambda.config import BadConfig, Config
from asgi_lambda.runtime import Runtime
from asgi_lambda.runtime_api import RuntimeApi

_LOG = logging.getLogger("asgi_lambda")

# The platform's client: its Python, and its compiled part. What any client has to send to stream a response.
_CLIENT = ("awslambdaric.bootstrap", "awslambdaric.lambda_runtime_client", "runtime_client")
_MODE_HEADER = b"lambda-runtime-function-response-mode"


def main(arguments: list[str]) -> int:
    environ = os.environ
    logs.configure(environ)
    sys.path[:0] = _import_paths(environ.get("LAMBDA_TASK_ROOT", ""))
    sys.path += [path for path in (environ.get("LAMBDA_RUNTIME_DIR"),) if path]
    original = arguments[1:] if arguments[:1] == ["--instead-of"] else []
    if original and (theirs := environ.get("ASGI_LAMBDA_PLATFORM_HANDLER")) and platform_streams():
        _LOG.warning("the platform's own client streams: it takes over, with %s", theirs)
        environ["_HANDLER"] = theirs
        os.execvp(original[0], original)  # noqa: S606  the command that the wrapper was given
    handler = environ.get("_HANDLER", "") if original or not arguments else arguments[0]
    address = environ.get("AWS_LAMBDA_RUNTIME_API")
    if not address or not handler:
        print("usage: python -m asgi_lambda module:app, where AWS_LAMBDA_RUNTIME_API is set", file=sys.stderr)  # noqa: T201
        return 2
    try:
        config = Config.of_environment(environ)
    except BadConfig as error:
        _LOG.critical("%s", error)
        return 2
    environ.pop(logs.DESCRIPTOR, None)  # not for processes that the app starts
    return asyncio.run(Runtime(RuntimeApi(address), handler, config).run())


def platform_streams() -> bool:
    """Whether the platform's own client streams by now: looks for the protocol's words, without importing it."""
    try:
        specs = [importlib.util.find_spec(name) for name in _CLIENT]
    except ModuleNotFoundError:
        return False
    return any(_MODE_HEADER in Path(spec.origin).read_bytes().lower() for spec in specs if spec and spec.origin)


def _import_paths(task_root: str) -> list[str]:
    """Where a managed runtime imports from, in its order: the function first, then its layers."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    layers = [f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    return [path for path in (task_root, *layers) if path and Path(path).is_dir()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
