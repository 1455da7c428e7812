"""SnapStart: the hooks around the snapshot (AWS: "Lambda SnapStart runtime hooks for Python")."""

from __future__ import annotations

import random
from typing import Any


def before_snapshot() -> None:
    """Run what was registered, the last first, as the platform's own client does."""
    for hook, args, kwargs in reversed(_hooks("get_before_snapshot")):
        hook(*args, **kwargs)


def after_restore() -> None:
    """Run what was registered. Environments of one snapshot have one state of ``random``: it is seeded anew."""
    random.seed()
    for hook, args, kwargs in _hooks("get_after_restore"):
        hook(*args, **kwargs)


def _hooks(name: str) -> list[Any]:
    try:
        import snapshot_restore_py  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return []  # then nobody can have registered any
    hooks: list[Any] = getattr(snapshot_restore_py, name)()
    return hooks
