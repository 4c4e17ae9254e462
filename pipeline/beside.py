"""Something that runs on a thread of its own for as long as a block of code does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(run: Callable[[threading.Event], None], name: str, join_s: float) -> Iterator[threading.Thread]:
    """`run` is given an event that is set when the block ends; it then has `join_s` seconds to come to an end."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), name=name, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(timeout=join_s)
