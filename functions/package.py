"""Builds what is deployed: the requirements for one architecture, pruned, our own code, and all of it compiled.

    python3.13 package.py arm64 FOLDER [BUILT…]

An artifact that was built of the same before, beside FOLDER or in BUILT, is copied.
Any machine builds for any architecture: only wheels are installed, and bytecode is the same everywhere.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

from left_out import LOCAL, prune

HERE = Path(__file__).resolve().parent
DEPLOYED_PYTHON = (3, 13)
# Lambda takes 250 MB. A function that is much smaller starts sooner, and has room for what is to come.
MOST_BYTES = 150_000_000
# Says what was built, and for which architecture; the last thing that is written.
STAMP = "built.json"


class BuildError(Exception):
    """The artifact can't be built, or is not fit to be deployed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(folder.name for folder in (HERE / "architecture").iterdir()))
    parser.add_argument("artifact", type=Path)
    parser.add_argument("built", type=Path, nargs="*")
    arguments = parser.parse_args()
    try:
        sys.stdout.write(f"{build(arguments.architecture, arguments.artifact.resolve(), arguments.built)}\n")
    except (BuildError, LookupError, subprocess.CalledProcessError) as error:
        sys.exit(f"build: {error.args[0] if isinstance(error, BuildError | LookupError) else error}")


def build(architecture: str, artifact: Path, built: Sequence[Path] = ()) -> str:
    """Fill the folder ``artifact``, which is empty or not there; say what came of it. Raises ``BuildError``."""
    if sys.version_info[:2] != DEPLOYED_PYTHON:
        raise BuildError(f"needs Python {DEPLOYED_PYTHON[0]}.{DEPLOYED_PYTHON[1]}, the deployed one, for its bytecode")
    if artifact.exists() and any(artifact.iterdir()):
        raise BuildError(f"{artifact} is not empty")
    stamp = {"architecture": architecture, "inputs": fingerprint()}
    # SAM builds each function by itself, beside the others: the first one's artifact is what the second one needs.
    if same := next((each for each in (*artifact.parent.glob("*"), *built) if _stamp(each) == stamp), None):
        shutil.copytree(same, artifact, dirs_exist_ok=True)
        return f"{architecture}: the same as {same.name}"
    _install(architecture, artifact)
    prune(artifact)
    _copy_own(artifact)
    _compile(artifact)
    for path in artifact.rglob("*"):  # the function runs as another user, whatever the umask was here
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    size = sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise BuildError(f"the artifact has {size:,} bytes, of {MOST_BYTES:,} at most: left_out.py may leave out more")
    (artifact / STAMP).write_text(json.dumps(stamp))
    return f"{architecture}: {size / 1e6:.0f} MB"


def _install(architecture: str, artifact: Path) -> None:
    platforms = (HERE / "architecture" / architecture / "wheels.txt").read_text().split()
    subprocess.run(  # noqa: S603  all arguments are our own
        (
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
            *("--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp", "--upgrade"),
            *(f"--platform={platform}" for platform in platforms),
            f"--python-version={DEPLOYED_PYTHON[0]}.{DEPLOYED_PYTHON[1]}",
            f"--requirement={HERE / 'requirements.txt'}",
            f"--target={artifact}",
        ),
        env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"},
        check=True,
    )


def _copy_own(artifact: Path) -> None:
    for path in _own():
        target = artifact / path.relative_to(HERE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _own() -> Iterator[Path]:
    """Our own files that are deployed."""
    yield HERE / "run-stream"
    for package in ("asgi_lambda", "citestream"):
        for path in sorted((HERE / package).rglob("*")):
            names = path.relative_to(HERE).as_posix()
            local = any(names == each or names.startswith(f"{each}/") for each in LOCAL)
            if path.is_file() and not local and "__pycache__" not in path.parts:
                yield path


def _compile(artifact: Path) -> None:
    # Python throws away bytecode that is older than its source says, and a deployed file has another time than the
    # built one: it would compile all it imports at every cold start. It takes this as it is. The paths are those of
    # tracebacks, and the same wherever it was built.
    compiled = compileall.compile_dir(
        artifact,
        stripdir=str(artifact),
        prependdir="/var/task",
        quiet=1,
        workers=0,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise BuildError("not every module can be compiled: see above")


def fingerprint() -> str:
    """What artifacts of the same architecture are the same by."""
    digest = hashlib.sha256(sys.version.encode())
    tools = (HERE / "requirements.txt", *HERE.glob("*.py"), *HERE.glob("architecture/*/*"))
    for path in (*sorted(tools), *_own()):
        digest.update(f"\n{path.relative_to(HERE)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp(artifact: Path) -> object:
    try:
        return json.loads((artifact / STAMP).read_text())
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    main()
