"""Node.js and what `make test` installs for it: other people's clients of our streams, and a suite about streams."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_CLIENTS = Path(__file__).parent / "integration" / "clients"
_MODULES = Path(__file__).parents[1] / "build" / "node" / "node_modules"


@pytest.fixture(scope="session")
def node() -> str:
    """Its path; the test is skipped where it, or what npm installs, is missing, and fails where ``CI`` is set."""
    node = shutil.which("node")
    if node is None or not _MODULES.is_dir():
        give_up("needs Node.js and npm (Debian: apt-get install npm), then: make test")
    return node


def give_up(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def script(name: str, folder: Path) -> Path:
    """A script of tests/integration/clients, put where it finds the packages."""
    for each in (name, "package.json"):
        shutil.copy(_CLIENTS / each, folder)
    (folder / "node_modules").symlink_to(_MODULES)
    return folder / name
