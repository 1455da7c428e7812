"""How the local server runs."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from citestream.server import make_config


@pytest.mark.parametrize(("allowed", "believed"), [(None, False), ("", False), ("10.0.0.1", True)])
def test_where_a_request_comes_from_is_told_by_named_proxies_only(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, believed: bool
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if allowed is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", allowed)
    assert make_config(Starlette(), "127.0.0.1", 0).proxy_headers is believed
