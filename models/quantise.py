"""Weights in the released file: int8 per row for matrices, float32 for the rest.

A matrix NAME [rows, columns] is stored as int8 under NAME and float32 [rows] under NAME.scale;
row r is NAME[r] * NAME.scale[r]. A row of an embedding is a token, of a linear layer an output channel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
SCALE = ".scale"
_CANDIDATES = (1.0, 0.97, 0.94, 0.9, 0.86, 0.82)


def quantise_rows(matrix: Array) -> tuple[NDArray[np.int8], Array]:
    """[rows, columns] float -> (int8 [rows, columns], scale [rows]).

    The scale of a row is its largest weight / 127, or a slightly smaller one that clips it where that lowers the
    row's squared error.
    """
    top = np.abs(matrix).max(axis=1)
    best = np.full(len(matrix), np.inf, dtype=np.float32)
    scale = np.ones(len(matrix), dtype=np.float32)
    for factor in _CANDIDATES:
        tried = np.where(top > 0, top * factor / 127.0, 1.0).astype(np.float32)
        error = np.square(matrix - _round(matrix, tried) * tried[:, None]).sum(axis=1)
        better = error < best
        scale[better], best[better] = tried[better], error[better]
    return _round(matrix, scale).astype(np.int8), scale


def _round(matrix: Array, scale: Array) -> Array:
    return np.asarray(np.clip(np.rint(matrix / scale[:, None]), -127, 127), dtype=np.float32)


def pack(state: Mapping[str, Array], keep: str) -> dict[str, NDArray[np.generic]]:
    """Quantise every matrix of a state but those whose name starts with `keep`; the rest becomes float32."""
    packed: dict[str, NDArray[np.generic]] = {}
    for name, value in state.items():
        array = np.ascontiguousarray(value, dtype=np.float32)
        if array.ndim == 2 and not name.startswith(keep):
            packed[name], packed[name + SCALE] = quantise_rows(array)
        else:
            packed[name] = array
    return packed


def unpack(packed: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
    """The inverse of `pack`, up to rounding: every array as float32, scales folded in."""
    state: dict[str, Array] = {}
    for name, value in packed.items():
        if name.endswith(SCALE):
            continue
        array = value.astype(np.float32)
        if name + SCALE in packed:
            array *= packed[name + SCALE].astype(np.float32)[:, None]
        state[name] = array
    return state
