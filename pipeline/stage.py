"""The stage contract: a callable over a batch; and `run_batch`: one bad record never costs its neighbours."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from pipeline.errors import Reject, Retry
from pipeline.records import Record


class Stage(Protocol):
    """Records in, records out. May raise Retry (an outage: same batch again) or Reject (a record is poison).

    A stage that keeps state between batches must not change it before it can no longer raise, so that
    bisecting or retrying a batch sees the state as it was.
    """

    name: str

    def __call__(self, batch: Sequence[Any]) -> Sequence[Record]: ...


class BatchResult(NamedTuple):
    """What a batch came to. `rejected` holds (index in the batch, reason), in order."""

    outputs: list[Record]
    rejected: list[tuple[int, str]]


def run_batch(stage: Callable[[Sequence[Any]], Sequence[Record]], batch: Sequence[Any]) -> BatchResult:
    """Run a batch; on failure bisect, so that a bad record costs itself only. Retry passes through untouched.

    Any exception but Retry is laid at a record's door in the end: at one record it becomes a rejection with
    the exception's text as the reason.
    """
    result = BatchResult([], [])
    _bisect(stage, batch, 0, result)
    return result


def _bisect(
    stage: Callable[[Sequence[Any]], Sequence[Record]], batch: Sequence[Any], at: int, into: BatchResult
) -> None:
    if not batch:
        return
    try:
        into.outputs.extend(stage(batch))
        return
    except Retry:
        raise
    except Exception as e:
        if len(batch) == 1:
            reason = e.reason if isinstance(e, Reject) else f"{type(e).__name__}: {e}"
            into.rejected.append((at, reason))
            return
    middle = len(batch) // 2
    _bisect(stage, batch[:middle], at, into)
    _bisect(stage, batch[middle:], at + middle, into)
