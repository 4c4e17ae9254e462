"""The onnxruntime engine: the only one in the core install."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.engines.onnx_graph import HIDDEN, VERSION, Form, Tensors, build_graph, check_supported, first_position
from models.engines.processor import instruction_sets, int8_is_exact

LANES = 16  # rows are spread over a multiple of the widest vector, so that no sum depends on where a row ends
FATAL = 4  # log severity: errors come to us as exceptions


class Weights(NamedTuple):
    """An encoder as released: its configuration, its tensors, and a hash that names both (for the cache)."""

    config: Mapping[str, Any]
    tensors: Tensors
    hash: str


class OnnxEncoder:
    """models.contract.Encoder over an onnxruntime session. May be called from several threads."""

    def __init__(self, model: bytes, config: Mapping[str, Any], precision: str, threads: int = 0) -> None:
        self._session = ort.InferenceSession(model, _options(threads), providers=["CPUExecutionProvider"])
        self._first, self._hidden = first_position(config), int(config["hidden_size"])
        self.name = f"onnxruntime {precision}"

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids and mask [rows, tokens] -> last hidden state [rows, tokens, hidden]; zeros on padding."""
        real = mask.astype(bool)
        result = np.zeros((*ids.shape, self._hidden), dtype=np.float32)
        if real.any():
            result[real] = self._run(ids, real)
        return result

    def _run(self, ids: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.float32]:
        rows, columns = np.nonzero(real)
        count, width = len(rows), -(-ids.shape[1] // LANES) * LANES
        places = rows * width + columns
        spread = np.zeros(len(ids) * width, dtype=np.int64)
        spread[places] = np.arange(count)
        bias = np.full(len(ids) * width, HIDDEN, dtype=np.float32)
        bias[places] = 0.0
        positions = columns if self._first == 0 else np.cumsum(real, axis=1)[real] - 1 + self._first
        packed = {"ids": ids[real], "positions": positions, "packed": places}
        if count == 1:  # some processors have a matrix-vector path for one token alone, with another order of sums
            packed = {name: np.repeat(value, 2) for name, value in packed.items()}
        batch = {"spread": spread.reshape(-1, width), "bias": bias.reshape(-1, 1, 1, width)}
        hidden: NDArray[np.float32] = self._session.run(["hidden"], {**packed, **batch})[0]
        return hidden[:count]


def load_onnx_encoder(weights: Weights, precision: str, threads: int = 0, cache_dir: Path | None = None) -> OnnxEncoder:
    """The encoder as a running session. `precision`: "fp32" or "int8"; `threads`: 0 for one per core.

    With `cache_dir` the built graph is kept there under its hash, precision and onnxruntime's version; a file that
    was damaged is built again. ModelError when this encoder's arithmetic is not supported.
    """
    check_supported(weights.config)
    form = Form(precision, wide=precision == "int8" and not int8_is_exact(instruction_sets()))
    file = None if cache_dir is None else cache_dir / _cache_name(weights, form)
    model = _cached(file) if file else None
    if model is None:
        model = build_graph(weights.config, weights.tensors, form).SerializeToString()
        if file:
            _keep(file, model)
    return OnnxEncoder(model, weights.config, precision, threads)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads  # 0: one per core
    # Waiting threads sleep: spinning beside a busy neighbour costs five times (research: the OpenMP hazard).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Not the extended level: it fuses SkipLayerNormalization, which is slower than its parts.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = FATAL
    return options


def _cache_name(weights: Weights, form: Form) -> str:
    width = "-wide" if form.wide else ""
    return f"encoder-{weights.hash[:32]}-{form.precision}{width}-graph{VERSION}-ort{ort.__version__}.onnx"


def _cached(file: Path) -> bytes | None:
    """The kept model, or None when there is none or its bytes are not those that were written."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, model = content[:32], content[32:]
    return model if hashlib.sha256(model).digest() == digest else None


def _keep(file: Path, model: bytes) -> None:
    """Write at once or not at all: digest, then the model. A folder that cannot be written only costs time."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(model).digest() + model)
            Path(temporary).replace(file)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
