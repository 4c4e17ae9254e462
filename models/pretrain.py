"""Continued pretraining: an encoder reads unlabelled finance text and learns to guess hidden words in it.

    windvane pretrain models/configs/pretrain.toml

Gururangan et al. 2020, "Don't Stop Pretraining", call it domain-adaptive. Texts of any set's validation cut are left
out, and so are near-copies of them. The result is an encoder folder (config.json, model.safetensors, tokenizer.json)
to name as `encoder` in a configuration of `windvane train`. The stages of `pretrain`: 1 texts, 2 model, 3 plan,
4 steps, 5 guesses on texts held out, 6 the encoder's folder. Killed, it goes on as train.py does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batches import fill, training_tokenizer
from models.board import open_board
from models.data import DataError, Example, drop_leaks, read_set, sets_there, split, text_key
from models.encoders import encoder_folder, load_encoder_model
from models.loop import Step, in_steps, run_passes
from models.masking import NOTHING, Masked, Words, hide, in_words, mask_id
from models.network import autocast
from models.optimiser import make_optimiser, prepare_encoder
from models.run import Run, RunRecord, finish, machine_facts, now, restore, write_record
from models.runs import hold
from models.settings import PretrainConfig

LOG = logging.getLogger(__name__)
LONGEST = 4000  # characters; what lies behind is cut
HELD_OUT = 500  # texts of the validation cut whose hidden words are guessed after each pass


class Guesser(nn.Module):
    """An encoder and, on top, what guesses hidden tokens: a transform that starts at random, then the encoder's own
    word vectors as output weights (tied, Press & Wolf 2017), since a cut encoder has lost its first guessing head."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder: Any = encoder
        table = encoder.get_input_embeddings().weight
        hidden, width = int(encoder.config.hidden_size), int(table.shape[1])
        self.transform = nn.Sequential(nn.Linear(hidden, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(len(table)))

    @property
    def pad(self) -> int:
        """The token id of padding."""
        return int(self.encoder.config.pad_token_id or 0)

    def forward(self, batch: Masked) -> Tensor:
        """Logits of the hidden tokens only, [hidden, vocabulary], in the order of the batch's rows."""
        states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        guessed = self.transform(states[batch.target != NOTHING])
        return F.linear(guessed, self.encoder.get_input_embeddings().weight, self.bias)


class GuessingTask:
    """Task of models/loop.py: guess what is hidden. Which words are hidden is drawn anew for every batch, from torch's
    own generator, whose state a checkpoint keeps."""

    def __init__(self, network: Guesser, mask: int, share: float, device: str) -> None:
        self._network, self.mask, self.share, self._device = network, mask, share, device

    def batch(self, items: list[Words]) -> tuple[Masked, int]:
        """The items with words hidden, and how many real tokens they hold."""
        batch = hide(items, self._network.pad, self.mask, self.share, torch.default_generator)
        return self.moved(batch), sum(len(item.ids) for item in items)

    def moved(self, batch: Masked) -> Masked:
        """The batch on the run's device."""
        return Masked(batch.ids.to(self._device), batch.mask.to(self._device), batch.target.to(self._device))

    def loss(self, batch: Masked) -> tuple[Tensor, dict[str, float]]:
        """Mean cross-entropy of the hidden tokens."""
        with autocast(self._device):
            logits = self._network(batch).float()
        loss = F.cross_entropy(logits, batch.target[batch.target != NOTHING])
        return loss, {"guess": loss.item()}


def pretrain(config: PretrainConfig) -> RunRecord:
    """Run (or go on with) the pretraining a config describes; leaves the folder encoder/ and run.json in its work
    folder. WindvaneError, always a sentence, on what cannot be used."""
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    with hold(work):
        torch.manual_seed(config.seed)
        # 1 texts
        source = encoder_folder(config.encoder, work / "base")
        tokenizer = training_tokenizer(source, config.max_tokens)
        texts, held_out, facts = load_texts(config)
        training, validation = in_words(tokenizer, texts), in_words(tokenizer, held_out)
        # 2 model
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = Guesser(load_encoder_model(source)).to(device)
        prepare_encoder(network.encoder, config)
        # 3 plan
        passes = plan(training, config)
        planned = sum(len(part) for part in passes)
        record = RunRecord(config.as_dict(), facts, machine_facts(device), "pretrain", now(), planned=planned)
        run = Run(config, network, make_optimiser(network, config), record, work, device)
        restore(run)
        run.board = open_board(work, config.tensorboard, record.steps)
        write_record(run)
        task = GuessingTask(network, mask_id(tokenizer), config.mask, device)
        # 4 steps, and 5 guesses on texts held out after each pass
        run_passes(run, task, passes, lambda: note_scores(run, task, validation))
        # 6 the encoder's folder
        run.take_kept()
        note_scores(run, task, validation)
        network.encoder.save_pretrained(work / "encoder")
        shutil.copyfile(source / "tokenizer.json", work / "encoder" / "tokenizer.json")
        finish(run, work / "encoder")
    return record


def load_texts(config: PretrainConfig) -> tuple[list[str], list[str], dict[str, Any]]:
    """(texts to learn from, texts held out, facts for the record). No story twice; nothing to learn from is in, or
    nearly repeats what is in, the validation cut of these texts or of any labelled set in the data folder.

    DataError when a pattern finds no file or a row has no text.
    """
    digest, seen = hashlib.sha256(), set()
    found: list[Example] = []
    for file in files_of(config):
        digest.update(file.read_bytes())
        rows = list(texts_in(file))
        share = min(1.0, config.most / len(rows)) if config.most and rows else 1.0
        for at, text in enumerate(rows):
            taken = int((at + 1) * share) > int(at * share)  # spread evenly over a stream in order of time
            if taken and (key := text_key(text)) not in seen:
                seen.add(key)
                found.append(Example(f"{file.stem}-{at}", text, "unlabelled", ""))
    kept, held_out = split(found)
    clean = drop_leaks(kept, held_out + labelled_validation(Path(config.data)))
    if not clean or not held_out:
        raise DataError(f"expected texts to learn from and some to hold out, found {len(clean)} and {len(held_out)}. "
                        "Add files to `texts`.")  # fmt: skip
    random.Random(config.seed).shuffle(held_out)
    counts = {"texts": len(clean), "held_out": len(held_out), "dropped_as_leaks": len(kept) - len(clean)}
    texts = [example.text for example in clean], [example.text for example in held_out[:HELD_OUT]]
    return *texts, {"sha256": digest.hexdigest(), "rows": counts}


def labelled_validation(folder: Path) -> list[Example]:
    """The validation cut of every labelled set that the data folder has."""
    return [example for name in sets_there(folder) for example in split(read_set(folder, name))[1]]


def files_of(config: PretrainConfig) -> list[Path]:
    """The files that `texts` names, each once."""
    found: dict[Path, None] = {}
    for pattern in config.texts:
        files = sorted(Path(config.data).glob(pattern))
        if not files:
            raise DataError(f"expected JSON Lines files at {Path(config.data) / pattern}, found none. "
                            "Correct `texts` in the configuration, or give the data folder with --data.")  # fmt: skip
        found |= dict.fromkeys(file for file in files if file.is_file())
    return list(found)


def texts_in(file: Path) -> Iterator[str]:
    """The texts of a JSON Lines file; empty ones are left out. DataError names the line that is not a row."""
    with file.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, start=1):  # noqa: B007 (named in the error)
                text = json.loads(line)["text"].strip()
                if text_key(text):
                    yield text[:LONGEST]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f'{file}, line {number}: expected a JSON object with a string "text" '
                f"({type(error).__name__}: {error}). Correct or remove the line."
            ) from error


