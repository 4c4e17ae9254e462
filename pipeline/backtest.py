"""What the rules would have sent over a stream, held against known events. Pure: opinions in, a result out.

An event's `match` names the watch that it is looked for on; times are the stream's own, days are UTC. An event has
fired when an alert of its watch fired, or grew worse, within its day or the two after it. Beside Windvane two common
rules (reference_rules.py) are judged alike, on the negatives of the same opinions.
"""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from pipeline.detect.bins import heard
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DetectorConfig
from pipeline.detect.detector import Detector
from pipeline.detect.lens import NO_SECTORS, Sectors
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.errors import WindvaneError
from pipeline.keys import split_key, watch_key
from pipeline.naming import Named, Names
from pipeline.records import Alert, Opinion
from pipeline.reference_rules import ON_NEGATIVES

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


class Alarm(NamedTuple):
    """A rule spoke about a key: the first time (`began`), or again because it grew worse."""

    key: str
    at: datetime  # the end of a bin
    began: bool = True


class _Seen:
    """What the backtest notes of the opinions that pass by. Negative is what the detector counts as negative."""

    def __init__(self, events: Sequence[Event], config: DetectorConfig) -> None:
        self.texts = 0
        self.first: dict[str, datetime] = {}  # counted key -> its first text
        self.last: datetime | None = None
        self.event_first: dict[Event, datetime] = {}
        self._config = config
        self._spikes = [e for e in events if e.kind == "spike"]
        self._events = events
        self.negatives: Counter[tuple[Event, str, bool]] = Counter()  # (event, key, the event's watch matched too)
        self._bins: defaultdict[str, Counter[int]] = defaultdict(Counter)  # counted key -> bin -> negatives, copies too
        self._ids: set[str] = set()

    def note(self, opinion: Opinion) -> None:
        self.texts += 1
        text = heard(opinion, self._config)
        if text.id in self._ids:
            return
        self._ids.add(text.id)
        at = opinion.published_at
        self.last = at if self.last is None else max(self.last, at)
        near = [e for e in self._events if e.first <= at < e.first + timedelta(days=DAYS)]
        for event in near:
            if event.match in opinion.watches:
                self.event_first[event] = min(at, self.event_first.get(event, at))
        for key, negative in text.keys:
            if split_key(key)[0] not in COUNTED:
                continue
            self.first[key] = min(at, self.first.get(key, at))
            if negative:
                self._bins[key][text.bin] += 1
                for event in near:
                    if event.kind == "spike":
                        self.negatives[event, key, event.match in opinion.watches] += 1

    def explained(self, alarm: Alarm) -> bool:
        """In a spike event's days, and most of the key's negatives there match the event's watch."""
        return any(
            e.covers(alarm.at) and self.negatives[e, alarm.key, True] > self.negatives[e, alarm.key, False]
            for e in self._spikes
        )

    def key_weeks(self) -> float:
        """Weeks from each counted key's first text to the end of the stream, summed."""
        if self.last is None:
            return 0.0
        return sum((self.last - first).total_seconds() for first in self.first.values()) / (7 * 86400)

    def alarms(self) -> dict[str, list[Alarm]]:
        """What each reference rule says of every counted key, none in the key's first two days, as Windvane."""
        out: dict[str, list[Alarm]] = {name: [] for name in ON_NEGATIVES}
        if self.last is None:
            return out
        end = int(self.last.timestamp() // BIN_S) + 1
        warmup = self._config.warmup_h * BINS_PER_HOUR
        for key, bins in self._bins.items():
            first = int(self.first[key].timestamp() // BIN_S)
            counts = np.zeros(end - first, int)
            for bin_, n in bins.items():
                counts[bin_ - first] = n
            for name, rule in ON_NEGATIVES.items():
                out[name] += [
                    Alarm(key, datetime.fromtimestamp((first + b + 1) * BIN_S, UTC))
                    for b in rule(counts)
                    if b >= warmup
                ]
        return out

    def outcome(self, event: Event, alarms: Iterable[Alarm]) -> dict[str, Any]:
        """Was the event told, and how long after the first text of its watch in its days?"""
        at = min((a.at for a in alarms if a.key == event.key and event.covers(a.at)), default=None)
        first = self.event_first.get(event)
        return {
            "match": event.match,
            "date": event.date.isoformat(),
            "what": event.what,
            "kind": event.kind,
            "fired": at is not None,
            "fired_at": msgspec.to_builtins(at),
            "delay_s": (at - first).total_seconds() if at is not None and first is not None else None,
        }

    def score(self, alarms: Sequence[Alarm]) -> dict[str, Any]:
        """One detector's figures: events and traps, each with its outcome, and what no event explains."""
        events = [self.outcome(e, alarms) for e in self._events]
        spikes = [e for e in events if e["kind"] == "spike"]
        traps = [e for e in events if e["kind"] != "spike"]
        delays = [e["delay_s"] for e in spikes if e["delay_s"] is not None]
        weeks = self.key_weeks()
        false = sum(a.began and not self.explained(a) for a in alarms)
        return {
            "found": sum(e["fired"] for e in spikes),
            "to_find": len(spikes),
            "median_delay_s": statistics.median(delays) if delays else None,
            "traps_fired": sum(e["fired"] for e in traps),
            "traps": len(traps),
            "false_episodes_per_key_week": false / weeks if weeks else 0.0,
            "events": events,
        }


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
    "events": [{"match", "date", "what", "kind", "fired", "fired_at", "delay_s"}], "false_episodes_per_key_week",
    "detectors": {"windvane" | a reference rule: {"found", "to_find", "median_delay_s", "traps_fired", "traps",
    "false_episodes_per_key_week", "events"}}}. `events` and the false episodes beside `episodes` are Windvane's.
    False is a negative_spike episode of an entity or watch that no spike event explains.
    """
    detector = Detector(rules, config, names, sectors)
    seen = _Seen(events, detector.config)
    alerts: list[Alert] = []
    for batch in _batches(opinions):
        for opinion in batch:
            seen.note(opinion)
        alerts += detector.observe(batch)
    if seen.last is not None:
        alerts += detector.advance(seen.last + timedelta(seconds=detector.config.lateness_s))
    ends = {a.alert_id: a.end for a in alerts if a.end is not None}
    detectors = {"windvane": seen.score(_told(alerts, rules))}
    detectors |= {name: seen.score(alarms) for name, alarms in seen.alarms().items()}
    own = detectors["windvane"]
    return {
        "texts": seen.texts,
        "episodes": [_episode(a, ends.get(a.alert_id)) for a in alerts if a.event == "fired"],
        "events": own["events"],
        "false_episodes_per_key_week": own["false_episodes_per_key_week"],
        "detectors": detectors,
    }


def _told(alerts: Iterable[Alert], rules: Iterable[Rule]) -> list[Alarm]:
    """What the rules of kind negative_spike said of the counted keys."""
    spikes = {r.id for r in rules if r.kind == "negative_spike"}
    return [
        Alarm(a.key, a.fired_at if a.event == "fired" else a.at, began=a.event == "fired")
        for a in alerts
        if a.rule in spikes and a.event in ("fired", "worse") and split_key(a.key)[0] in COUNTED
    ]


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
