"""Train encoder and heads jointly on all sets. Reads top to bottom: `train` is the whole run.

    python -m models.train --config models/configs/release.toml --data ../shared/data --work build/train

Killed, it goes on from its last checkpoint when started again with the same arguments. The stages of `train`:
1 data, 2 network and optimiser, 3 plan, 4 steps, 5 validation after each pass, 6 averaged weights and record.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tqdm import tqdm

from models import losses
from models.batches import Encoded, collate, encode, fill, plan_pass, training_tokenizer, unknown_id
from models.data import DATA_SETS, drop_leaks, read_set, split
from models.network import Batch, Network, autocast, build_network
from models.quick_scores import quick_scores
from models.registry import load_release
from models.run import Run, RunRecord, checkpoint, machine_facts, restore, trained, write_record
from models.settings import TrainConfig, load_config
from models.taxonomy import OWN_LABELS, SENTIMENT_SETS
from pipeline.errors import WindvaneError

LOG = logging.getLogger(__name__)
Sets = dict[str, list[Encoded]]


def train(config: TrainConfig) -> RunRecord:
    """Run (or go on with) the training a config describes; leaves trained.safetensors and run.json in its work folder.

    Raises DataError on unusable data and ValueError on a config that names unknown sets.
    """
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    # 1 data
    training, validation, facts = load_data(config)
    # 2 network and optimiser
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build_network(config.encoder, config.dropout).to(device)
    if config.start:
        network.load_released(starting_weights(Path(config.start)))
    prepare_encoder(network, config)
    optimiser = torch.optim.AdamW(parameter_groups(network, config), fused=True, betas=(0.9, 0.98))
    average = {name: value.detach().clone() for name, value in trained(network)}
    # 3 plan
    passes = [plan(training, config, index) for index in range(config.passes)]
    record = RunRecord(config.as_dict(), facts, machine_facts(device))
    run = Run(config, network, optimiser, average, record, device, total=sum(len(part) for part in passes))
    run.unknown = unknown_id(open_tokenizer(config)) if config.token_dropout else network.pad
    restore(run)
    bar = tqdm(total=run.total, initial=record.steps, unit="step", mininterval=10)
    first = 1
    for index, part in enumerate(passes):
        # 4 steps
        run_pass(run, part, first, bar)
        first += len(part)
        # 5 validation
        if len(record.validation) <= index:
            validate(run, validation)
            checkpoint(run)
    bar.close()
    # 6 averaged weights and record
    run.take_average()
    validate(run, validation)
    record.weights = str(work / "trained.safetensors")
    save_file({k: v.contiguous() for k, v in network.released_state().items()}, record.weights)
    write_record(run)
    return record


def run_pass(run: Run, batches: list[list[Encoded]], first: int, bar: Any) -> None:
    """The steps of one pass, numbered from `first`; those before a checkpoint are skipped, as are any out of time."""
    for step, items in enumerate(batches, start=first):
        progress = run.progress(step)
        if step <= run.record.steps or progress > 1:
            continue
        run.network.train()
        share = schedule(progress, run.config.warmup)
        for group in run.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        batch = drop_tokens(collate(items, run.network.pad, run.device), run.config.token_dropout, run.unknown)
        loss, parts = forward_loss(run.network, batch, run.config, weights_of(items, run.config, run.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.config.clip)
        run.optimiser.step()
        run.optimiser.zero_grad(set_to_none=True)
        if step % run.config.ema_every == 0:
            run.update_average(min(run.config.ema, step / (step + 50)))
        run.record.steps, run.record.seconds = step, run.clock
        run.record.tokens += int(batch.mask.sum())
        note(run.record, bar, parts)
        if time.monotonic() - run.saved > 60 * run.config.checkpoint_minutes:
            checkpoint(run)


def starting_weights(source: Path) -> dict[str, torch.Tensor]:
    """Encoder and heads of an earlier run (its trained.safetensors) or of a release (its folder, checked)."""
    if source.is_dir():
        return {name: torch.tensor(value) for name, value in load_release(source).state.items()}
    if not source.is_file():
        raise WindvaneError(
            f"expected weights to start from at {source}, found none. Correct `start` in the configuration: "
            "an earlier run's trained.safetensors, or the folder of a release."
        )
    return load_file(source)


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


def open_tokenizer(config: TrainConfig) -> Tokenizer:
    """The encoder's tokenizer, cutting at the longest training text."""
    return training_tokenizer(Path(config.encoder), config.max_tokens)


def load_data(config: TrainConfig) -> tuple[Sets, Sets, dict[str, Any]]:
    """Read, cut and encode every set of the config -> (training, validation, facts for the record)."""
    folder, digest = Path(config.data), hashlib.sha256()
    tokenizer = open_tokenizer(config)
    cuts = {}
    for name in config.sets():
        cuts[name] = split(read_set(folder, name))
        digest.update((folder / DATA_SETS[name].path).read_bytes())
    held_out = [example for _, validation in cuts.values() for example in validation]
    training, validation, counts = {}, {}, {}
    for name, (kept, held) in cuts.items():
        clean = drop_leaks(kept, held_out)
        training[name], validation[name] = encode(tokenizer, clean), encode(tokenizer, held)
        counts[name] = {"training": len(clean), "validation": len(held), "dropped_as_leaks": len(kept) - len(clean)}
    return training, validation, {"sha256": digest.hexdigest(), "rows": counts}


