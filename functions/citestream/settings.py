"""Every setting, its default and its check. Settings are environment variables ``CITESTREAM_…``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "CITESTREAM_"


class BadSettings(Exception):
    """A setting has a value that it can't have; the message names each by its environment variable."""


def _listed(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class Settings(BaseModel):
    """What can be configured; the README's table says it for users, in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path(".citestream")
    samples: bool = False

    table: str = ""
    vector_bucket: str = ""
    text_bucket: str = ""
    documents_bucket: str = ""
    ingest_queue: str = ""
    text_search: bool = True
    text_language: Literal["any", "en", "fr", "es", "pt", "it", "de", "nl", "zh", "ja", "ko"] = "en"

    embedding_model: str = ""
    embedding_dimensions: Annotated[int, Field(ge=1, le=4096)] = 1024
    embedding_api_base: str = ""

    model: str = ""
    api_base: str = ""
    keys: str = ""
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    first_token_seconds: Annotated[float, Field(gt=0)] = 30.0

    auth: Literal["none", "jwt"] = "none"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks_url: str = ""
    jwt_kb_claim: str = "kb_ids"
    jwt_groups_claim: str = "groups"
    jwt_leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    allow_open: bool = False
    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()

    answer_seconds: Annotated[float, Field(gt=0)] = 60.0
    max_answers: Annotated[int, Field(ge=1)] = 3
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 3.0
    retention_seconds: Annotated[float, Field(ge=0)] = 60.0
    # More, and a lost producer would be noticed too late.
    lease_seconds: Annotated[float, Field(gt=0, le=13)] = 10.0
    coalesce_seconds: Annotated[float, Field(ge=0)] = 0.1
    # As JSON six times as long at most, which must fit a frame.
    token_bytes: Annotated[int, Field(ge=16, le=2048)] = 900

    @model_validator(mode="after")
    def _jwt_is_complete(self) -> Self:
        if self.auth == "jwt" and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError(f"{PREFIX}AUTH=jwt needs {PREFIX}JWT_ISSUER and {PREFIX}JWT_AUDIENCE")
        return self

    @model_validator(mode="after")
    def _stores_are_complete(self) -> Self:
        names = ("table", "vector_bucket", "text_bucket")
        missing = [PREFIX + name.upper() for name in names if not getattr(self, name)]
        if missing and len(missing) < len(names):
            raise ValueError(f"the stores on AWS need {' and '.join(missing)}, too")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The models to ask, one after the other; none for the built-in answerer."""
        return () if self.model in ("", "extractive") else tuple(_listed(self.model))


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """The settings of this environment; ``overrides`` that are not None win. Raises BadSettings."""
    known = {
        name: environ[PREFIX + name.upper()] for name in Settings.model_fields if environ.get(PREFIX + name.upper())
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(known | given)
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(each) for each in error.errors())) from None


def _sentence(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return str(message)
    return f"{PREFIX}{str(error['loc'][0]).upper()}={error['input']!r}: {message}"
