"""A head fitted once more: better on what it is given, near what it was, and only where the product does not answer."""

import pytest
import torch

from models.refit import refit, refit_heads
from pipeline.errors import WindvaneError


def crowd(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes around three corners of a square, [n, 4], and which is which."""
    generator = torch.Generator().manual_seed(5)
    gold = torch.arange(n) % 3
    corners = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return corners[gold] + torch.randn(n, 4, generator=generator), gold


def test_a_head_that_lags_behind_is_better_afterwards_and_a_strong_pull_holds_it() -> None:
    texts, gold = crowd()
    head = torch.eye(4)[[1, 0, 2]] * 0.5, torch.zeros(3)  # two classes exchanged

    def right(weight: torch.Tensor, bias: torch.Tensor) -> float:
        return float(((texts @ weight.T + bias).argmax(1) == gold).float().mean())

    free, held = refit(texts, gold, head, pull=0.01), refit(texts, gold, head, pull=1000.0)
    assert right(*head) < 0.5
    assert right(*free) > 0.85
    assert (held[0] - head[0]).abs().max() < 0.01 < (free[0] - head[0]).abs().max()
    assert head[0].equal(torch.eye(4)[[1, 0, 2]] * 0.5), "what was given is not changed"


@pytest.mark.parametrize("name", ["sentiment", "topics", "finnl", "nothing"])
def test_heads_that_the_product_answers_with_are_left_alone(tmp_path, name) -> None:
    with pytest.raises(WindvaneError, match=f"single labels of sets' own, found {name}"):
        refit_heads(tmp_path, [name])
