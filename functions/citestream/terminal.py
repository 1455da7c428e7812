"""``citestream ask``: a question's events, from the index on this machine or from anywhere, shown in a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import click

from citestream.answer.pipeline import Question
from citestream.app import open_engine
from citestream.remote import AskFailed, Named
from citestream.settings import Settings
from citestream.streams.collected import Collected

# What a terminal would obey instead of showing it: C0 but tab and line feed, DEL, and C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


async def local_events(settings: Settings, question: str, kb_ids: Sequence[str]) -> AsyncGenerator[Named]:
    """Ask the index on this machine, without a server. Raises AskFailed."""
    engine = open_engine(settings)
    try:
        known = await engine.index.kb_ids()
        if not known:
            where, option = (settings.table, " --bucket NAME") if settings.table else (settings.data, "")
            raise AskFailed(f"there are no documents in {where}: citestream ingest PATH --kb NAME{option} adds some")
        if missing := [kb_id for kb_id in kb_ids if kb_id not in known]:
            raise AskFailed(f"no such knowledge base: {', '.join(missing)} (there are: {', '.join(known) or 'none'})")
        asked = Question(question, tuple(kb_ids or known), results=True)
        stream_id = await engine.hub.start("local", lambda stream_id: engine.pipeline.events(asked, stream_id))
        async with aclosing(engine.hub.follow(stream_id)) as entries:
            async for entry in entries:
                if entry is not None:
                    yield entry.event, json.loads(entry.data)
    finally:
        await engine.aclose()


async def show(events: AsyncGenerator[Named], *, as_json: bool) -> bool:
    """Print the answer as it comes and its sources below, or one JSON object at the end. False where it failed."""
    collected = Collected()
    async with aclosing(events):
        async for name, data in events:
            collected.add(name, data)
            if name == "token" and not as_json:
                click.echo(_printable(data["text"]), nl=False)
    if as_json:
        click.echo(_json(collected.failure or collected.body()))
    elif collected.failure:
        click.echo(f"\nFailed: {one_line(collected.failure['message'])}", err=True)
    else:
        click.echo(f"\n{sources(collected.body())}")
    return collected.failure is None


def _printable(text: str) -> str:
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """The text as a terminal can show it on one line."""
    return " ".join(_printable(text).split())


def _json(value: Any) -> str:
    """As JSON has it: with controls, which stand in strings only, as escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def sources(answer: dict[str, Any]) -> str:
    """The sources below an answer, and how far it can be trusted."""
    lines = ["", "Sources"] if answer["citations"] else []
    for citation in answer["citations"]:
        place = [one_line(citation["document_name"])]
        if citation["page"]:
            place.append(f"page {citation['page']}")
        if citation["section"]:
            place.append(one_line(citation["section"]))
        lines.append(f"[{citation['number']}] {', '.join(place)} ({one_line(citation['kb_id'])})")
        lines.append(f"    “{one_line(citation['excerpt'])}”")
    return "\n".join([*lines, "", f"Confidence {answer['confidence_score']} of 100"])
