"""What our runtime client costs a stream, beside the least that is possible and what else there is; and cold starts."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import lambda_cold_start
from tests.bench.lambda_clients import RESPONSES
from tests.bench.lambda_receiver import Receiver, Response
from tests.sam import ROOT

NODE_CLIENT = ROOT / "build" / "lambda-node"
# Responses of a round: of one frame, and of 10,000. How often a receiver must be woken differs from one to the next.
FIRSTS, BURSTS = 20, 5
# A ratio of times that counts as the same on a shared machine, and one that nobody need argue about.
NO_WORSE, CLEARLY_AHEAD = 1.1, 0.8
OURS, RAW, HOP, NODE = "asgi_lambda", "raw socket: the limit", "uvicorn behind a hop", "Node's aws-lambda-ric"


@dataclass
class Client:
    """A function's process and its Runtime API; a figure for each round, by what is measured."""

    receiver: Receiver
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """One round."""
        firsts = [self._answer("/first") for _ in range(FIRSTS)]
        self._note("first byte", statistics.median(each.first_byte() for each in firsts))
        self._note("first frame", statistics.median(each.until(b"event: token") for each in firsts))
        self._note("latency", statistics.median(self._answer("/paced").latencies()))
        bursts = [self._answer("/burst") for _ in range(BURSTS)]
        self._note("frames/s", statistics.median(each.frames_per_second() for each in bursts))

    def _answer(self, path: str) -> Response:
        self.receiver.ready()
        response = self.receiver.invoke(path)
        assert response.frames() == RESPONSES[path][0], (path, response.frames())
        return response

    def _note(self, what: str, value: float) -> None:
        self.rounds.setdefault(what, []).append(value)


@contextmanager
def client(command: list[str | Path], **environment: str) -> Iterator[Client]:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}", **environment}
    with Receiver() as receiver:
        variables = os.environ | environment | {"AWS_LAMBDA_RUNTIME_API": receiver.address}
        with subprocess.Popen(command, env=variables, cwd=ROOT, stdout=2, process_group=0) as process:
            try:
                yield Client(receiver)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # the hop has a child


def commands() -> dict[str, tuple[list[str | Path], dict[str, str]]]:
    ours: list[str | Path] = [ROOT / "functions" / "run-stream", sys.executable]
    environment = {"_HANDLER": "tests.bench.lambda_clients.app", "LAMBDA_TASK_ROOT": str(ROOT)}
    known: dict[str, tuple[list[str | Path], dict[str, str]]] = {OURS: (ours, environment)}
    for name, function in ((RAW, "raw_client"), (HOP, "proxy")):
        code = f"from tests.bench.lambda_clients import {function}; {function}()"
        known[name] = ([sys.executable, "-c", code], {})
    if package := node_client():
        script = Path(__file__).with_name("lambda_node.mjs")
        known[NODE] = (["node", script, package], {"RESPONSES": json.dumps(RESPONSES)})
    return known


def node_client() -> Path | None:
    """The official Node client, without its compiled part; None, and a line that says so, where it can't be had."""
    package = NODE_CLIENT / "node_modules" / "aws-lambda-ric"
    if not (package / "package.json").exists():
        if not shutil.which("npm"):
            print("there is no npm here: the Node client is not measured")
            return None
        NODE_CLIENT.mkdir(parents=True, exist_ok=True)
        line = ["npm", "install", "--prefix", str(NODE_CLIENT), "--ignore-scripts", "--no-package-lock"]
        run = subprocess.run([*line, "--no-audit", "--no-fund", "--silent", "aws-lambda-ric@3.3.0"])
        if run.returncode:
            print("aws-lambda-ric can't be installed: the Node client is not measured")
            return None
    return package


def measured(rounds: int) -> dict[str, dict[str, list[float]]]:
    """All clients by turns, so that what else the machine does meets each alike. The first round only warms up."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(client(command, **variables)) for name, (command, variables) in commands().items()
        }
        for _ in range(rounds + 1):
            for each in clients.values():
                each.run()
        return {name: {what: values[1:] for what, values in each.rounds.items()} for name, each in clients.items()}


def table(results: dict[str, dict[str, list[float]]]) -> None:
    print(f"{'':22}{'first byte, ms':>22}{'first frame, ms':>22}{'frame latency, ms':>22}{'frames/s':>24}")
    for name, figures in results.items():
        milliseconds = "".join(spread(figures[what], ".2f", 22) for what in ("first byte", "first frame", "latency"))
        print(f"{name:22}{milliseconds}{spread(figures['frames/s'], '.0f', 24)}")


def spread(values: list[float], form: str, width: int) -> str:
    """Median, least and most."""
    median, least, most = (format(each, form) for each in (statistics.median(values), min(values), max(values)))
    return f"{f'{median} ({least}-{most})':>{width}}"


def verdict(what: str, value: float, *, least: float | None = None, most: float | None = None) -> bool:
    met = (least is None or value >= least) and (most is None or value <= most)
    wanted = f"at least {least}" if least is not None else f"at most {most}"
    print(f"{what:52}{value:7.2f}   {'met' if met else 'MISSED'} (wanted: {wanted})")
    return met


def verdicts(results: dict[str, dict[str, list[float]]]) -> Iterator[bool]:
    """Ours to the others', round by round; of that the median."""

    def ratio(what: str, other: str) -> float:
        pairs = zip(results[OURS][what], results[other][what], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    yield verdict("frames/s, of the raw socket's", ratio("frames/s", RAW), least=0.7)
    for what in ("first byte", "latency"):
        if NODE in results:
            yield verdict(f"{what}, of Node's", ratio(what, NODE), most=NO_WORSE)
        yield verdict(f"{what}, of the hop's", ratio(what, HOP), most=CLEARLY_AHEAD)


def cold_starts(times: int) -> bool:
    root, python, which = lambda_cold_start.package()
    starts = lambda_cold_start.measure(root, python, times)
    print(f"cold start of {which}, in seconds")
    for what, values in (
        ("the process asks for an event", [each.ready for each in starts]),
        ("first byte of events", [each.first_byte for each in starts]),
        ("first token, through LiteLLM", [each.first_token for each in starts]),
    ):
        print(f"{what:52}{spread(values, '.3f', 22)}")
    return verdict("cold start to the first byte", statistics.median(each.first_byte for each in starts), most=0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--starts", type=int, default=9)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors")
    results = measured(options.rounds)
    table(results)
    met = [*verdicts(results), cold_starts(options.starts)]
    print(f"load {os.getloadavg()[0]:.2f} in the end")
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
