"""The one training loop: fine-tuning (train.py) and continued pretraining (pretrain.py) differ in their Task alone."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from models.run import Run, checkpoint
from models.techniques import Adversary
from pipeline.errors import WindvaneError

Step = Sequence[list[Any]]  # one or more batches of items, whose gradients make one step
# what torch says on a CPU, and cuBLAS on a GPU; other lacks have errors of their own kind
_NO_MEMORY = re.compile("can.t allocate memory|ALLOC_FAILED|out of memory", re.I)


class Task(Protocol):
    """What is learnt."""

    def batch(self, items: list[Any]) -> tuple[Any, int]:
        """Tensors of some items on the run's device, and how many real tokens they hold."""

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss to go down, a mean over the batch's items, and its parts by name."""


def in_steps(batches: Sequence[list[Any]], accumulate: int) -> list[Step]:
    """Batches, `accumulate` of them to a step (the last step may have fewer)."""
    return [batches[at : at + accumulate] for at in range(0, len(batches), accumulate)]


def run_passes(run: Run, task: Task, passes: Sequence[Sequence[Step]], score: Callable[[], float]) -> None:
    """All passes of a run, from where its record stands until the steps, its time or its patience end. After each pass
    the weights that would be kept are judged: `score` notes their scores in the record, and returns the one to go up.

    WindvaneError as for run_part.
    """
    bar = tqdm(total=run.record.planned, initial=run.record.steps, unit="step", mininterval=10)
    first = 1
    for index, part in enumerate(passes):
        if run.out_of_patience:
            break
        run_part(run, task, part, first, bar)
        first += len(part)
        if len(run.record.validation) <= index:
            with run.as_kept():
                found = score()
            run.judge(found)
            checkpoint(run)
    bar.close()


def run_part(run: Run, task: Task, steps: Sequence[Step], first: int, bar: Any) -> None:
    """The steps of one part of a run, numbered from `first`; those before a checkpoint are skipped, as are any out of
    time.

    WindvaneError when the memory does not suffice or the loss is no longer a number.
    """
    adversary = Adversary(run.network.encoder.get_input_embeddings(), run.config.fgm) if run.config.fgm else None
    try:
        for step, batches in enumerate(steps, start=first):
            progress = run.progress(step)
            if step <= run.record.steps or progress > 1:
                continue
            run.network.train()
            set_rates(run, progress)
            with enough_memory(run):
                parts = learn(run, task, batches, adversary)
            if run.average and step % run.config.ema_every == 0:
                run.update_average(min(run.config.ema, step / (step + 50)))
            run.record.steps, run.record.seconds = step, run.clock
            note(run, bar, parts)
            if time.monotonic() - run.saved > 60 * run.config.checkpoint_minutes:
                checkpoint(run)
    finally:
        if adversary:
            adversary.remove()


def learn(run: Run, task: Task, batches: Step, adversary: Adversary | None) -> dict[str, float]:
    """One step of the optimiser on the gradients of one or more batches; returns the loss's parts, over all of them."""
    parts: dict[str, float] = {}
    items = sum(len(batch) for batch in batches)
    for batch_items in batches:
        share = len(batch_items) / items
        batch, tokens = task.batch(batch_items)
        loss, of_batch = task.loss(batch)
        if not math.isfinite(loss.item()):
            raise WindvaneError(
                f"the loss became {loss.item()} at step {run.record.steps + 1}: lower lr in the configuration, and "
                "start again in another folder (or with what there is, from the last checkpoint)."
            )
        (loss * share).backward()
        if adversary:
            with adversary.attack():
                (task.loss(batch)[0] * share).backward()
        run.record.tokens += tokens
        for name, value in of_batch.items():
            parts[name] = parts.get(name, 0.0) + value * share
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.config.clip)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    return parts


def set_rates(run: Run, progress: float) -> None:
    """Every group's learning rate at a share of the run."""
    share = schedule(progress, run.config.warmup)
    for group in run.optimiser.param_groups:
        group["lr"] = group["peak"] * share


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at a share of the run: linear warm-up, then linear decay to zero."""
    return min(progress / warmup, (1.0 - progress) / (1.0 - warmup)) if 0 < warmup < 1 else 1.0 - progress


def note(run: Run, bar: Any, parts: dict[str, float]) -> None:
    """Progress bar, and every 25 steps a point of the curve."""
    bar.update(1)
    record = run.record
    if record.steps % 25 == 0:
        loss = round(sum(parts.values()), 4)
        point = {"loss": loss, **{name: round(part, 4) for name, part in parts.items()}}
        record.curve.append({"step": record.steps, **point})
        rate = max(group["lr"] for group in run.optimiser.param_groups)
        run.board.scalars(record.steps, {**{f"loss/{name}": value for name, value in point.items()}, "rate": rate})
        bar.set_postfix(loss=loss, tokens_s=int(record.tokens / max(record.seconds, 1)))


@contextmanager
def enough_memory(run: Run) -> Iterator[None]:
    """Turns a lack of memory on the GPU or the machine into a sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        where = "the GPU" if run.device == "cuda" else "this machine"
        tokens, accumulate = run.config.tokens, run.config.accumulate
        raise WindvaneError(
            f"the memory of {where} does not suffice for batches of {tokens} tokens. Set tokens = {tokens // 2} in the "
            f"configuration; with accumulate = {2 * accumulate} a step learns from as many texts as before. "
            "That is another configuration: give it another name."
        ) from error
