"""The torch engine: any Hugging Face encoder; CUDA, or a CPU with bf16. The only engine module that imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig, AutoModel

from models.batching import fill
from models.registry import ModelError

STEP = 32  # rows are padded to a multiple of this, each by its own length
PASS_TOKENS = {"cuda": 16_384, "cpu": 512}  # tokens of every pass, padding included


def cuda_is_available() -> bool:
    """torch sees a GPU."""
    return torch.cuda.is_available()


class TorchEncoder:
    """models.contract.Encoder over a transformers model.

    Matrix libraries choose their kernel by the shape of a batch, and kernels differ in the order of their sums. So a
    row always meets the same shape: it is padded by its own length to a step, runs with rows of that step only, and
    the pass is filled up with dummy rows to a fixed number.
    """

    def __init__(self, model: nn.Module, device: str, precision: str) -> None:
        self._model, self._device = model.eval().to(device), device
        self._hidden = int(model.config.hidden_size)  # type: ignore[union-attr,arg-type]
        self._longest = int(getattr(model.config, "max_position_embeddings", 512))  # type: ignore[arg-type]
        self.name = f"torch {device} {precision}"

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids and mask (padding on the right) [rows, tokens] -> last hidden state; zeros on padding."""
        result = np.zeros((*ids.shape, self._hidden), dtype=np.float32)
        lengths = mask.sum(axis=1)
        for width, rows in self._passes(lengths):
            kept = min(width, ids.shape[1])
            fixed_ids = np.zeros((max(1, PASS_TOKENS[self._device] // width), width), dtype=np.int64)
            fixed_mask = np.zeros_like(fixed_ids)
            fixed_mask[:, 0] = 1  # a row of padding alone would make attention divide by zero
            fixed_ids[: len(rows), :kept], fixed_mask[: len(rows), :kept] = ids[rows, :kept], mask[rows, :kept]
            hidden = self._forward(fixed_ids, fixed_mask)
            result[rows, :kept] = hidden[: len(rows), :kept] * mask[rows, :kept, None]
        return result

    def _passes(self, lengths: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(width, indices of the rows) of each pass; empty rows are in none."""
        widths = np.minimum(-(-lengths // STEP) * STEP, self._longest)
        for width in np.unique(widths[widths > 0]):
            rows = np.flatnonzero(widths == width)
            for batch in fill([int(width)] * len(rows), PASS_TOKENS[self._device]):
                yield int(width), rows[batch]

    def _forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(ids).to(self._device), attention_mask=torch.from_numpy(mask).to(self._device)
            )
            hidden: NDArray[np.float32] = output.last_hidden_state.float().cpu().numpy()
        return hidden


def load_torch_encoder(
    config: Mapping[str, Any], state: Mapping[str, NDArray[np.float32]], precision: str, threads: int = 0
) -> TorchEncoder:
    """Build transformers' model for `config` with the tensors of `state` (float32, Hugging Face names).

    `precision`: "fp32" or "bf16". `threads`: of a CPU, 0 for one per core; torch keeps one number for the process.
    ModelError when the tensors do not belong to the configuration.
    """
    if threads:
        torch.set_num_threads(threads)
    settings = dict(config)
    model = AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings), dtype=torch.float32)
    missing, unexpected = model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    lost = [name for name in missing if not name.startswith("pooler.") and "position_ids" not in name]
    if lost or unexpected:
        raise ModelError(f"The encoder's weights should be those its config.json describes; missing {lost[:3]}, "
                         f"unknown {unexpected[:3]}. Restore the folder or release the model again.")  # fmt: skip
    device = "cuda" if cuda_is_available() else "cpu"
    return TorchEncoder(model.to(torch.bfloat16 if precision == "bf16" else torch.float32), device, precision)
