"""A folder held by one process: the kernel lets go when the process ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import WindvaneError


@contextmanager
def held_alone(lock_file: Path, refusal: str) -> Iterator[None]:
    """Hold the file, made when missing, for the length of the block. WindvaneError with the sentence `refusal` when
    another process holds it; nothing is waited for."""
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise WindvaneError(refusal) from e
        yield
