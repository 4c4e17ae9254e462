"""What learns, and how fast: frozen parts, AdamW groups."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from models.lora import add_lora
from models.run import trained
from models.settings import LoopConfig

LORA = ".lora_"  # in the name of every matrix that peft adds


def prepare_encoder(encoder: Any, config: LoopConfig, lora: int = 0) -> None:
    """Freeze what is not to learn, and on a CPU leave out what costs a step most for nothing (measured, Zen 4).

    There the fused attention's backward takes 23 % of a step at 32 tokens and drawing random masks 10 %: plain
    attention and one dropout a layer (after the feed-forward part) make a step 1.4 times as fast.
    """
    if next(encoder.parameters()).device.type == "cpu":
        encoder.set_attn_implementation("eager")
        for name, module in encoder.named_modules():
            if isinstance(module, nn.Dropout) and ".attention." in name:
                module.p = 0.0
    for name, parameter in encoder.named_parameters():
        if name.startswith("pooler.") or (config.freeze_embeddings and name.startswith("embeddings.")):
            parameter.requires_grad = False
    if lora:
        add_lora(encoder, lora)


def make_optimiser(network: Any, config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW over the parameters that learn."""
    return torch.optim.AdamW(parameter_groups(network, config), fused=True, betas=(0.9, 0.98))


def parameter_groups(network: Any, config: LoopConfig) -> list[dict[str, Any]]:
    """AdamW groups: what starts at random (heads, LoRA's matrices) at head_lr; encoder layer k of n at
    lr * layer_decay ** (n - 1 - k); embeddings below all.

    Biases and normalisation weights (one-dimensional) do not decay.
    """
    depth = int(network.encoder.config.num_hidden_layers)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trained(network):
        if LORA in name or not name.startswith("encoder."):
            rate = config.head_lr
        else:
            layer = next((int(p) for p in name.split(".") if p.isdigit()), -1)
            rate = config.lr * config.layer_decay ** (depth - 1 - layer)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "peak": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())
