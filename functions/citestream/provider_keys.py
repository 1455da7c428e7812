"""The providers' keys: named in the settings by where they are kept, read there, never written down.

    OPENAI_API_KEY=secretsmanager:citestream#openai ANTHROPIC_API_KEY=ssm:/citestream/anthropic

Where it says ``#openai``, what is kept is a JSON object and the key its member of that name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from citestream.aws import Aws, Refused
from citestream.errors import StoreUnavailable

_log = logging.getLogger("citestream")

# Before what could not be read is asked for again.
_PAUSE_SECONDS = 5.0
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_REFERENCE = re.compile(
    r"(?:(?P<scheme>secretsmanager|ssm):(?P<short>[\w/+=.@:-]+)"
    r"|(?P<arn>arn:[a-z-]+:(?P<service>secretsmanager|ssm):[a-z0-9-]+:\d{12}:(?:secret:|parameter/)[\w/+=.@:-]+))"
    r"(?:#(?P<member>[^#]+))?",
    re.ASCII,
)
_RULE = (
    "is none of secretsmanager:NAME, ssm:NAME, and the ARN of a secret or a parameter, "
    "with #MEMBER behind it for a member of a JSON object; a key itself does not belong here"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a key is kept; ``name`` may be an ARN. ``member`` is empty where nothing else is kept there."""

    service: Literal["secretsmanager", "ssm"]
    name: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.service}:{self.name}" + (f"#{self.member}" if self.member else "")


class _Unusable(Exception):
    """What is kept there is no key; the message does not show it."""


def parse_keys(text: str) -> dict[str, Reference]:
    """Environment variables and where the value of each is kept, from ``NAME=REFERENCE`` separated by white space.

    Raises ValueError, whose message shows nothing of the text: it may be a key, in the wrong place.
    """
    references: dict[str, Reference] = {}
    for number, item in enumerate(text.split(), 1):
        variable, _, reference = item.partition("=")
        if not reference or not _VARIABLE.fullmatch(variable):
            raise ValueError(f"item {number} is not VARIABLE=REFERENCE, such as OPENAI_API_KEY=ssm:/citestream/openai")
        if variable in references:
            raise ValueError(f"item {number} names a variable for the second time")
        references[variable] = _reference(number, reference)
    return references


def _reference(number: int, text: str) -> Reference:
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"the reference of item {number} {_RULE}")
    service: Literal["secretsmanager", "ssm"] = (
        "ssm" if "ssm" in (found["scheme"], found["service"]) else "secretsmanager"
    )
    return Reference(service, found["short"] or found["arn"], found["member"] or "")


async def load_keys(references: Mapping[str, Reference], aws: Aws) -> dict[str, str]:
    """The keys by their variables. One that can't be read is left out, and the log says why."""
    kept = await asyncio.gather(*(_key(variable, reference, aws) for variable, reference in references.items()))
    return {variable: key for variable, key in zip(references, kept, strict=True) if key}


async def _key(variable: str, reference: Reference, aws: Aws) -> str:
    try:
        return _chosen(await _kept(reference, aws), reference.member)
    except (StoreUnavailable, Refused, _Unusable) as error:
        _log.error("%s can't be read from %s: %s", variable, reference, error)
        return ""


async def _kept(reference: Reference, aws: Aws) -> str:
    if reference.service == "ssm":
        found = await aws.call("ssm", "get_parameter", Name=reference.name, WithDecryption=True)
        return str(found["Parameter"]["Value"])
    found = await aws.call("secretsmanager", "get_secret_value", SecretId=reference.name)
    return str(found.get("SecretString", ""))


def _chosen(kept: str, member: str) -> str:
    if member:
        try:
            kept = json.loads(kept)[member]
        except (ValueError, LookupError, TypeError):
            # Not chained: a message of the JSON decoder holds what it could not read.
            raise _Unusable(f"it is no JSON object with a member {member!r}") from None
    if not isinstance(kept, str) or not kept.strip():
        raise _Unusable("it is empty, or no text")
    return kept.strip()


class Keys:
    """Puts keys into the environment, where LiteLLM looks for them. Usable from any thread and event loop."""

    def __init__(self, references: Mapping[str, Reference], aws: Aws) -> None:
        self._missing = dict(references)
        self._aws = aws
        self._reading = threading.Lock()
        self._due_at = -math.inf

    async def in_place(self) -> None:
        """Read those that have not been read: all at first, afterwards, now and then, what failed."""
        if self._is_due():
            await asyncio.to_thread(self._read)

    def _is_due(self) -> bool:
        return bool(self._missing) and time.monotonic() >= self._due_at

    def _read(self) -> None:
        with self._reading:
            if self._is_due():  # nobody has been faster
                found = asyncio.run(load_keys(self._missing, self._aws))
                os.environ.update(found)
                self._missing = {name: reference for name, reference in self._missing.items() if name not in found}
                self._due_at = time.monotonic() + _PAUSE_SECONDS
