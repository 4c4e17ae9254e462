"""The detector's benchmark runs and measures something; what it made faster is what it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detect.stream import cell_of, cells_of
from tests.benchmarks.detector import KINDS, opinions, report


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_run(kind: str) -> None:
    found = report(list(opinions(companies=20, per_day=150, days=3)), 1, kind)
    assert found["rule"] == kind
    assert found["judged_per_s"] > found["whole_per_s"] > 0
    assert found["stream"]["texts"] == 450 and found["stream"]["keys"] > 100
    assert 0 < found["stored_bytes_per_key"] < found["memory_bytes_per_key"]


@given(st.integers(0, 10**6), st.integers(0, 25))
def test_cells_of_a_span(first: int, more: int) -> None:
    assert list(cells_of(first, first + more)) == [cell_of(h) for h in range(first, first + more + 1)]
