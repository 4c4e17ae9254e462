"""The delivery fault suite on PostgreSQL: kill -9 between every two steps, racing processes."""

import pytest

from tests.connected.test_control_postgres import url
from tests.unit.deliver import faults
from tests.unit.deliver.killed import STEPS, receiver

pytestmark = pytest.mark.connected
__all__ = ["url"]  # the fixture


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_nothing_is_lost_and_only_the_window_doubles(url: str, step: str) -> None:
    with receiver() as server:
        faults.killed_once(url, server, step, nth=2, limit=1)


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_digest_it_is_sent_again_whole_under_its_id(url: str, step: str) -> None:
    with receiver() as server:
        faults.killed_in_a_digest(url, server, step)


def test_racing_processes(url: str) -> None:
    with receiver() as server:
        faults.racing(url, server)
