"""Train encoder and heads jointly on all sets. Reads top to bottom: `train` is the whole run.

    python -m models.train --config models/configs/release.toml --data ../shared/data --work build/train

Killed, it goes on from its last checkpoint when started again with the same arguments. The loop's stages:
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
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from models import losses
from models.batches import Encoded, collate, encode, fill, load_tokenizer, plan_pass
from models.data import DATA_SETS, drop_leaks, read_set, split
from models.network import Batch, Network, autocast, build_network
from models.quick_scores import quick_scores
from models.settings import TrainConfig, load_config

LOG = logging.getLogger(__name__)


@dataclass
class RunRecord:
    """What a run did: written as run.json beside the weights, and printed in the model card."""

    config: dict[str, Any]
    data: dict[str, Any]
    machine: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0  # real tokens seen, padding left out
    seconds: float = 0.0  # over all starts of the run
    weights: str = ""


def train(config: TrainConfig) -> RunRecord:
    """Run (or go on with) the training a config describes; leaves trained.safetensors and run.json in its work folder.

    Raises DataError on unusable data and ValueError on a config that names unknown sets.
    """
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # 1 data
    training, validation, facts = load_data(config)
    # 2 network and optimiser
    network = build_network(config.encoder, config.dropout).to(device)
    prepare_encoder(network, config)
    optimiser = torch.optim.AdamW(parameter_groups(network, config), fused=True, betas=(0.9, 0.98))
    average = {name: value.detach().clone() for name, value in trained(network)}
    record = RunRecord(config.as_dict(), facts, machine_facts(device))
    # 3 plan
    batches = [plan(training, config, index) for index in range(config.passes)]
    total = sum(len(part) for part in batches)
    restore(work, network, optimiser, average, record)
    pad = int(network.encoder.config.pad_token_id or 0)
    started, saved = time.monotonic() - record.seconds, time.monotonic()
    bar = tqdm(total=total, initial=record.steps, unit="step", mininterval=10)
    step = 0
    for index, part in enumerate(batches):
        for items in part:
            step += 1
            if step <= record.steps:
                continue
            # 4 one step
            elapsed = time.monotonic() - started
            progress = max(step / total, elapsed / (60 * config.minutes) if config.minutes else 0.0)
            if progress > 1:
                break
            set_rates(optimiser, schedule(progress, config.warmup))
            batch = collate(items, pad, device)
            loss, parts = forward_loss(network, batch, config, set_weights(items, config, device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if step % config.ema_every == 0:
                update_average(average, network, min(config.ema, step / (step + 50)))
            record.steps, record.seconds = step, elapsed
            record.tokens += int(batch.mask.sum())
            note(record, bar, float(loss.detach()), parts)
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                checkpoint(work, network, optimiser, average, record)
                saved = time.monotonic()
        # 5 validation
        if len(record.validation) <= index and part:
            scores = quick_scores(network, validation, pad, device)
            record.validation.append({"step": record.steps, "seconds": record.seconds, **scores})
            LOG.info("after pass %d: %s", index + 1, json.dumps(scores))
            checkpoint(work, network, optimiser, average, record)
    bar.close()
    # 6 averaged weights and record
    with torch.no_grad():
        for name, value in trained(network):
            value.copy_(average[name])
    record.validation.append({"step": record.steps, "averaged": True, **quick_scores(network, validation, pad, device)})
    record.weights = str(work / "trained.safetensors")
    save_file({k: v.contiguous() for k, v in network.released_state().items()}, record.weights)
    write_record(work, record)
    return record


def load_data(config: TrainConfig) -> tuple[dict[str, list[Encoded]], dict[str, list[Encoded]], dict[str, Any]]:
    """Read, cut and encode every set of the config -> (training, validation, facts for the record)."""
    folder, digest = Path(config.data), hashlib.sha256()
    tokenizer = load_tokenizer(Path(config.encoder) / "tokenizer.json", config.max_tokens)
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


def plan(training: dict[str, list[Encoded]], config: TrainConfig, index: int) -> list[list[Encoded]]:
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


def trained(network: Network) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """The parameters that learn."""
    return ((name, value) for name, value in network.named_parameters() if value.requires_grad)


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at a share of the run: linear warm-up, then linear decay to zero."""
    return min(progress / warmup, (1.0 - progress) / (1.0 - warmup)) if 0 < warmup < 1 else 1.0 - progress


