"""The detector's goals on the simulator: a small run always, the whole one as a benchmark."""

import pytest

from tests.benchmarks.simulator import run


def test_a_small_run_finds_bursts_and_stays_calm() -> None:
    scores = run(volumes=(50,), keys=2, days=28)["50"]
    assert scores["windvane"]["volume_only_fired"] == 0
    assert scores["windvane"]["false_per_key_week"] <= 0.25  # one alarm in four key-weeks
    assert set(scores) == {"windvane", "elastalert_spike_x3_10", "ewma_z4"}


@pytest.mark.slow
def test_goals() -> None:
    scores = run(volumes=(50, 300), keys=12) | run(volumes=(2000,), keys=3)  # the benchmark has more of the last
    for volume in scores.values():
        assert volume["windvane"]["false_per_key_week"] <= 0.05
        # the goal is .02; of the 24 bursts here one is .04 (240 bursts at 50 texts a day: .02, see decision 5)
        assert volume["windvane"]["volume_only_fired"] <= 0.042
    for volume in ("300", "2000"):
        assert scores[volume]["windvane"]["detected"] >= 0.95
