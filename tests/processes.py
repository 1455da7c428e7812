"""The product in processes of their own, on one data folder, with an answerer that takes its time.

    python -m tests.processes

serves by the settings of its environment, prints its address as one line, and stops when its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from citestream.answer.answerer import Ending
from citestream.answer.history import Turn
from citestream.answer.pipeline import Pipeline
from citestream.app import create_local_app, open_engine
from citestream.model import Passage
from citestream.settings import PREFIX, load_settings
from tests import patience
from tests.answers import Alone

ROOT = Path(__file__).parents[1]
SLOW = "Take your time."


@dataclass(frozen=True)
class Process:
    url: str
    popen: subprocess.Popen[str]


@contextmanager
def process(data: Path, **settings: Any) -> Iterator[Process]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {PREFIX + name.upper(): str(value) for name, value in settings.items()} | {f"{PREFIX}DATA": str(data)}
    line = [sys.executable, "-m", "tests.processes"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=ROOT, env=environ, **pipes) as popen:
        assert popen.stdin is not None
        assert popen.stdout is not None
        yield Process(popen.stdout.readline().strip(), popen)
        popen.stdin.close()


class Unhurried(Alone):
    """Says a word at a time; where it is told to take its time, it does not come to an end."""

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        for word in ("Tokens ", "live ", "for ", "an ", "hour ", "[1]."):
            yield word
            await asyncio.sleep(0.02)
        if question == SLOW:
            await asyncio.sleep(3600)
        yield Ending("stop")

    async def aclose(self) -> None:
        pass


def main() -> None:
    patience.with_providers()
    settings = load_settings()
    engine = open_engine(settings)
    engine = replace(engine, pipeline=Pipeline(engine.index, Unhurried()))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_local_app(settings, engine), log_level="warning"))
    print("http://{}:{}".format(*listening.getsockname()), flush=True)
    threading.Thread(target=_until_told, args=[server], daemon=True).start()
    server.run(sockets=[listening])


def _until_told(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = server.force_exit = True


if __name__ == "__main__":
    main()
