"""AWS SAM's tools, and the artifacts that are deployed, for the tests that need them."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "template.yaml"
FUNCTIONS = ROOT / "functions"
EVENTS = ROOT / "events"
ARTIFACTS = ROOT / "build" / "artifacts"

SAM = Path(os.environ.get("SAM") or ROOT / "build" / "sam" / "bin" / "sam")
needs_sam = pytest.mark.skipif(
    not SAM.exists() and not os.environ.get("CI"), reason=f"SAM CLI is not installed in {SAM.parent}"
)


@functools.cache
def deployed_python() -> Path:
    """A Python 3.13, which functions are built with and run on. Without one the test is skipped, or failed in CI."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.13.*/bin/python3.13")
    on_path = shutil.which("python3.13")
    for candidate in (*([on_path] if on_path else []), *map(str, pyenv)):
        # A version manager's command may be there without the version.
        found = subprocess.run(
            (candidate, "-c", "import pip, sys; print(sys.executable)"), capture_output=True, text=True
        )
        if found.returncode == 0:
            return Path(found.stdout.strip())
    missing = "no python3.13 with pip, which functions are built with, is found"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@functools.cache
def built(architecture: str) -> Path:
    """What is deployed, built by the recipe; kept for the next run of the tests while its inputs are the same."""
    asked = (deployed_python(), "-B", "-c", "import package; print(package.fingerprint())")
    inputs = subprocess.run(asked, cwd=FUNCTIONS, check=True, capture_output=True, text=True).stdout.strip()
    folder = ARTIFACTS / architecture
    artifact = folder / inputs[:16] / "StreamFunction"
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with (ARTIFACTS / f"{architecture}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not (artifact / "built.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make("build-StreamFunction", architecture, artifact)
    return artifact


def make(target: str, architecture: str, artifact: Path, functions: Path = FUNCTIONS, **environment: str) -> str:
    """Run the recipe as SAM does: in its folder for the architecture, with variables in the environment."""
    artifact.mkdir(parents=True)
    run = subprocess.run(
        ("make", "--makefile", str(functions / "Makefile"), target),
        cwd=functions / "architecture" / architecture,
        env={"LAMBDA_PYTHON": str(deployed_python()), **_environ(), "ARTIFACTS_DIR": str(artifact), **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def _environ() -> dict[str, str]:
    # These tests may be run by a make with settings of its own.
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARCHITECTURE"))
    }
