"""The command line."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
from pathlib import Path
from typing import Any

import click

from citestream import __version__
from citestream.errors import DeploymentError, StoreUnavailable, WrongIndex
from citestream.model import KB_ID
from citestream.retrieval.embedder import EmbeddingFailed
from citestream.retrieval.weights import WeightsError
from citestream.settings import BadSettings, Settings, load_settings


def _kb_id(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not KB_ID.fullmatch(value):
        raise click.BadParameter(
            f"{value!r}: letters, digits, '.', '_' and '-', at most 63, the first a letter or digit"
        )
    return value


_kb = click.option("--kb", required=True, callback=_kb_id, help="The knowledge base.")
_data = click.option("--data", type=click.Path(path_type=Path), help="Where the index lives (CITESTREAM_DATA).")
_bucket = click.option("--bucket", help="The documents bucket of a deployment, instead of the index on this machine.")
_wait = click.option(
    "--wait",
    default=900.0,
    show_default=True,
    type=click.FloatRange(0),
    help="With --bucket: seconds to wait until answers are made accordingly; 0 for not at all.",
)


class _Errors(click.Group):
    """Turns what is wrong with settings or stores into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadSettings as error:
            raise click.UsageError(str(error)) from error
        except (WrongIndex, StoreUnavailable, WeightsError, EmbeddingFailed, DeploymentError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Cited answers over your own documents, streamed."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    for name in ("httpx", "botocore"):  # they tell each request, and where credentials are from, amid an answer
        logging.getLogger(name).setLevel(logging.WARNING)


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@_kb
@_data
@_bucket
@_wait
def ingest(paths: tuple[str, ...], kb: str, data: Path | None, bucket: str | None, wait: float) -> None:
    """Add or update documents: files, folders, globs (txt, md, html, pdf, docx). Exit status 1 where one is missing."""
    from citestream.commands import deployed, local

    where = _bucket_or_settings(data, bucket)
    done = (
        deployed.ingest(where, paths, kb, wait)
        if isinstance(where, str)
        else local.ingest(_only_local(where), paths, kb)
    )
    if not asyncio.run(done):
        raise SystemExit(1)


@main.command()
@_data
def samples(data: Path | None) -> None:
    """Add the sample documents, and print three questions to try."""
    from citestream.commands.local import ingest
    from citestream.ingest.samples import FOLDER, KNOWLEDGE_BASES

    settings = _only_local(load_settings(data=data))
    for kb in KNOWLEDGE_BASES:
        asyncio.run(ingest(settings, [str(FOLDER / kb)], kb))
    click.echo("\nQuestions to try:")
    for each in json.loads((FOLDER / "questions.json").read_text("utf-8"))[:3]:
        click.echo(f"  {each['question']}")


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@_kb
@_data
@_bucket
@_wait
def remove(names: tuple[str, ...], kb: str, data: Path | None, bucket: str | None, wait: float) -> None:
    """Remove documents by their names in the knowledge base."""
    from citestream.commands import deployed, local

    where = _bucket_or_settings(data, bucket)
    done = (
        deployed.remove(where, names, kb, wait)
        if isinstance(where, str)
        else local.remove(_only_local(where), names, kb)
    )
    if problems := asyncio.run(done):
        raise click.ClickException("; ".join(problems))


@main.command()
@_kb
@_data
@_bucket
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def documents(kb: str, data: Path | None, bucket: str | None, as_json: bool) -> None:
    """List documents by name: their state, how many chunks are found of them, since when, and why one can't be read."""
    from citestream.commands import listing

    try:
        asyncio.run(listing.show(_bucket_or_settings(data, bucket), kb, as_json=as_json))
    except listing.UnknownKnowledgeBase as error:
        raise click.ClickException(str(error)) from error


def _bucket_or_settings(data: Path | None, bucket: str | None) -> str | Settings:
    """Where the documents are: the name of a deployment's bucket, or the settings, which name a store."""
    if data and bucket:
        raise click.UsageError("--data is an index on this machine, --bucket a deployment: give one of them")
    return bucket or load_settings(data=data)


def _only_local(settings: Settings) -> Settings:
    if settings.table:
        raise click.UsageError(
            "CITESTREAM_TABLE is set, and documents of a deployment come by its bucket: give --bucket"
        )
    return settings


@main.command()
@click.argument("question")
@click.option("--kb", "kb_ids", multiple=True, help="A knowledge base to search; all, where none is given.")
@click.option("--url", help="A server to ask; else the index on this machine is asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@_data
def ask(question: str, kb_ids: tuple[str, ...], url: str | None, as_json: bool, data: Path | None) -> None:
    """Ask a question: the answer as it is written, its sources below. Exit status 1 where it failed."""
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


@main.command("eval")
@click.argument(
    "data", default="../shared/data", envvar="CITESTREAM_BENCH_DATA", type=click.Path(path_type=Path), metavar="[DATA]"
)
@click.option("--subset", is_flag=True, help="A fixed part of the data, in less than two minutes.")
@click.option("--only", multiple=True, metavar="WORD", help="Only the parts whose titles hold it.")
@click.option(
    "--report", default="build/eval", show_default=True, type=click.Path(path_type=Path), help="Where the report goes."
)
@click.option(
    "--readme", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file whose table to renew."
)
def evaluate(data: Path, subset: bool, only: tuple[str, ...], report: Path, readme: Path | None) -> None:
    """Measure answers on public data (a folder, also CITESTREAM_BENCH_DATA), beside baselines.

    Exit status 1 where a figure falls below its guard. A part whose data is not there is skipped, and says so.
    """
    try:
        from citestream.evaluation import command
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: `pip install '.[eval]'` brings it") from error
    if readme and (subset or only):
        raise click.UsageError("--readme wants the whole table: without --subset and --only")
    if not command.evaluate(data, subset, only, report, readme):
        raise SystemExit(1)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
