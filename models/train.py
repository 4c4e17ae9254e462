"""Train encoder and heads jointly on all sets. Reads top to bottom: `train` is the whole run.

    python -m models.train --config models/configs/release.toml --data ../shared/data --work build/train

Killed, it goes on from its last checkpoint when started again with the same arguments. The stages of `train`:
1 data, 2 network and optimiser, 3 plan, 4 steps, 5 validation after each pass, 6 the weights to keep, and the record.
The loop is models/loop.py, what is learnt models/joint.py, a run's state and checkpoints models/run.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from models.batches import Encoded, encode, fill, plan_pass, training_tokenizer, unknown_id
from models.board import open_board
from models.cut import check_classes
from models.data import drop_leaks, known_sets, read_set, source_of, split
from models.encoders import encoder_folder
from models.joint import JointTask
from models.loop import Step, in_steps, run_passes
from models.lora import merge_lora
from models.network import build_network
from models.optimiser import make_optimiser, prepare_encoder
from models.quick_scores import quick_scores
from models.readers import content
from models.registry import load_release
from models.run import Run, RunRecord, finish, machine_facts, now, restore, write_record
from models.runs import hold
from models.settings import TrainConfig, load_config
from pipeline.errors import WindvaneError

LOG = logging.getLogger(__name__)
WEIGHTS = "trained.safetensors"
Sets = dict[str, list[Encoded]]


def train(config: TrainConfig) -> RunRecord:
    """Run (or go on with) the training a config describes; leaves trained.safetensors and run.json in its work folder.

    WindvaneError, always a sentence, on what cannot be used: a set, the encoder, the weights to start from, a
    checkpoint of another configuration, too little memory, another process in the same folder.
    """
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    with hold(work):
        torch.manual_seed(config.seed)
        # 1 data
        encoder = encoder_folder(config.encoder, work)
        tokenizer = training_tokenizer(encoder, config.max_tokens)
        training, validation, facts = load_data(config, tokenizer)
        # 2 network and optimiser
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = build_network(encoder, config.dropout).to(device)
        if config.start:
            network.load_released(starting_weights(Path(config.start)))
        prepare_encoder(network.encoder, config, config.lora)
        # 3 plan
        passes = [plan(training, config, index) for index in range(config.passes)]
        planned = sum(len(part) for part in passes)
        record = RunRecord(config.as_dict(), facts, machine_facts(device), started=now(), planned=planned)
        run = Run(config, network, make_optimiser(network, config), record, work, device)
        restore(run)
        run.board = open_board(work, config.tensorboard, record.steps)
        write_record(run)
        task = JointTask(network, config, training, unknown_id(tokenizer) if config.token_dropout else network.pad)
        # 4 steps, and 5 validation after each pass
        run_passes(run, task, passes, lambda: note_scores(run, validation))
        # 6 the weights to keep, and the record
        run.take_kept()
        merge_lora(network.encoder)
        note_scores(run, validation)
        save_file({k: v.contiguous() for k, v in network.released_state().items()}, work / WEIGHTS)
        finish(run, work / WEIGHTS)
    return record


def starting_weights(source: Path) -> dict[str, torch.Tensor]:
    """Encoder and heads of an earlier run (its trained.safetensors) or of a release (its folder, checked)."""
    if source.is_dir():
        return {name: torch.tensor(value) for name, value in load_release(source).state.items()}
    if not source.is_file():
        raise WindvaneError(
            f"expected weights to start from at {source}, found none. Correct `start` in the configuration: "
            "an earlier run's trained.safetensors, or the folder of a release."
        )
    try:
        return load_file(source)
    except SafetensorError as error:
        raise WindvaneError(
            f"{source} should be a safetensors file, but it cannot be read ({error}). Correct `start` in the "
            "configuration: an earlier run's trained.safetensors, or the folder of a release."
        ) from error


def load_data(config: TrainConfig, tokenizer: Tokenizer) -> tuple[Sets, Sets, dict[str, Any]]:
    """Read, cut and encode every set of the config -> (training, validation, facts for the record)."""
    folder, digest = Path(config.data), hashlib.sha256()
    cuts, known = {}, known_sets(folder)
    for name in config.sets():
        cuts[name] = split(read_set(folder, name))
        for data in content(source_of(folder, known[name])):
            digest.update(data)
    held_out = [example for _, validation in cuts.values() for example in validation]
    training, validation, counts = {}, {}, {}
    for name, (kept, held) in cuts.items():
        clean = drop_leaks(kept, held_out)
        for told in check_classes(known[name], clean, held):
            LOG.warning("%s", told)
        training[name], validation[name] = encode(tokenizer, clean), encode(tokenizer, held)
        counts[name] = {"training": len(clean), "validation": len(held), "dropped_as_leaks": len(kept) - len(clean)}
    return training, validation, {"sha256": digest.hexdigest(), "rows": counts}


def plan(training: Sets, config: TrainConfig, index: int) -> list[Step]:
    """The steps of one pass: the same for the same config, so that a resumed run goes on exactly."""
    rng = random.Random(config.seed * 1000 + index)
    chosen = plan_pass(training, config.sets(), (index, config.passes), rng)
    return in_steps(fill(chosen, config.tokens, rng), config.accumulate)


def note_scores(run: Run, validation: Sets) -> float:
    """Scores on the validation cut of the weights the network has, noted in the record and on the board. Returns their
    mean."""
    scores = quick_scores(run.network, validation, run.network.pad, run.device)
    run.record.validation.append({"step": run.record.steps, "seconds": round(run.clock), **scores})
    run.board.scalars(run.record.steps, {f"validation/{name}": value for name, value in scores.items()})
    LOG.info("after step %d: %s", run.record.steps, json.dumps(scores))
    return sum(scores.values()) / max(1, len(scores))


def main() -> None:
    """Command line of a run: a TOML file, and what of it differs here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("models/configs/release.toml"))
    for name in ("data", "encoder", "work", "start", "licence"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int)
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(load_config(given.pop("config"), **given))


if __name__ == "__main__":
    main()
