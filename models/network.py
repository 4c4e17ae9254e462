"""Encoder and heads as one torch module, for training only. The same arithmetic as models/heads.py in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from models.encoders import load_encoder_model
from models.heads import MENTION
from models.registry import ENCODER, HEADS
from models.release import HEAD_SPECS
from models.taxonomy import OWN_LABELS, SENTIMENT_SETS, SENTIMENTS
from pipeline.errors import WindvaneError

_FITTING = (
    "Set `start` to a run or release of the same encoder and the same heads, or set `encoder` to the one it came of; "
    "without `start`, training begins from the encoder."
)


@dataclass(frozen=True)
class Batch:
    """Tensors of one batch of B texts, T tokens wide, with N mentions. See models/batches.py for the targets."""

    ids: Tensor  # [B, T] int64
    mask: Tensor  # [B, T] int64, 1 on real tokens
    spans: Tensor  # [N, T] float32, each row a mention's averaging weights
    rows: Tensor  # [N] int64, the text each mention is in
    targets: dict[str, Tensor]


class Network(nn.Module):
    """A Hugging Face encoder, mean pooling, one linear head per entry of HEAD_SPECS."""

    def __init__(self, encoder: nn.Module, hidden: int, dropout: float) -> None:
        super().__init__()
        self.encoder: Any = encoder  # its configuration is read from several places
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {
                name: nn.Linear(hidden * (2 if spec.input == MENTION else 1), len(spec.labels))
                for name, spec in HEAD_SPECS.items()
            }
        )
        for name, parameter in self.heads.named_parameters():
            nn.init.normal_(parameter, std=0.02) if name.endswith("weight") else nn.init.zeros_(parameter)

    @property
    def pad(self) -> int:
        """The token id of padding."""
        return int(self.encoder.config.pad_token_id or 0)

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The last hidden state [B, T, H] and its mean over each text's tokens [B, H], float32."""
        hidden = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state.float()
        weights = batch.mask.to(hidden.dtype)
        return hidden, (hidden * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Uncalibrated logits per head: [B, L], and [N, L] for heads on mentions. Always float32."""
        hidden, text = self.read(batch)
        logits = {}
        for name, spec in HEAD_SPECS.items():
            pooled = text
            if spec.input == MENTION:
                mention = torch.einsum("nt,nth->nh", batch.spans, hidden[batch.rows])
                pooled = torch.cat([mention, text[batch.rows]], dim=1)
            logits[name] = self.heads[name](self.dropout(pooled))
        return logits

    def released_state(self) -> dict[str, Tensor]:
        """The tensors a release holds, under its names: the encoder without its unused pooler, and the heads."""
        encoder = {f"{ENCODER}{k}": v for k, v in self.encoder.state_dict().items() if not k.startswith("pooler.")}
        heads = {f"{HEADS}{k}": v for k, v in self.heads.state_dict().items()}
        return {k: v.detach().float().cpu() for k, v in {**encoder, **heads}.items() if v.is_floating_point()}

    def load_released(self, state: dict[str, Tensor]) -> None:
        """Take tensors named as in a release. WindvaneError when one is missing or of another shape. A set's own head
        that the release lacks begins as the shared one where it is about sentiment, else afresh."""
        own = self.released_state()
        afresh = {k: v for k, v in own.items() if k.removeprefix(HEADS).rpartition(".")[0] in OWN_LABELS}
        state = {**afresh, **_begun(state), **state}
        if lost := sorted(own.keys() ^ state.keys()):
            raise WindvaneError(
                f"the weights to start from do not fit this network: {', '.join(lost[:5])} "
                f"{'is' if len(lost) == 1 else 'are'} in one of the two only. {_FITTING}"
            )
        if other := [name for name, value in own.items() if value.shape != state[name].shape]:
            expected, found = list(own[other[0]].shape), list(state[other[0]].shape)
            raise WindvaneError(
                f"the weights to start from do not fit this network: {other[0]} should be {expected}, found {found}. "
                f"{_FITTING}"
            )
        encoder = {k.removeprefix(ENCODER): v for k, v in state.items() if k.startswith(ENCODER)}
        self.encoder.load_state_dict(encoder, strict=False)
        self.heads.load_state_dict({k.removeprefix(HEADS): v for k, v in state.items() if k.startswith(HEADS)})


def _begun(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """First weights of every sentiment set's own head from those of the shared head. A label that the product does not
    know ("mixed", "non-negative") begins as the mean of neutral and positive."""
    begun: dict[str, Tensor] = {}
    if any(f"{HEADS}sentiment.{part}" not in state for part in ("weight", "bias")):
        return begun
    for part in ("weight", "bias"):
        shared = dict(zip(SENTIMENTS, state[f"{HEADS}sentiment.{part}"], strict=True))
        other = (shared["neutral"] + shared["positive"]) / 2
        for name in SENTIMENT_SETS:
            begun[f"{HEADS}{name}.{part}"] = torch.stack([shared.get(label, other) for label in OWN_LABELS[name]])
    return begun


def build_network(encoder: Path, dropout: float) -> Network:
    """A network on the encoder of a folder (models/encoders.py); heads start near zero."""
    base = load_encoder_model(encoder)
    return Network(base, int(base.config.hidden_size), dropout)


def autocast(device: str) -> Any:
    """bf16 where the machine multiplies it in hardware, else full precision."""
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        known = torch.backends.cpu.get_cpu_capability().startswith(("AVX512_BF16", "AMX"))
        fast = known or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device, dtype=torch.bfloat16) if fast else nullcontext()


class NetworkEncoder:
    """Encoder of models/contract.py in plain torch fp32, for calibration and evaluation right after training."""

    name = "torch fp32"

    def __init__(self, config_folder: str, state: Mapping[str, NDArray[np.float32]]) -> None:
        """`state` under the encoder's own names; RuntimeError when a tensor other than the pooler's is missing."""
        self._model = AutoModel.from_config(AutoConfig.from_pretrained(config_folder))
        missing, unknown = self._model.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
        lost = [name for name in missing if not name.startswith("pooler.")]
        if lost or unknown:
            raise RuntimeError(f"weights do not fit the encoder of {config_folder}: missing {lost}, unknown {unknown}")
        self._model.eval()

    @torch.inference_mode()
    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """[rows, tokens] -> last hidden state [rows, tokens, hidden]."""
        hidden = self._model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state
        return np.asarray(hidden.float().numpy(), dtype=np.float32)