def set_rates(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Set every group's rate to a share of its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


def set_weights(items: list[Encoded], config: TrainConfig, device: str) -> torch.Tensor:
    """Per text: how much its set counts in the text's sentiment loss, [B]."""
    return torch.tensor([config.set_weights.get(item.example.set, 1.0) for item in items], device=device)


def forward_loss(
    network: Network, batch: Batch, config: TrainConfig, weights: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """The weighted loss a text of a batch, and each task's own part of it."""
    network.train()
    with autocast(batch.ids.device.type):
        logits = network(batch)
    target, smooth = batch.targets, config.smoothing
    logits = {name: value.float() for name, value in logits.items()}
    no_mentions = torch.zeros_like(target["entity_sentiment"], dtype=torch.bool)
    sums = {
        "sentiment": losses.sentiment_loss(
            logits["sentiment"], target["sentiment"], target["no_neutral"], config.neutral_weight, smooth, weights),
        "entity_sentiment": losses.sentiment_loss(
            logits["entity_sentiment"], target["entity_sentiment"], no_mentions, 0.0, smooth),
        "topics": losses.multilabel_loss(logits["topics"], target["topics"], target["topics_weight"]),
        "twitter20": losses.class_loss(logits["twitter20"], target["twitter20"], smooth),
        "finnl": losses.multilabel_loss(logits["finnl"], target["finnl"], target["finnl_weight"]),
        "finese": losses.class_loss(logits["finese"], target["finese"], smooth),
    }  # fmt: skip
    parts = {name: config.task_weights.get(name, 0.0) * value / len(batch.ids) for name, value in sums.items()}
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}


@torch.no_grad()
def update_average(average: dict[str, torch.Tensor], network: Network, decay: float) -> None:
    """Move the averaged weights towards the network's."""
    names = [name for name, _ in trained(network)]
    torch._foreach_lerp_([average[name] for name in names], [value for _, value in trained(network)], 1.0 - decay)


def note(record: RunRecord, bar: Any, loss: float, parts: dict[str, float]) -> None:
    """Progress bar, and every 25 steps a point of the curve."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss became {loss} at step {record.steps}: lower lr and start again")
    bar.update(1)
    if record.steps % 25 == 0:
        rounded = {name: round(part, 4) for name, part in parts.items()}
        record.curve.append({"step": record.steps, "loss": round(loss, 4), **rounded})
        bar.set_postfix(loss=f"{loss:.3f}", tokens_s=int(record.tokens / max(record.seconds, 1)))


def checkpoint(work: Path, network: Network, optimiser: torch.optim.Optimizer, average: dict[str, torch.Tensor],
               record: RunRecord) -> None:  # fmt: skip
    """Write a checkpoint beside the last one, then put it in its place."""
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average,
             "record": vars(record), "random": torch.get_rng_state()}  # fmt: skip
    torch.save(state, work / "checkpoint.part")
    (work / "checkpoint.part").replace(work / "checkpoint.pt")
    write_record(work, record)


def restore(work: Path, network: Network, optimiser: torch.optim.Optimizer, average: dict[str, torch.Tensor],
            record: RunRecord) -> None:  # fmt: skip
    """Take up the work folder's checkpoint, when there is one of the same config."""
    file = work / "checkpoint.pt"
    if not file.exists():
        return
    state = torch.load(file, weights_only=True)
    if state["record"]["config"] != record.config:
        raise ValueError(f"{file} is of another configuration; give another work folder, or remove it to start anew.")
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    average.update(state["average"])
    torch.set_rng_state(state["random"])
    vars(record).update(state["record"])
    LOG.info("going on from step %d", record.steps)


def machine_facts(device: str) -> dict[str, Any]:
    """What the run ran on, for the record."""
    return {"device": device, "threads": torch.get_num_threads(), "torch": str(torch.__version__),
            "bf16": not isinstance(autocast(device), nullcontext)}  # fmt: skip


def write_record(work: Path, record: RunRecord) -> None:
    """run.json beside the weights."""
    (work / "run.json").write_text(json.dumps(vars(record), ensure_ascii=False, indent=1), encoding="utf-8")


def main() -> None:
    """Command line of a run: a TOML file, and what of it differs here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/configs/release.toml"))
    for name in ("data", "encoder", "work", "licence"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--minutes", type=float)
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(load_config(given.pop("config"), **given))


if __name__ == "__main__":
    main()