def plan(training: Sets, config: TrainConfig, index: int) -> list[list[Encoded]]:
    """The batches of one pass: the same for the same config, so that a resumed run goes on exactly."""
    rng = random.Random(config.seed * 1000 + index)
    return fill(plan_pass(training, config.sets(), (index, config.passes), rng), config.tokens, rng)


def prepare_encoder(network: Network, config: TrainConfig) -> None:
    """Freeze what is not to learn, and on a CPU leave out what costs a step most for nothing (measured, Zen 4).

    There the fused attention's backward takes 23 % of a step at 32 tokens and drawing random masks 10 %: plain
    attention and one dropout a layer (after the feed-forward part) make a step 1.4 times as fast.
    """
    if next(network.parameters()).device.type == "cpu":
        network.encoder.set_attn_implementation("eager")
        for name, module in network.encoder.named_modules():
            if isinstance(module, torch.nn.Dropout) and ".attention." in name:
                module.p = 0.0
    for name, parameter in network.encoder.named_parameters():
        if name.startswith("pooler.") or (config.freeze_embeddings and name.startswith("embeddings.")):
            parameter.requires_grad = False


def parameter_groups(network: Network, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW groups: heads at head_lr; encoder layer k of n at lr * layer_decay ** (n - 1 - k); embeddings below all.

    Biases and normalisation weights (one-dimensional) do not decay.
    """
    depth = int(network.encoder.config.num_hidden_layers)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trained(network):
        if name.startswith("heads."):
            rate = config.head_lr
        else:
            layer = next((int(p) for p in name.split(".") if p.isdigit()), -1)
            rate = config.lr * config.layer_decay ** (depth - 1 - layer)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "peak": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at a share of the run: linear warm-up, then linear decay to zero."""
    return min(progress / warmup, (1.0 - progress) / (1.0 - warmup)) if 0 < warmup < 1 else 1.0 - progress


@dataclass(frozen=True)
class Weights:
    """Per text [B], after its set: how much it counts in the text's sentiment loss, and how far "neutral" is pushed
    down where its set has no neutral."""

    sentiment: torch.Tensor
    neutral: torch.Tensor


def weights_of(items: list[Encoded], config: TrainConfig, device: str) -> Weights:
    sets = [item.example.set for item in items]
    return Weights(
        torch.tensor([config.set_weights.get(name, 1.0) for name in sets], device=device),
        torch.tensor([config.neutral_weights.get(name, config.neutral_weight) for name in sets], device=device),
    )


def forward_loss(
    network: Network, batch: Batch, config: TrainConfig, weights: Weights
) -> tuple[torch.Tensor, dict[str, float]]:
    """The weighted loss a text of a batch, and each task's own part of it. FloatingPointError when it is not finite."""
    with autocast(batch.ids.device.type):
        logits = {name: value.float() for name, value in network(batch).items()}
    target, smooth = batch.targets, config.smoothing
    no_mentions = torch.zeros_like(target["entity_sentiment"], dtype=torch.bool)
    sums = {
        "sentiment": losses.sentiment_loss(
            logits["sentiment"], target["sentiment"], target["no_neutral"], weights.neutral, smooth, weights.sentiment),
        "entity_sentiment": losses.sentiment_loss(
            logits["entity_sentiment"], target["entity_sentiment"], no_mentions, 0.0, smooth),
        "topics": losses.multilabel_loss(logits["topics"], target["topics"], target["topics_weight"]),
    } | {name: losses.own_loss(logits[name], target[name], smooth) for name in OWN_LABELS}  # fmt: skip
    parts = {name: task_weight(config, name) * value / len(batch.ids) for name, value in sums.items()}
    loss = torch.stack(list(parts.values())).sum()
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"the loss became {loss.item()}: lower lr and start again from the last checkpoint")
    return loss, {name: value.item() for name, value in parts.items()}


def task_weight(config: TrainConfig, head: str) -> float:
    """How much a head's loss counts."""
    shared = config.task_weights.get("own_sentiment", 0.0) if head in SENTIMENT_SETS else 0.0
    return config.task_weights.get(head, shared)


def note(record: RunRecord, bar: Any, parts: dict[str, float]) -> None:
    """Progress bar, and every 25 steps a point of the curve."""
    bar.update(1)
    if record.steps % 25 == 0:
        loss = round(sum(parts.values()), 4)
        rounded = {name: round(part, 4) for name, part in parts.items()}
        record.curve.append({"step": record.steps, "loss": loss, **rounded})
        bar.set_postfix(loss=loss, tokens_s=int(record.tokens / max(record.seconds, 1)))


def validate(run: Run, validation: Sets) -> None:
    """A look at the validation cut, noted in the record."""
    scores = quick_scores(run.network, validation, run.network.pad, run.device)
    run.record.validation.append({"step": run.record.steps, "seconds": round(run.clock), **scores})
    LOG.info("after step %d: %s", run.record.steps, json.dumps(scores))


def main() -> None:
    """Command line of a run: a TOML file, and what of it differs here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/configs/release.toml"))
    for name in ("data", "encoder", "work", "start", "licence"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--minutes", type=float)
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(load_config(given.pop("config"), **given))


if __name__ == "__main__":
    main()
