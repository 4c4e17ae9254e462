"""The delivery fault suite on SQLite; tests/connected/test_delivery_faults.py runs it on PostgreSQL."""

import pytest

from tests.unit.deliver import faults
from tests.unit.deliver.killed import STEPS, receiver


@pytest.mark.parametrize(("limit", "nth"), [(1, 1), (1, 4), (4, 2)])
@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_nothing_is_lost_and_only_the_window_doubles(tmp_path, step, nth, limit):
    with receiver() as server:
        faults.killed_once(str(tmp_path / "w.sqlite3"), server, step, nth, limit)


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_digest_it_is_sent_again_whole_under_its_id(tmp_path, step):
    with receiver() as server:
        faults.killed_in_a_digest(str(tmp_path / "w.sqlite3"), server, step)


def test_racing_processes(tmp_path):
    with receiver() as server:
        faults.racing(str(tmp_path / "w.sqlite3"), server)
