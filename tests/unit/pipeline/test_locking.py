"""A folder has one holder: the second one gets the sentence, and may hold it once the first has gone."""

import pytest

from pipeline.errors import WindvaneError
from pipeline.locking import held_alone


def test_a_second_holder_is_refused_in_words_until_the_first_has_gone(tmp_path):
    lock = tmp_path / "x.lock"
    with held_alone(lock, "taken."), pytest.raises(WindvaneError, match="taken"), held_alone(lock, "taken."):
        pass
    with held_alone(lock, "taken."):
        pass


def test_a_holder_that_fails_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), held_alone(tmp_path / "x.lock", "taken."):
        raise ZeroDivisionError
    with held_alone(tmp_path / "x.lock", "taken."):
        pass
