"""Fit a set's own head once more on the finished encoder's vectors, pulled towards what it was.

    python -m models.refit --work runs/windvane-zh-en-3 --heads finese twitter20

Joint training ends with averaged weights and with few rounds for some sets: their heads lag behind the encoder. Only
heads that the product does not answer with may be fitted; the encoder and all other heads stay as they are. The pull is
one number for all heads. trained.safetensors is written anew and run.json says what was done (`refitted`).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.batches import Encoded, encode, shortest_first, training_tokenizer
from models.data import drop_leaks, read_set, split
from models.encoders import encoder_folder
from models.network import Network, autocast, build_network
from models.registry import HEADS
from models.settings import TrainConfig
from models.taxonomy import MULTILABEL_SETS, OWN_LABELS
from models.train import WEIGHTS
from pipeline.errors import WindvaneError

LOG = logging.getLogger(__name__)
PULL = 0.03  # of the squared distance a label; .003 to .1 scored alike on finese
MOST_TOKENS = 256  # as texts are read in use
ROUNDS = 60  # of L-BFGS


@torch.no_grad()
def vectors(network: Network, items: Sequence[Encoded], device: str) -> Tensor:
    """The mean over each text's tokens, [N, H] float32, as the heads on whole texts are given it."""
    network.eval()
    batches, place = shortest_first(items, network.pad, device)
    parts = []
    for batch in batches:
        with autocast(device):
            parts.append(network.read(batch)[1].cpu())
    return torch.cat(parts)[place]


def refit(texts: Tensor, gold: Tensor, head: tuple[Tensor, Tensor], pull: float = PULL) -> tuple[Tensor, Tensor]:
    """Weight [L, H] and bias [L] that minimise cross-entropy on texts [N, H] with classes [N], plus `pull` times the
    squared distance of the weight from the given one, a label."""
    first = head[0].clone()
    weight, bias = head[0].clone().requires_grad_(), head[1].clone().requires_grad_()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(texts @ weight.T + bias, gold) + pull * (weight - first).square().sum() / len(first)
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def refit_heads(work: Path, names: Sequence[str], pull: float = PULL) -> dict[str, Any]:
    """Fit the named heads of a finished run; {head: accuracy on the validation cut before and after}, also noted in
    run.json. WindvaneError for a name that is no single-label head of a set."""
    if wrong := sorted(set(names) - (set(OWN_LABELS) - set(MULTILABEL_SETS))):
        raise WindvaneError(f"expected heads of single labels of sets' own, found {', '.join(wrong)}.")
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    config = TrainConfig(**run["config"])
    folder = encoder_folder(config.encoder, work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build_network(folder, config.dropout).to(device)
    state = load_file(work / WEIGHTS)
    network.load_released(state)
    tokenizer = training_tokenizer(folder, MOST_TOKENS)
    for name in names:
        kept, held = split(read_set(Path(config.data), name))
        (texts, gold), (asked, right) = (
            _vectors_and_gold(network, encode(tokenizer, part), name, device) for part in (drop_leaks(kept, held), held)
        )
        before = state[f"{HEADS}{name}.weight"], state[f"{HEADS}{name}.bias"]
        after = refit(texts, gold, before, pull)
        state[f"{HEADS}{name}.weight"], state[f"{HEADS}{name}.bias"] = after
        scores = [round(float(((asked @ w.T + b).argmax(1) == right).float().mean()), 4) for w, b in (before, after)]
        run.setdefault("refitted", {})[name] = {"pull": pull, "before": scores[0], "after": scores[1]}
        LOG.info("%s: %.4f, refitted %.4f", name, *scores)
    save_file({k: v.contiguous() for k, v in state.items()}, work / WEIGHTS)
    (work / "run.json").write_text(json.dumps(run, ensure_ascii=False, indent=1), encoding="utf-8")
    return dict(run["refitted"])


def _vectors_and_gold(network: Network, items: list[Encoded], name: str, device: str) -> tuple[Tensor, Tensor]:
    gold = torch.tensor([OWN_LABELS[name].index(item.example.own[0]) for item in items])
    return vectors(network, items, device), gold


def main() -> None:
    """Command line: a finished run's folder and the heads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--heads", nargs="+", required=True)
    parser.add_argument("--pull", type=float, default=PULL)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    refit_heads(given.work, given.heads, given.pull)


if __name__ == "__main__":
    main()
