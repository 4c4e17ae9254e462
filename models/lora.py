"""LoRA by peft: small matrices beside the attention's projections learn, the encoder itself stays.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". Before a release the matrices are multiplied into
the encoder, so that a released file is the same whichever way it was trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pipeline.errors import WindvaneError

_ATTENTION = ("attention", "attn")  # what every encoder of transformers calls its attention modules


def attention_projections(encoder: nn.Module) -> list[str]:
    """Names of the linear layers inside attention, whatever the encoder calls them (query, q_lin, Wqkv, out_proj, …).

    WindvaneError when there is none.
    """
    found = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and any(word in name.lower() for word in _ATTENTION)
    ]
    if not found:
        raise WindvaneError(
            f"LoRA needs linear layers inside attention modules, and {type(encoder).__name__} has none that are called "
            "so. Set lora = 0 in the configuration (full fine-tuning), or take another encoder."
        )
    return found


def add_lora(encoder: Any, rank: int, dropout: float = 0.0) -> None:
    """Put matrices of a rank beside the attention's projections, in place; nothing else of the encoder learns then.

    The scale is 2 (alpha = 2 * rank). They start as no change at all. WindvaneError when peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise WindvaneError(
            "lora needs peft, which is not installed. Install it (pip install 'windvane[models]'), or set lora = 0."
        ) from error
    targets = attention_projections(encoder)
    for parameter in encoder.parameters():
        parameter.requires_grad = False
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=targets), encoder
    )


@torch.no_grad()
def merge_lora(encoder: nn.Module) -> None:
    """Multiply the matrices into the encoder and take them away, in place: afterwards it has its own tensors only."""
    try:
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError:  # then there is nothing to merge either
        return
    for name, module in list(encoder.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            owner, _, own = name.rpartition(".")
            setattr(encoder.get_submodule(owner), own, module.get_base_layer())
