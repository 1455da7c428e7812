"""What can be asked of the emulator, and the function that it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asgi_lambda.emulator.pace import Pace


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Function:
    """A function as it would be deployed: ``root`` is what Lambda mounts as ``/var/task``.

    ``wrapper`` is ``AWS_LAMBDA_EXEC_WRAPPER``; without one a minimal stand-in for the managed runtime's own loop calls
    ``handler`` as ``(event, context)``. ``/var/task`` in the wrapper and in ``environ``'s values means ``root``.
    ``timeout`` is in seconds, ``memory`` in MB.
    """

    root: Path
    handler: str
    wrapper: str | None = None
    python: str = sys.executable
    environ: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 3.0
    memory: int = 128
    name: str = "function"
    log_format: str = "Text"


@dataclass(frozen=True)
class Faults:
    """What goes wrong between the function and Lambda, for tests: the connection of every streamed response is cut
    after ``cut_after`` bytes of its body, or read at ``read_rate`` bytes a second at most."""

    cut_after: int | None = None
    read_rate: int | None = None


@dataclass(frozen=True)
class Options:
    """``buffered``: the front end's mode; the default is ``RESPONSE_STREAM``. ``api_gateway``: a REST API under
    ``/{stage}`` with payload 1.0 instead of a function URL; ``http_api``: an HTTP API, always buffered. ``pace`` None:
    as fast as it goes. ``prestart``: one environment is initialised before the first request. ``keep``: posts are
    recorded byte for byte. Limits and times are Lambda's own, in bytes and seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    concurrency: int = 3
    buffered: bool = False
    api_gateway: bool = False
    http_api: bool = False
    stage: str = "Prod"
    freeze: bool = True
    snap_start: bool = False
    prestart: bool = False
    trace: bool = False
    keep: bool = False
    pace: Pace | None = field(default_factory=Pace)
    stream_limit: int = 200 * 1024 * 1024
    init_limit: float = 10.0
    snapshot_limit: float = 130.0
    restore_limit: float = 10.0
    shutdown_grace: float = 2.0
    faults: Faults = field(default_factory=Faults)
    say: Callable[[str], None] = _say
