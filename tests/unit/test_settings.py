"""Settings come from the environment and are checked before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from citestream.settings import BadSettings, Settings, load_settings


def test_the_defaults_need_no_environment() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert (settings.auth, settings.model, settings.answer_seconds) == ("none", "", 60.0)


def test_the_environment_is_read_and_what_is_given_wins() -> None:
    environment = {
        "CITESTREAM_DATA": "there",
        "CITESTREAM_ALLOWED_ORIGINS": "https://a.example, https://b.example",
        "CITESTREAM_ALLOW_OPEN": "1",
        "CITESTREAM_MODEL": "",
        "OTHER": "x",
    }
    settings = load_settings(environment, data=Path("here"), model=None)
    assert settings.data == Path("here")
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.allow_open


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"CITESTREAM_AUTH": "basic"}, "CITESTREAM_AUTH='basic'"),
        ({"CITESTREAM_ANSWER_SECONDS": "soon"}, "CITESTREAM_ANSWER_SECONDS='soon'"),
        ({"CITESTREAM_HEARTBEAT_SECONDS": "0"}, "CITESTREAM_HEARTBEAT_SECONDS='0'"),
        ({"CITESTREAM_AUTH": "jwt", "CITESTREAM_JWT_ISSUER": "https://i.example"}, "CITESTREAM_JWT_AUDIENCE"),
    ],
)
def test_a_bad_value_is_named_by_its_variable(environment: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        load_settings(environment)
