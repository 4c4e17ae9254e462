"""run_batch: one bad record costs itself only; order is kept; Retry passes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Reject, Retry
from pipeline.stage import run_batch


def stage_that_hates(poison: set[int]):
    def stage(batch):
        for x in batch:
            if x in poison:
                raise Reject(f"{x} is poison")
        return list(batch)

    return stage


@given(st.lists(st.integers(0, 20), max_size=60), st.sets(st.integers(0, 20)))
def test_good_records_come_out_in_order_and_each_bad_one_is_named(batch, poison):
    result = run_batch(stage_that_hates(poison), batch)
    assert result.outputs == [x for x in batch if x not in poison]
    assert result.rejected == [(i, f"{x} is poison") for i, x in enumerate(batch) if x in poison]


def test_any_exception_is_laid_at_a_records_door():
    result = run_batch(lambda batch: [1 // x for x in batch], [1, 0, 1])
    assert result.outputs == [1, 1]
    assert result.rejected == [(1, "ZeroDivisionError: integer division or modulo by zero")]


def test_an_outage_is_no_ones_fault():
    def down(batch):
        raise Retry("the store is down", after=3)

    with pytest.raises(Retry) as e:
        run_batch(down, [1, 2])
    assert e.value.after == 3


def test_one_poison_in_many_is_found_in_few_runs():
    runs = []

    def stage(batch):
        runs.append(len(batch))
        if 77 in batch:
            raise Reject("no")
        return list(batch)

    run_batch(stage, list(range(1024)))
    assert len(runs) <= 2 * 10 + 1  # bisection, not one by one