def plan(training: Sequence[Words], config: PretrainConfig) -> list[list[Step]]:
    """The steps of each pass: `rounds` over all texts, shuffled, in batches of similar length."""
    rng = random.Random(config.seed)
    chosen: list[Words] = []
    for turn in range(int(config.rounds) + 1):
        order = list(training)
        rng.shuffle(order)
        chosen += order[: round(min(1.0, config.rounds - turn) * len(order))]
    steps = in_steps(fill(chosen, config.tokens, rng), config.accumulate)
    edges = [len(steps) * part // config.passes for part in range(config.passes + 1)]
    return [steps[a:b] for a, b in pairwise(edges)]


@torch.inference_mode()
def note_scores(run: Run, task: GuessingTask, texts: Sequence[Words]) -> float:
    """Share of hidden tokens guessed right in texts held out (always the same ones are hidden), and the mean loss:
    noted in the record and on the board. Returns the share."""
    run.network.eval()
    generator = torch.Generator().manual_seed(0)
    right, lost, hidden = 0, 0.0, 0
    for items in fill(texts, run.config.tokens, random.Random(0)):
        batch = task.moved(hide(items, run.network.pad, task.mask, task.share, generator))
        with autocast(run.device):
            logits = run.network(batch).float()
        target = batch.target[batch.target != NOTHING]
        right += int((logits.argmax(1) == target).sum())
        lost += float(F.cross_entropy(logits, target, reduction="sum"))
        hidden += len(target)
    scores = {"guessed": round(right / max(1, hidden), 4), "guess_loss": round(lost / max(1, hidden), 4)}
    run.record.validation.append({"step": run.record.steps, "seconds": round(run.clock), **scores})
    run.board.scalars(run.record.steps, {f"validation/{name}": value for name, value in scores.items()})
    LOG.info("after step %d: %s", run.record.steps, json.dumps(scores))
    return scores["guessed"]
