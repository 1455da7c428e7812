"""The deployed function behind a local Function URL: what ``citestream emulate`` does."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from asgi_lambda.emulator import Emulator, Function, Options
from asgi_lambda.emulator.template import Declared, TemplateError, function_names, read_overrides, read_template
from citestream.settings import BadSettings, load_settings


class EmulateError(Exception):
    """Why nothing can be emulated, in one line."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(
    template: Path,
    env_vars: Path | None,
    *,
    function: str | None = None,
    host: str = "127.0.0.1",
    port: int = 3000,
    concurrency: int = 10,
    api_gateway: bool = False,
    buffered: bool = False,
    freeze: bool = True,
    trace: bool = False,
    snap_start: bool = False,
    built: bool | Path = False,
    environ: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    say: Callable[[str], None] = _say,
) -> None:
    """Serve the template's function until SIGINT or SIGTERM.

    Its environment is the template's, then that of ``env_vars`` (such a file as ``sam local --env-vars`` takes), then
    ``environ``. ``built`` asks for what ``sam build`` made, or names the folder of such an artifact; otherwise its
    ``CodeUri`` runs, with this interpreter. Without a name it is the template's only function, or StreamFunction.
    Raises ``EmulateError``.
    """
    try:
        declared = read_template(template, function or _default_function(template), parameters)
        variables = _variables(declared, template, env_vars, environ or {}, say)
        if declared.handler.startswith("citestream."):
            load_settings(variables)  # here, and not as a failed start at the first request
    except (TemplateError, BadSettings) as error:
        raise EmulateError(str(error)) from error
    options = Options(
        host=host,
        port=port,
        concurrency=concurrency,
        api_gateway=api_gateway,
        # A function without a URL of its own stands behind the HTTP API.
        http_api=not api_gateway and declared.invoke_mode is None,
        buffered=buffered or declared.invoke_mode == "BUFFERED",
        stage=declared.stage,
        freeze=freeze,
        trace=trace,
        snap_start=snap_start,
        say=say,
    )
    try:
        asyncio.run(_serve(_function(declared, template, variables, built), options))
    except OSError as error:
        raise EmulateError(f"{host}:{port}: {error.strerror}") from error


def _default_function(template: Path) -> str:
    names = function_names(template)
    return names[0] if len(names) == 1 else "StreamFunction"


def _variables(
    declared: Declared, template: Path, env_vars: Path | None, environ: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    overrides, undeclared = read_overrides(env_vars, declared.name, template) if env_vars else ({}, [])
    for each in undeclared:
        say(f"{env_vars}: {each}: not in {template}, so it is left out, as SAM would do")
    chosen = {**overrides, **environ}
    if unset := [f"{name} ({what})" for name, what in declared.unresolved.items() if name not in chosen]:
        say(f"not set, since only a deployment knows it: {', '.join(unset)}")
    return declared.variables | chosen


def _function(declared: Declared, template: Path, variables: Mapping[str, str], built: bool | Path) -> Function:
    root = declared.code
    python = sys.executable
    if built:
        root = built if isinstance(built, Path) else template.parent / ".aws-sam" / "build" / declared.name
        python = _interpreter(declared.runtime)
    if not root.is_dir():
        raise EmulateError(f"{root} is no folder{': run sam build first' if built else ''}")
    return Function(
        root=root,
        handler=declared.handler,
        python=python,
        environ=variables,
        timeout=declared.timeout,
        memory=declared.memory,
        name=declared.name,
        log_format=declared.log_format,
    )


def _interpreter(runtime: str) -> str:
    """The interpreter for which an artifact was built, as its compiled packages run on no other.

    The real one: a virtual environment's has packages that Lambda's has not, a version manager's script needs more
    variables than Lambda gives.
    """
    if runtime == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return os.path.realpath(sys.executable)
    found = os.environ.get("LAMBDA_PYTHON") or shutil.which(runtime)
    asked = "import os, sys; print('python%d.%d' % sys.version_info[:2], os.path.realpath(sys.executable))"
    answer = subprocess.run([found, "-c", asked], capture_output=True, text=True) if found else None  # noqa: S603
    version, _, python = answer.stdout.strip().partition(" ") if answer else ("", "", "")
    if not answer or not version.startswith(runtime):
        raise EmulateError(f"the artifact needs {runtime}: put it on the PATH, or name it by LAMBDA_PYTHON")
    return python


async def _serve(function: Function, options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Emulator(function, options) as emulator:
        mode = "streaming" if emulator.front.streams else "buffered"
        places = f"{options.concurrency} environments at most"
        options.say(f"{function.name} at {emulator.url}/ ({emulator.front.name}, {mode}, {places})")
        await stop.wait()
