"""Predictions of a network in training over encoded examples, and their accuracies: a look, not the final table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from models.batches import Encoded, collate
from models.network import Network, autocast

MOST = 400  # texts a set: a look must not cost more than a few steps


@torch.inference_mode()
def predict_logits(network: Network, items: Sequence[Encoded], pad: int, device: str) -> dict[str, torch.Tensor]:
    """Logits of the heads on the whole text, rows in the order of `items` (float32, on the CPU)."""
    network.eval()
    order = sorted(range(len(items)), key=lambda index: len(items[index].ids))
    gathered: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(order), 64):
        batch = collate([items[index] for index in order[start : start + 64]], pad, device)
        with autocast(device):
            logits = network(batch)
        for name, value in logits.items():
            if name != "entity_sentiment":
                gathered.setdefault(name, []).append(value.float().cpu())
    place = torch.tensor(order).argsort()
    return {name: torch.cat(parts)[place] for name, parts in gathered.items()}


def quick_scores(
    network: Network, validation: Mapping[str, Sequence[Encoded]], pad: int, device: str
) -> dict[str, float]:
    """Accuracy per set whose label is one class (sentiment, twitter20, finese); 2-class sets without neutral."""
    scores = {}
    for name, items in validation.items():
        rows = [item for item in items if item.example.sentiment is not None or name in ("twitter20", "finese")]
        if not rows or name in ("finnl", "thuc10"):
            continue
        rows = rows[:MOST]
        head = name if name in ("twitter20", "finese") else "sentiment"
        logits = predict_logits(network, rows, pad, device)[head]
        gold = collate(rows, pad).targets[head]
        scores[name] = round(float((logits.argmax(1) == gold).float().mean()), 4)
    return scores
