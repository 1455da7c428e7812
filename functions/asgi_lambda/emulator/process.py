"""The function's process, started as Lambda starts it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from asgi_lambda.emulator.logs import Lines, LogFrames, follow
from asgi_lambda.emulator.options import Function

_MANAGED_LOOP = Path(__file__).parent / "managed" / "bootstrap.py"
_TASK = re.compile(r"(?<![\w.-])/var/task(?![\w.-])")


def in_task(value: str, root: Path) -> str:
    """The value with ``/var/task`` replaced by where that is here."""
    return _TASK.sub(lambda _: str(root.resolve()), value)


def environment_variables(function: Function, api: str, *, snap_start: bool, log_fd: int) -> dict[str, str]:
    """Everything the process gets: nothing of this machine's environment, Lambda's own over the function's."""
    root = function.root.resolve()
    own = {name: in_task(value, root) for name, value in function.environ.items()}
    if function.wrapper:
        own["AWS_LAMBDA_EXEC_WRAPPER"] = in_task(function.wrapper, root)
    defaults = {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_SESSION_TOKEN": "emulator",
    }
    reserved = {
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(root),
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snap_start else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "emulator",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "_LAMBDA_TELEMETRY_LOG_FD": str(log_fd),
    }
    variables = defaults | own | reserved
    return {"AWS_DEFAULT_REGION": variables["AWS_REGION"]} | variables


class Process:
    """One process group; ``exited`` has the exit status, as ``subprocess`` gives it, once it is over."""

    def __init__(self, process: asyncio.subprocess.Process, followers: list[asyncio.Task[None]]) -> None:
        self.exited = asyncio.create_task(process.wait())
        self._group = process.pid
        self._followers = followers
        self._frozen = False

    @classmethod
    async def start(cls, function: Function, api: str, say: Callable[[str], None], *, snap_start: bool) -> Process:
        """Raises ``OSError`` if the wrapper or the interpreter can't be started."""
        ours, theirs = os.pipe()
        try:
            variables = environment_variables(function, api, snap_start=snap_start, log_fd=theirs)
            # The wrapper gets the interpreter and the managed runtime's own script.
            command = [function.python, str(_MANAGED_LOOP)]
            if wrapper := variables.get("AWS_LAMBDA_EXEC_WRAPPER"):
                command.insert(0, wrapper)
            # A group of its own within this session: Ctrl-C does not reach it, and should the emulator die while it is
            # frozen, the kernel ends it.
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=function.root,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[theirs],
                process_group=0,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        assert process.stdout
        assert process.stderr
        sources: list[tuple[asyncio.StreamReader, Lines | LogFrames]]
        sources = [(process.stdout, Lines()), (process.stderr, Lines()), (await _reader(ours), LogFrames())]
        return cls(process, [asyncio.create_task(follow(reader, parts, say)) for reader, parts in sources])

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._signal(signal.SIGCONT)
            self._frozen = False

    async def kill(self) -> None:
        """End it at once, and have said all that it wrote."""
        self._signal(signal.SIGKILL)
        await self.exited
        await asyncio.gather(*self._followers)

    async def shut_down(self, grace: float) -> None:
        """SIGTERM, and after ``grace`` seconds SIGKILL."""
        self.thaw()
        self._signal(signal.SIGTERM)
        await asyncio.wait({self.exited}, timeout=grace)
        await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        # Its children may outlive the process itself, so the group is signalled whether it has exited or not.
        with suppress(ProcessLookupError):
            os.killpg(self._group, number)


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb"))
    return reader


def exit_reason(status: int) -> str:
    """How Lambda words it."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    return f"Runtime exited with error: signal: {signal.strsignal(-status)}"
