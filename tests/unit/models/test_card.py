"""The card says what its manifest says, and nothing of other models."""

from typing import Any

import pytest

from models.card import render_card

FPB = {"set": "fpb", "licence": "CC BY-NC-SA 3.0 (no commercial use)"}
MIT = {"set": "twitter", "licence": "MIT (dataset card)"}
OWN = {"set": "desk", "licence": "our own"}


def card(*trained_on: dict[str, Any], metrics: dict[str, Any] | None = None) -> str:
    sets = [{"title": "a title", "origin": "somewhere", "rounds": 1.0} | entry for entry in trained_on]
    return render_card({
        "name": "tiny", "version": "tiny+0", "pooling": "mean", "heads": {}, "trained_on": sets, "training": {},
        "metrics": metrics or {}, "encoder": {"model_type": "bert"}, "languages": ["en"],
        "calibration": {"temperatures": {}, "thresholds": {}, "floor": {}, "slopes": {}},
    })  # fmt: skip


@pytest.mark.parametrize("bound, others", [((FPB,), ("desk",)), ((OWN,), ("fpb", "CC BY")), ((FPB, OWN), ())])
def test_the_terms_are_those_of_the_sets_trained_on(bound: tuple[dict[str, Any], ...], others: tuple[str, ...]) -> None:
    found = card(MIT, *bound)
    use = found.split("## Who may use it")[1].split("\n## ")[0]
    assert [line for line in use.splitlines() if line.startswith("- ")] == [
        f"- {entry['set']}: {entry['licence']}" for entry in bound
    ]  # fmt: skip
    assert not [word for word in (*others, "PhraseBank") if word in found]


def test_a_model_of_free_sets_is_free() -> None:
    assert "MIT terms only" in card(MIT)
    assert "Who may use it" not in card()


def test_a_set_that_no_head_answers_has_no_scores_per_class() -> None:
    report = {"language": "en", "notes": ["the set has no label that the model answers"]}
    found = card(MIT, metrics={"sets": {"desk": report}, "table": "", "baseline": {}, "quantisation": {}})
    assert "## Scores per class" in found
