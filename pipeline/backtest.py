"""What the rules would have sent over a stream, held against known events. Pure: opinions in, a result out.

An event's `match` names the watch that it is looked for on; times are the stream's own, days are UTC. An event has
fired when an alert of its watch fired, or grew worse, within its day or the two after it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.detect.config import DetectorConfig
from pipeline.detect.detector import Detector
from pipeline.detect.lens import NO_SECTORS, Sectors
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.errors import WindvaneError
from pipeline.keys import keys_of, split_key, watch_key
from pipeline.naming import Named, Names
from pipeline.records import Alert, Opinion

DAYS = 3  # an event's day and the two after it
COUNTED = ("entity", "watch")  # kinds of key that false episodes are counted on
BATCH = 512


class Event(msgspec.Struct, frozen=True):
    """Something known to have happened in a stream."""

    stream: str
    match: str
    date: date
    what: str
    kind: Literal["spike", "volume_trap", "spam_trap"]

    @property
    def key(self) -> str:
        return watch_key(self.match)

    @property
    def first(self) -> datetime:
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)

    def covers(self, bin_end: datetime) -> bool:
        """An alert at the end of a bin lies in the event's days when the bin does."""
        return self.first < bin_end <= self.first + timedelta(days=DAYS)


def read_events(path: Path, stream: str | None = None) -> list[Event]:
    """Events of a JSON file; only those of `stream` when it is given. Raises WindvaneError when it is no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        events = msgspec.convert(data, list[Event], strict=False)
    except OSError as e:
        raise WindvaneError(f"Events file {path}: cannot be read ({e.strerror}). Check the path of --events.") from e
    except (ValueError, msgspec.ValidationError) as e:
        raise WindvaneError(
            f'Events file {path}: expected a list of {{"stream", "match", "date", "what", "kind"}}; {e}. Correct it.'
        ) from e
    return [e for e in events if stream is None or e.stream == stream]


class _Seen:
    """What the backtest notes of the opinions that pass by."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.texts = 0
        self.first: dict[str, datetime] = {}  # counted key -> its first text
        self.last: datetime | None = None
        self.event_first: dict[Event, datetime] = {}
        self._spikes = [e for e in events if e.kind == "spike"]
        self._events = events
        self.negatives: Counter[tuple[Event, str, bool]] = Counter()  # (event, key, the event's watch matched too)

    def note(self, opinion: Opinion) -> None:
        self.texts += 1
        at = opinion.published_at
        self.last = at if self.last is None else max(self.last, at)
        near = [e for e in self._events if e.first <= at < e.first + timedelta(days=DAYS)]
        for event in near:
            if event.match in opinion.watches:
                self.event_first[event] = min(at, self.event_first.get(event, at))
        for key, feeling in keys_of(opinion):
            if split_key(key)[0] not in COUNTED:
                continue
            self.first[key] = min(at, self.first.get(key, at))
            if feeling.label == "negative" and not opinion.unsure:
                for event in near:
                    if event.kind == "spike":
                        self.negatives[event, key, event.match in opinion.watches] += 1

    def explained(self, fired: Alert) -> bool:
        """In a spike event's days, and most of the key's negatives there match the event's watch."""
        return any(
            e.covers(fired.fired_at) and self.negatives[e, fired.key, True] > self.negatives[e, fired.key, False]
            for e in self._spikes
        )

    def key_weeks(self) -> float:
        """Weeks from each counted key's first text to the end of the stream, summed."""
        if self.last is None:
            return 0.0
        return sum((self.last - first).total_seconds() for first in self.first.values()) / (7 * 86400)


def backtest(
    opinions: Iterable[Opinion],
    events: Sequence[Event],
    *,
    rules: Sequence[Rule] = DEFAULT_RULES,
    names: Names | Mapping[str, Named] | None = None,
    config: DetectorConfig | None = None,
    sectors: Sectors = NO_SECTORS,
) -> dict[str, Any]:
    """Run the detector over opinions in event-time order; the result is what `windvane backtest --json` prints.

    {"texts", "episodes": [{"key", "rule", "start", "fired_at", "end", "evidence"}],
    "events": [{"match", "date", "what", "kind", "fired", "fired_at", "delay_s"}], "false_episodes_per_key_week"}.
    False is a negative_spike episode of an entity or watch that no spike event explains.
    """
    detector = Detector(rules, config, names, sectors)
    seen = _Seen(events)
    alerts: list[Alert] = []
    for batch in _batches(opinions):
        for opinion in batch:
            seen.note(opinion)
        alerts += detector.observe(batch)
    if seen.last is not None:
        alerts += detector.advance(seen.last + timedelta(seconds=detector.config.lateness_s))
    fired = [a for a in alerts if a.event == "fired"]
    ends = {a.alert_id: a.end for a in alerts if a.end is not None}
    spike_rules = {r.id for r in rules if r.kind == "negative_spike"}
    false = [
        a for a in fired
        if a.rule in spike_rules and split_key(a.key)[0] in COUNTED and not seen.explained(a)
    ]  # fmt: skip
    weeks = seen.key_weeks()
    return {
        "texts": seen.texts,
        "episodes": [_episode(a, ends.get(a.alert_id)) for a in fired],
        "events": [_outcome(e, alerts, spike_rules, seen) for e in events],
        "false_episodes_per_key_week": len(false) / weeks if weeks else 0.0,
    }


def _batches(opinions: Iterable[Opinion]) -> Iterator[list[Opinion]]:
    batch: list[Opinion] = []
    for opinion in opinions:
        batch.append(opinion)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _episode(fired: Alert, end: datetime | None) -> dict[str, Any]:
    return {
        "key": fired.key,
        "rule": fired.rule,
        "start": msgspec.to_builtins(fired.start),
        "fired_at": msgspec.to_builtins(fired.fired_at),
        "end": msgspec.to_builtins(end),
        "evidence": msgspec.to_builtins(fired.evidence),
    }


def _outcome(event: Event, alerts: Iterable[Alert], rules: set[str], seen: _Seen) -> dict[str, Any]:
    told = [
        a.at if a.event == "worse" else a.fired_at
        for a in alerts
        if a.key == event.key and a.rule in rules and a.event in ("fired", "worse")
    ]
    at = min((t for t in told if event.covers(t)), default=None)
    first = seen.event_first.get(event)
    return {
        "match": event.match,
        "date": event.date.isoformat(),
        "what": event.what,
        "kind": event.kind,
        "fired": at is not None,
        "fired_at": msgspec.to_builtins(at),
        "delay_s": (at - first).total_seconds() if at is not None and first is not None else None,
    }
