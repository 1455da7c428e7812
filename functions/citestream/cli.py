"""The command line."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from citestream import __version__
from citestream.errors import StoreUnavailable, WrongIndex
from citestream.model import KB_ID
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.retrieval.weights import WeightsError
from citestream.settings import BadSettings, Settings, load_settings

_data = click.option("--data", type=click.Path(path_type=Path), help="Where the index lives (CITESTREAM_DATA).")


class _Errors(click.Group):
    """Turns what is wrong with settings or stores into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadSettings as error:
            raise click.UsageError(str(error)) from error
        except (WrongIndex, StoreUnavailable, WeightsError, EmbeddingFailed) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Cited answers over your own documents, streamed."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # tells each request, in the middle of an answer


def _kb_id(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not KB_ID.fullmatch(value):
        raise click.BadParameter(
            f"{value!r}: letters, digits, '.', '_' and '-', at most 63, the first a letter or digit"
        )
    return value


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--kb", required=True, callback=_kb_id, help="The knowledge base.")
@_data
def ingest(paths: tuple[str, ...], kb: str, data: Path | None) -> None:
    """Add or update documents: files, folders, globs (txt, md, html, pdf, docx)."""
    settings = load_settings(data=data)
    skipped = asyncio.run(_ingest(settings, paths, kb))
    if skipped:
        raise SystemExit(1)


async def _ingest(settings: Settings, paths: Sequence[str], kb: str) -> int:
    """Ingest with a progress bar, and say what became of it. Returns how many were skipped."""
    from citestream.ingest.files import find_files
    from citestream.ingest.load import load
    from citestream.stores import open_embedder, open_index

    found = find_files(paths)
    embedder = open_embedder(settings)
    index = open_index(settings, embedder)
    states: Counter[str] = Counter()
    refused = list(found.refused)
    try:
        with click.progressbar(length=len(found.files), label=f"Ingesting into {kb}", show_pos=True) as bar:
            async for outcome in load(found.files.values(), kb, index, embedder):
                states[outcome.state] += 1
                if outcome.state == "skipped":
                    refused.append((outcome.file.shown, outcome.reason))
                bar.update(1)
    finally:
        await index.aclose()
    for path, reason in refused:
        click.echo(f"skipped {path}: {reason}", err=True)
    summary = [f"{states[state]} {state}" for state in ("added", "updated", "unchanged")]
    others = f" ({found.other_kinds} files of other kinds left out)" if found.other_kinds else ""
    click.echo(f"{kb}: {', '.join(summary)}, {len(refused)} skipped{others}")
    return len(refused)


@main.command()
@_data
def samples(data: Path | None) -> None:
    """Add the sample documents, and print three questions to try."""
    settings = load_settings(data=data)
    from citestream.ingest.samples import FOLDER, KNOWLEDGE_BASES

    for kb in KNOWLEDGE_BASES:
        asyncio.run(_ingest(settings, [str(FOLDER / kb)], kb))
    click.echo("\nQuestions to try:")
    for each in json.loads((FOLDER / "questions.json").read_text("utf-8"))[:3]:
        click.echo(f"  {each['question']}")


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--kb", required=True, callback=_kb_id, help="The knowledge base.")
@_data
def remove(names: tuple[str, ...], kb: str, data: Path | None) -> None:
    """Remove documents by their names in the knowledge base."""
    if missing := asyncio.run(_remove(load_settings(data=data), names, kb)):
        raise click.ClickException(f"not in {kb}: {', '.join(missing)}")


async def _remove(settings: Settings, names: Sequence[str], kb: str) -> list[str]:
    from citestream.model import document_id
    from citestream.stores import open_index

    index = open_index(settings, None)
    try:
        gone = {name: await index.remove(document_id(kb, name)) for name in names}
    finally:
        await index.aclose()
    click.echo(f"{kb}: {sum(gone.values())} removed")
    return [name for name, was_there in gone.items() if not was_there]


@main.command()
@click.argument("question")
@click.option("--kb", "kb_ids", multiple=True, help="A knowledge base to search; all, where none is given.")
@click.option("--url", help="A server to ask; else the index on this machine is asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@_data
def ask(question: str, kb_ids: tuple[str, ...], url: str | None, as_json: bool, data: Path | None) -> None:
    """Ask a question: the answer as it is written, its sources below. Exit status 1 where there is none."""
    from citestream.remote import AskFailed, remote_events
    from citestream.terminal import local_events, one_line, show

    settings = load_settings(data=data)
    question = question.strip()
    if not 1 <= len(question) <= 2000:
        raise click.UsageError("a question has 1 to 2,000 characters")
    events = remote_events(url, question, kb_ids) if url else local_events(settings, question, kb_ids)
    try:
        answered = asyncio.run(show(events, as_json=as_json))
    except AskFailed as error:
        raise click.ClickException(one_line(str(error))) from error
    if not answered:
        raise SystemExit(1)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@_data
def serve(host: str, port: int, data: Path | None) -> None:
    """Serve the page and the API."""
    settings = load_settings(data=data)
    if settings.auth == "none" and not settings.allow_open and not _is_loopback(host):
        raise click.UsageError(
            f"on {host} anybody could read every document: set CITESTREAM_AUTH=jwt, "
            "or CITESTREAM_ALLOW_OPEN=1 if that is what you want"
        )
    from citestream import server

    server.serve(settings, host, port)


@main.command()
@click.option("--template", default="template.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--env-vars",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Environment variables, as for `sam local --env-vars`.  [default: events/local.json beside the template]",
)
@click.option("-e", "--env", "pairs", multiple=True, metavar="NAME=VALUE", help="One more environment variable.")
@click.option("--function", help="Its name in the template.  [default: the only one, or StreamFunction]")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--concurrency", default=10, show_default=True, type=click.IntRange(1, 1000), help="Environments at most."
)
@click.option("--api-gateway", is_flag=True, help="Be a REST API instead of a Function URL.")
@click.option("--buffered", is_flag=True, help="Be a Function URL that does not stream.")
@click.option("--freeze/--no-freeze", default=True, help="Stop the process between invocations, as Lambda does.")
@click.option("--snap-start", is_flag=True, help="Start from a snapshot.")
@click.option("--trace", is_flag=True, help="Print when each piece of a response came.")
@click.option("--built", is_flag=True, help="Run what `sam build` made, instead of the sources.")
def emulate(template: Path, env_vars: Path | None, pairs: tuple[str, ...], **options: Any) -> None:
    """Run the deployed function behind a local Function URL that truly streams."""
    from citestream.emulate import EmulateError, run

    local = template.parent / "events" / "local.json"
    given = [pair.partition("=") for pair in pairs]
    if not all(name and equals for name, equals, _ in given):
        raise click.UsageError("--env takes NAME=VALUE")
    environ = {name: value for name, _, value in given}
    try:
        run(template, env_vars or (local if local.exists() else None), environ=environ, **options)
    except EmulateError as error:
        raise click.ClickException(str(error)) from error


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
