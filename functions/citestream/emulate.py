"""The deployed function behind a local Function URL: what ``citestream emulate`` does."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from asgi_lambda.emulator import Emulator, Function, Options
from asgi_lambda.emulator.template import Declared, TemplateError, read_overrides, read_template


class EmulateError(Exception):
    """Why nothing can be emulated, in one line."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(
    template: Path,
    env_vars: Path | None,
    *,
    function: str = "StreamFunction",
    host: str = "127.0.0.1",
    port: int = 3000,
    concurrency: int = 3,
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
    ``CodeUri`` runs, with this interpreter. Raises ``EmulateError``.
    """
    try:
        declared = read_template(template, function, parameters)
        variables = _variables(declared, template, env_vars, environ or {}, say)
    except TemplateError as error:
        raise EmulateError(str(error)) from error
    options = Options(
        host=host,
        port=port,
        concurrency=concurrency,
        api_gateway=api_gateway,
        buffered=buffered or (not api_gateway and declared.invoke_mode != "RESPONSE_STREAM"),
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


def _variables(
    declared: Declared, template: Path, env_vars: Path | None, environ: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    overrides, undeclared = read_overrides(env_vars, declared.name, template) if env_vars else ({}, [])
    for each in undeclared:
        say(f"{env_vars}: {each}: not in {template}, so it is left out, as SAM would do")
    chosen = {**overrides, **environ}
    for name, what in declared.unresolved.items():
        if name not in chosen:
            say(f"{name} is not set: it depends on {what}, which only a deployment knows")
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
    """The interpreter for which an artifact was built: its compiled packages run on no other."""
    if not (found := shutil.which(runtime)):
        raise EmulateError(f"the artifact needs {runtime}, which is not on the PATH")
    return found


async def _serve(function: Function, options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Emulator(function, options) as emulator:
        mode = "BUFFERED" if options.buffered else "RESPONSE_STREAM"
        front = "REST API" if options.api_gateway else "Function URL"
        options.say(f"{function.name} at {emulator.url} ({front}, {mode}, {options.concurrency} environments at most)")
        await stop.wait()
