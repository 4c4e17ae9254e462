"""The fine-tuning task: all heads on batches mixed from all sets, each row learnt by the heads its set labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models import losses
from models.batches import Encoded, collate
from models.network import Batch, Network, autocast
from models.release import HEAD_SPECS
from models.settings import TrainConfig
from models.taxonomy import OWN_LABELS, SENTIMENT_SETS
from models.techniques import ClassWeights, disagreement, labelled_part


@dataclass(frozen=True)
class Weights:
    """Per text [B], after its set: how much it counts in the text's sentiment loss, and how far "neutral" is pushed
    down where its set has no neutral. `classes`: with class weights, how much each of a head's targets counts."""

    sentiment: Tensor
    neutral: Tensor
    classes: Mapping[str, Tensor]


class JointTask:
    """Task of models/loop.py. `training` is read once, for class weights; `unknown` stands in for a dropped token."""

    def __init__(
        self, network: Network, config: TrainConfig, training: Mapping[str, Sequence[Encoded]], unknown: int
    ) -> None:
        self._network, self._config, self._unknown = network, config, unknown
        self._device = next(network.parameters()).device.type
        self._classes: ClassWeights | None = None
        if config.class_weights:
            targets = {name: collate(items, network.pad).targets for name, items in training.items() if items}
            self._classes = ClassWeights(targets, list(HEAD_SPECS), self._device)

    def batch(self, items: list[Encoded]) -> tuple[tuple[Batch, Weights], int]:
        """The items' tensors and weights, and how many real tokens they hold."""
        batch = drop_tokens(collate(items, self._network.pad, self._device), self._config.token_dropout, self._unknown)
        return (batch, self._weights(items, batch)), int(batch.mask.sum())

    def loss(self, batch: tuple[Batch, Weights]) -> tuple[Tensor, dict[str, float]]:
        """The weighted loss a text, and each head's own part of it; with R-Drop the mean of two passes' losses, and
        their disagreement (part "r_drop")."""
        content, weights = batch
        logits = self._forward(content)
        parts = self._parts(logits, content, weights)
        if self._config.r_drop:
            second = self._forward(content)
            others = self._parts(second, content, weights)
            parts = {name: (value + others[name]) / 2 for name, value in parts.items()}
            parts["r_drop"] = self._config.r_drop * self._disagreement(logits, second, content)
        return torch.stack(list(parts.values())).sum(), {name: value.item() for name, value in parts.items()}

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        with autocast(self._device):
            return {name: value.float() for name, value in self._network(batch).items()}

    def _parts(self, logits: dict[str, Tensor], batch: Batch, weights: Weights) -> dict[str, Tensor]:
        target, smooth, classes = batch.targets, self._config.smoothing, weights.classes
        no_mentions = torch.zeros_like(target["entity_sentiment"], dtype=torch.bool)
        text_weights = weights.sentiment * classes.get("sentiment", 1.0)
        topic_weights = target["topics_weight"] * classes.get("topics", 1.0)
        sums = {
            "sentiment": losses.sentiment_loss(
                logits["sentiment"], target["sentiment"], target["no_neutral"], weights.neutral, smooth, text_weights),
            "entity_sentiment": losses.sentiment_loss(
                logits["entity_sentiment"], target["entity_sentiment"], no_mentions, 0.0, smooth,
                classes.get("entity_sentiment")),
            "topics": losses.multilabel_loss(logits["topics"], target["topics"], topic_weights),
        } | {name: losses.own_loss(logits[name], target[name], smooth, classes.get(name))
             for name in OWN_LABELS}  # fmt: skip
        return {name: task_weight(self._config, name) * value / len(batch.ids) for name, value in sums.items()}

    def _disagreement(self, first: dict[str, Tensor], second: dict[str, Tensor], batch: Batch) -> Tensor:
        """Of all heads, each weighted as its loss is, a text."""
        of_heads = []
        for name, logits in first.items():
            apart = disagreement(logits, second[name], labelled_part(batch.targets, name))
            of_heads.append(task_weight(self._config, name) * apart)
        return torch.stack(of_heads).sum() / len(batch.ids)

    def _weights(self, items: list[Encoded], batch: Batch) -> Weights:
        sets, config = [item.example.set for item in items], self._config
        classes: dict[str, Tensor] = {}
        if self._classes:
            of_text = self._classes.indices(sets)
            for head in HEAD_SPECS:
                of_row = of_text[batch.rows] if head == "entity_sentiment" else of_text
                classes[head] = self._classes.rows(head, of_row, batch.targets[head])
        return Weights(
            torch.tensor([config.set_weights.get(name, 1.0) for name in sets], device=self._device),
            torch.tensor(
                [config.neutral_weights.get(name, config.neutral_weight) for name in sets], device=self._device
            ),
            classes,
        )


def task_weight(config: TrainConfig, head: str) -> float:
    """How much a head's loss counts."""
    shared = config.task_weights.get("own_sentiment", 0.0) if head in SENTIMENT_SETS else 0.0
    return config.task_weights.get(head, shared)


def drop_tokens(batch: Batch, share: float, unknown: int) -> Batch:
    """The batch with a random `share` of its inner tokens replaced (never a text's first and last token).

    Word dropout: Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 3.
    """
    if not share:
        return batch
    inner = batch.mask.roll(-1, 1).bool() & batch.mask.bool()
    inner[:, 0] = inner[:, -1] = False
    chosen = inner & (torch.rand(batch.ids.shape, device=batch.ids.device) < share)
    return replace(batch, ids=batch.ids.masked_fill(chosen, unknown))
