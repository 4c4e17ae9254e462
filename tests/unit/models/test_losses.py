"""The losses' conventions, and the plan of a run."""

import math
import random

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from models.batches import Encoded, fill, plan_pass  # noqa: E402
from models.data import Example  # noqa: E402
from models.loop import schedule  # noqa: E402
from models.losses import NONE, NOT_NEGATIVE, class_loss, multilabel_loss, sentiment_loss  # noqa: E402

LOGITS = torch.tensor([[1.0, 3.0, 0.0]])
P = torch.softmax(LOGITS, 1)[0].tolist()


def loss_of(target: int, no_neutral: bool = False, neutral_weight: float = 0.0) -> float:
    return float(
        sentiment_loss(LOGITS, torch.tensor([target]), torch.tensor([no_neutral]), neutral_weight, smoothing=0.0)
    )


def test_each_kind_of_target_has_its_own_loss() -> None:
    assert loss_of(NONE) == 0.0
    assert loss_of(0) == pytest.approx(-math.log(P[0]), rel=1e-5)
    assert loss_of(NOT_NEGATIVE) == pytest.approx(-math.log(P[1] + P[2]), rel=1e-5)


def test_a_set_without_neutral_compares_the_two_others_only() -> None:
    assert loss_of(0, no_neutral=True) == pytest.approx(-math.log(P[0] / (P[0] + P[2])), rel=1e-5)
    full = loss_of(0, no_neutral=True, neutral_weight=1.0)
    assert full == pytest.approx(-math.log(P[0]), rel=1e-5)  # weight 1 is the plain three-way loss


def test_masked_labels_and_foreign_rows_cost_nothing() -> None:
    logits = torch.tensor([[5.0, -5.0]])
    assert float(multilabel_loss(logits, torch.tensor([[0.0, 0.0]]), torch.zeros(1, 2))) == 0.0
    assert float(class_loss(logits, torch.tensor([NONE]), 0.0)) == 0.0


def test_batches_keep_every_text_within_the_budget() -> None:
    items = [Encoded(Example(str(n), "x", "fpb", "en"), [0] * (1 + n % 40), ()) for n in range(500)]
    batches = fill(items, 256, random.Random(1))
    assert sorted(item.example.id for batch in batches for item in batch) == sorted(i.example.id for i in items)
    assert all(len(batch) * max(len(item.ids) for item in batch) <= 256 for batch in batches)


def test_passes_together_repeat_each_set_as_often_as_told() -> None:
    items = [Encoded(Example(str(n), "x", "fpb", "en"), [0], ()) for n in range(10)]
    seen = [
        i.example.id for part in range(3) for i in plan_pass({"fpb": items}, {"fpb": 2.0}, (part, 3), random.Random(0))
    ]
    assert sorted(seen) == sorted([i.example.id for i in items] * 2)


def test_the_rate_rises_then_falls_to_zero() -> None:
    assert schedule(0.03, 0.06) == pytest.approx(0.5)
    assert schedule(0.06, 0.06) == pytest.approx(1.0)
    assert schedule(1.0, 0.06) == 0.0
