"""Training techniques that are off unless a configuration asks for them: R-Drop, FGM, class weights. LoRA: lora.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.losses import NONE


def disagreement(first: Tensor, second: Tensor, labelled: Tensor) -> Tensor:
    """How far two dropout passes over the same texts disagree: the mean of both Kullback-Leibler divergences, summed
    over what is labelled. R-Drop, Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks", eq. 2.

    Logits [N, L]. `labelled` [N] (0 or 1 a row): a softmax over L classes; `labelled` [N, L]: L independent labels,
    each a Bernoulli distribution.
    """
    if labelled.ndim == 2:
        # of Bernoulli(p) and Bernoulli(q): half of KL(p, q) + KL(q, p) = (p - q) (logit p - logit q) / 2
        return ((first.sigmoid() - second.sigmoid()) * (first - second) / 2 * labelled).sum()
    log_p, log_q = first.log_softmax(1), second.log_softmax(1)
    both = F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(1)
    both = both + F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
    return (both / 2 * labelled).sum()


def labelled_part(targets: Mapping[str, Tensor], head: str) -> Tensor:
    """Where a head has a target in a batch: [N] of 0 and 1, or weights [N, L] for a multi-label head."""
    if f"{head}_weight" in targets:
        return targets[f"{head}_weight"]
    return (targets[head] != NONE).float()


class Adversary:
    """FGM, Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text Classification": each text's
    word vectors are moved by `epsilon` (L2, over the whole text) along the gradient of its loss, and the loss of the
    moved text is learnt too.

    The vectors are moved as they leave the embedding table, as in the paper: the table itself is never touched, so
    nothing has to be put back, and it works with a frozen table too.

        loss(batch).backward()
        with adversary.attack():
            loss(batch).backward()  # adds to the same gradients
    """

    def __init__(self, embeddings: nn.Module, epsilon: float) -> None:
        self.epsilon = epsilon
        self._seen: Tensor | None = None
        self._moved_by: Tensor | None = None
        self._hook = embeddings.register_forward_hook(self._forward)

    def remove(self) -> None:
        """Take the hook off the table again."""
        self._hook.remove()

    @contextmanager
    def attack(self) -> Iterator[None]:
        """Within it, word vectors are moved along the gradient of the last backward pass. RuntimeError without one."""
        if self._seen is None or self._seen.grad is None:
            raise RuntimeError("an attack needs a backward pass through the network first")
        gradient = self._seen.grad
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-20)
        # a text without a loss has no gradient, and stays where it is
        self._moved_by = self.epsilon * gradient / length.view(-1, *[1] * (gradient.ndim - 1))
        try:
            yield
        finally:
            self._seen = self._moved_by = None

    def _forward(self, module: nn.Module, given: Any, vectors: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():
            return None
        if self._moved_by is not None:
            return vectors + self._moved_by.to(vectors.dtype)
        if not vectors.requires_grad:  # a frozen table: its output becomes the start of the graph
            vectors = vectors.detach().requires_grad_()
        vectors.retain_grad()
        self._seen = vectors
        return vectors


def inverse_root(counts: Tensor) -> Tensor:
    """Weights over the last dimension, by one over the square root of each count, with a mean of 1 over what was
    counted; 1 for what never occurs. counts [..., C] -> [..., C]."""
    counts = counts.double()
    raw = torch.where(counts > 0, counts.clamp_min(1).rsqrt(), torch.zeros_like(counts))
    mean = (raw * counts).sum(-1, keepdim=True) / counts.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(counts > 0, raw / mean.clamp_min(1e-20), torch.ones_like(counts)).float()


class ClassWeights:
    """Rare classes count more: by one over the square root of their frequency, for every set and head on its own, so
    that no set gains or loses weight as a whole. The square root, since the full inverse makes a class of ten texts
    count like one of ten thousand.

    `targets`: for each set its targets by head, over all of its training texts (as models/batches.py lays them out).
    """

    def __init__(self, targets: Mapping[str, Mapping[str, Tensor]], heads: Sequence[str], device: str = "cpu") -> None:
        self._sets = {name: index for index, name in enumerate(targets)}
        self._device = device
        self._tables: dict[str, Tensor] = {}
        for head in heads:
            found = [_counts(of_set, head) for of_set in targets.values()]
            width = max((counts.shape[-1] for counts in found), default=1)
            padded = [F.pad(counts, (0, width - counts.shape[-1])) for counts in found]
            self._tables[head] = inverse_root(torch.stack(padded)).to(device)  # [sets, classes] or [sets, labels, 2]

    def rows(self, head: str, sets: Tensor, target: Tensor) -> Tensor:
        """Weight of each target: [N] for classes [N], [N, L] for labels [N, L]. `sets` [N] as from `indices`."""
        table = self._tables[head][sets]
        return table.gather(-1, target.clamp_min(0).long().unsqueeze(-1)).squeeze(-1)

    def indices(self, sets: Sequence[str]) -> Tensor:
        """The sets' numbers, [N]."""
        return torch.tensor([self._sets[name] for name in sets], device=self._device)


def _counts(targets: Mapping[str, Tensor], head: str) -> Tensor:
    """How often each class occurs: [classes], or [labels, 2] of absent and present for a multi-label head."""
    target = targets[head]
    if target.ndim == 1:
        known = target[target != NONE]
        return torch.bincount(known.long(), minlength=1)
    known = labelled_part(targets, head) > 0
    present = ((target > 0.5) & known).sum(0)
    return torch.stack([known.sum(0) - present, present], dim=-1)
