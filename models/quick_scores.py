"""Predictions of a network in training over encoded examples, and their accuracies: a look, not the final table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from models.batches import Encoded, collate, shortest_first
from models.losses import NOT_NEGATIVE
from models.network import Network, autocast
from models.taxonomy import MULTILABEL_SETS, OWN_LABELS

MOST = 400  # texts a set: a look must not cost more than a few steps


@torch.inference_mode()
def predict_logits(network: Network, items: Sequence[Encoded], pad: int, device: str) -> dict[str, torch.Tensor]:
    """Logits of the heads on the whole text, rows in the order of `items` (float32, on the CPU)."""
    network.eval()
    batches, place = shortest_first(items, pad, device)
    gathered: dict[str, list[torch.Tensor]] = {}
    for batch in batches:
        with autocast(device):
            logits = network(batch)
        for name, value in logits.items():
            if name != "entity_sentiment":
                gathered.setdefault(name, []).append(value.float().cpu())
    return {name: torch.cat(parts)[place] for name, parts in gathered.items()}


def quick_scores(
    network: Network, validation: Mapping[str, Sequence[Encoded]], pad: int, device: str
) -> dict[str, float]:
    """Accuracy per set whose label is one class: of the shared sentiment head under the set's name, of the set's own
    head under "NAME, own" (sets of topics have only that one)."""
    scores = {}
    for name, items in validation.items():
        if name not in OWN_LABELS or name in MULTILABEL_SETS:
            continue
        rows = items[:MOST]
        logits, targets = predict_logits(network, rows, pad, device), collate(rows, pad).targets
        scores[f"{name}, own"] = _accuracy(logits[name], targets[name])
        classed = (targets["sentiment"] >= 0) & (targets["sentiment"] < NOT_NEGATIVE)
        if classed.any():
            scores[name] = _accuracy(logits["sentiment"][classed], targets["sentiment"][classed])
    return scores


def _accuracy(logits: torch.Tensor, gold: torch.Tensor) -> float:
    return round(float((logits.argmax(1) == gold).float().mean()), 4)
