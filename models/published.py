"""What others publish on the sets Windvane is judged on, for the comparison table.

Their splits, label merges and metrics differ from ours, so a figure here is an order of size, not an opponent on equal
terms: most cut at random, which leaves copies of a story on both sides, where our cut keeps them together.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Published(NamedTuple):
    """One figure: who, which metric, its value, and where it is stated."""

    set: str
    model: str
    metric: str
    value: float
    source: str
    differs: str  # what keeps it from being compared to the last point


_FINGPT: Final = "README of AI4Finance-Foundation/FinGPT"
PUBLISHED: Final[tuple[Published, ...]] = (
    Published("fpb", "ProsusAI finBERT, 110 M", "macro_f1", 0.84, "arXiv 1908.10063", "their random split"),
    Published("fpb", "FinGPT v3.2, LoRA on Llama 2 7B", "weighted F1", 0.850, _FINGPT, "their split; weighted F1"),
    Published("fpb", "MPT 7B, LoRA", "weighted F1", 0.872, _FINGPT, "their split; weighted F1"),
    Published("twitter", "FinGPT v3.2, LoRA on Llama 2 7B", "weighted F1", 0.894, _FINGPT, "the set's validation part"),
    Published("twitter", "MPT 7B, LoRA", "accuracy", 0.907, _FINGPT, "the set's validation part"),
    Published("twitter", "finbert-tone, fine-tuned, 110 M", "accuracy", 0.884,
              "model card of nickmuchi/finbert-tone-finetuned-fintwitter-classification", "the set's validation part"),
    Published("sentfin", "RoBERTa and finBERT, fine-tuned", "accuracy", 0.943, "arXiv 2305.12257",
              "sentiment of each entity, not of the headline; random split"),
    Published("finfe", "fine-tuned models 10 to 100 times as large", "accuracy", 0.79,
              "goals of this project (design/models.md); not looked up again",
              "the set disagrees with itself on 17 % of repeated texts"),
    Published("wwwxmu", "熵简 FinBERT 1.0", "F1", 0.895, "README of valuesimplex/FinBERT",
              "another set: four classes, about 700 test texts of their own"),
    Published("twitter20", "finbert-tone, fine-tuned, 110 M", "accuracy", 0.911,
              "model card of nickmuchi/finbert-tone-finetuned-finance-topic-classification",
              "the set's validation part"),
)  # fmt: skip


def published_for(name: str) -> list[Published]:
    """What others publish on a set, as listed above; [] when nothing is known."""
    return [figure for figure in PUBLISHED if figure.set == name]


def published_cell(name: str) -> str:
    """The best of them in few words, for a cell of a table; "" when nothing is known."""
    found = max(published_for(name), key=lambda figure: figure.value, default=None)
    return "" if found is None else f"{found.value:.3f} {found.metric} ({found.model.split(',')[0]})"
