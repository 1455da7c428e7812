"""The forward pass of a BERT encoder, in numpy."""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from citestream.retrieval.weights import Arrays

Floats = npt.NDArray[np.float32]

_HEADS = 12
_EPSILON = np.float32(1e-12)


class Encoder:
    """Maps token ids to one unit vector, the mean of what the last layer says of each token.

    ``arrays`` are a BERT model's as ``weights.load`` gives them. Computes in float32; thread-safe.
    """

    def __init__(self, arrays: Arrays) -> None:
        words = "embeddings.word_embeddings.weight"
        # Much the largest matrix, and a text needs a few rows of it: they are scaled when they are asked for.
        self._words, self._scales = arrays[words], arrays[f"{words}:scale"]
        types = arrays["embeddings.token_type_embeddings.weight"]
        self._positions = arrays["embeddings.position_embeddings.weight"] + types[0]
        self._norm = _norm(arrays, "embeddings")
        self._layers = [_layer(arrays, f"encoder.layer.{number}") for number in range(_depth(arrays))]

    def vector(self, ids: Sequence[int]) -> Floats:
        """The vector of one sequence, which has no more ids than the model has positions."""
        x = self._norm(self._words[ids] * self._scales[ids, None] + self._positions[: len(ids)])
        for layer in self._layers:
            x = layer(x)
        mean: Floats = x.mean(axis=0)
        mean /= np.sqrt(mean @ mean)
        return mean


class _Dense(NamedTuple):
    weights: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x @ self.weights
        y += self.bias
        return y


class _Norm(NamedTuple):
    gain: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Normalises the rows of ``x`` in place."""
        x -= x.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1])
        x /= np.sqrt(variance + _EPSILON)[:, None]
        x *= self.gain
        x += self.bias
        return x


class _Layer(NamedTuple):
    project: _Dense
    mix: _Dense
    attention_norm: _Norm
    widen: _Dense
    narrow: _Dense
    output_norm: _Norm

    def __call__(self, x: Floats) -> Floats:
        x = self.attention_norm(self.mix(attend(self.project(x))) + x)
        return self.output_norm(self.narrow(gelu(self.widen(x))) + x)


def attend(projected: Floats) -> Floats:
    """Softmax attention over rows of queries, keys and values side by side; the queries come scaled."""
    length = len(projected)
    query, key, value = projected.reshape(length, 3, _HEADS, -1).transpose(1, 2, 0, 3)
    weights: Floats = query @ key.transpose(0, 2, 1)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    mixed = weights @ value
    mixed /= weights.sum(axis=-1, keepdims=True)
    return mixed.transpose(1, 0, 2).reshape(length, -1)


# Abramowitz and Stegun 7.1.26: erfc(x) = (a1 t + … + a5 t⁵) exp(−x²) with t = 1 / (1 + p x), to 1.5e-7 for x ≥ 0.
_A5_TO_A1 = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_HALVES = tuple(np.float32(a / 2) for a in _A5_TO_A1)
_P = np.float32(0.3275911 / math.sqrt(2))


def gelu(x: Floats) -> Floats:
    """x Φ(x), in place, to within 1e-6.

    Computed as max(x, 0) − |x| Φ(−|x|) with Φ(−z) = erfc(z / √2) / 2, as erfc is approximated where it is small.
    """
    z = np.abs(x)
    t = np.reciprocal(z * _P + np.float32(1))
    tail = np.zeros_like(t)
    for a in _HALVES:
        tail += a
        tail *= t
    tail *= z
    z *= z
    z *= np.float32(-0.5)
    tail *= np.exp(z, out=z)
    np.maximum(x, 0, out=x)
    x -= tail
    return x


def single_threaded_blas() -> bool:
    """Makes the OpenBLAS in numpy's wheels compute on its caller's thread, for the whole process; says if it could.

    Its threads wait for each other by spinning, so where others use the processor too, or two threads call it, they
    cost many times what they bring. Texts are independent: threads over texts bring more.
    """
    library = ctypes.CDLL(importlib.import_module("numpy.linalg._umath_linalg").__file__)
    for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("", "")):
        set_threads = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
        if set_threads is not None:
            set_threads(1)
            return True
    return False


def _depth(arrays: Arrays) -> int:
    return len({name.split(".")[2] for name in arrays if name.startswith("encoder.layer.")})


def _layer(arrays: Arrays, name: str) -> _Layer:
    return _Layer(
        project=_projection(arrays, f"{name}.attention.self"),
        mix=_dense(arrays, f"{name}.attention.output.dense"),
        attention_norm=_norm(arrays, f"{name}.attention.output"),
        widen=_dense(arrays, f"{name}.intermediate.dense"),
        narrow=_dense(arrays, f"{name}.output.dense"),
        output_norm=_norm(arrays, f"{name}.output"),
    )


def _projection(arrays: Arrays, name: str) -> _Dense:
    """Queries, keys and values as one product, with attention's scale in the queries' weights."""
    query, key, value = (_dense(arrays, f"{name}.{part}") for part in ("query", "key", "value"))
    scale = np.float32(math.sqrt(_HEADS / len(query.bias)))
    return _Dense(
        np.concatenate([query.weights * scale, key.weights, value.weights], axis=1),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )


def _dense(arrays: Arrays, name: str) -> _Dense:
    # Transposed once here: BLAS is up to a tenth faster on short texts than with a transposed view.
    return _Dense(np.ascontiguousarray(_matrix(arrays, f"{name}.weight").T), arrays[f"{name}.bias"])


def _norm(arrays: Arrays, name: str) -> _Norm:
    return _Norm(arrays[f"{name}.LayerNorm.weight"], arrays[f"{name}.LayerNorm.bias"])


def _matrix(arrays: Arrays, name: str) -> Floats:
    scaled: Floats = arrays[name] * arrays[f"{name}:scale"][:, None]
    return scaled
