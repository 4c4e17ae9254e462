"""Stage "index": opinions into the opinion store. What the store will never take comes out as dead letters."""

from collections.abc import Sequence

from pipeline.clock import Clock
from pipeline.records import Opinion, Record, Rejected, encode
from pipeline.store.base import OpinionStore


class Index:
    """A sink: its effect is the write. Writing again overwrites by id."""

    name = "index"

    def __init__(self, store: OpinionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, batch: Sequence[Opinion]) -> Sequence[Record]:
        refused = self._store.write(batch)
        if not refused:
            return []
        by_id = {o.opinion_id: o for o in batch}
        now = self._clock()
        return [
            Rejected(
                stage=self.name,
                topic="opinions",
                reason=r.reason,
                payload=encode(by_id[r.opinion_id]).decode(),
                rejected_at=now,
                key=by_id[r.opinion_id].story_id,  # as on the topic, so that sent again it goes where it was
            )
            for r in refused
        ]
