"""The browser client in Node: its parser against the HTML standard, its reading against a server that misbehaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import citestream
from tests.node import give_up

HERE = Path(__file__).parent
CLIENT = Path(citestream.__file__).with_name("web") / "citestream.js"
_MISSING = "needs Node.js 20.3 or newer, as `node` on the PATH"


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_in_node(script: Path, tmp_path: Path) -> None:
    client = tmp_path / "citestream.mjs"  # a name by which every Node knows a module
    client.write_bytes(CLIENT.read_bytes())
    environment = {**os.environ, "CITESTREAM_CLIENT": client.as_uri()}
    run = subprocess.run([_node(), "--test", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def _node() -> str:
    return shutil.which("node") or give_up(_MISSING)
