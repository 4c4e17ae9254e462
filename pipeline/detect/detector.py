"""Opinions in, alerts out: event-time bins, a watermark, and every rule on every key with news.

The order of work, for each bin that closes (numbered in `_close`): 1 note that the stream spoke; 2 learn the hours that
are final; 3 count the bin's texts; 4 judge the keys with news; 5 see to running episodes; 6 settle what is final.
Everything is a function of the closed bins in event-time order, so that batches, restarts, duplicates and any order of
arrival within the lateness give equal alerts. A gap in the stream closes nothing, learns nothing and resolves nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from pipeline.detect.baseline import Baselines
from pipeline.detect.bins import Heard, KeyBins, TextStore, heard
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DAY_S, DetectorConfig
from pipeline.detect.episodes import Episode, worse
from pipeline.detect.evidence import Held, build
from pipeline.detect.judge import Asked, Judge, Verdict
from pipeline.detect.rules import DEFAULT_RULES, KEY_KINDS, Rule
from pipeline.errors import WindvaneError
from pipeline.keys import entity_key, split_key
from pipeline.naming import KeyNames, Named, Names
from pipeline.records import Alert, AlertEventKind, Evidence, Opinion, stable_id

SNAPSHOT_VERSION = 2
_DAY_BINS = DAY_S // BIN_S
_SWEEP_BINS = 72
_KEEP_BINS = 2 * _DAY_BINS + BINS_PER_HOUR  # a day until final, a day of window before that, and a margin


class KeyState(msgspec.Struct):
    """What is kept per key besides its row of the baselines."""

    slot: int
    bins: KeyBins
    episodes: dict[str, Episode]  # by rule id
    late: list[int] = []  # end bins to judge once final, because late texts fell there


class Detector:
    """See the module. `late_dropped` counts texts older than a day on arrival: they are neither learned nor judged."""

    def __init__(
        self,
        rules: Sequence[Rule] = DEFAULT_RULES,
        config: DetectorConfig | None = None,
        names: Names | Mapping[str, Named] | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._c = config or DetectorConfig()
        self._names = names if callable(names) else KeyNames(names or {})
        self._baselines = Baselines(self._c)
        self._texts = TextStore()
        self._judge = Judge(self._c, self._baselines, lambda number: self._texts[number].voice)
        self._keys: dict[str, KeyState] = {}
        self._open: dict[int, list[int]] = {}  # bin -> numbers of texts that wait for it to close
        self._touched: set[str] = set()  # keys whose closed bins got late texts
        self._unsettled: set[str] = set()  # keys with a verdict to look at again once it is final
        self._running: set[str] = set()  # keys with a running episode
        self._began: int | None = None  # first bin of the stream
        self._watermark = 0.0
        self._swept = 0
        self.late_dropped = 0
        self.evaluated = 0

    # --- verbs

    def observe(self, opinions: Iterable[Opinion]) -> list[Alert]:
        """Take opinions in; the alerts of every bin that closed by them, in event-time order."""
        texts = [heard(o, self._c) for o in opinions]  # may raise: nothing has changed yet
        alerts: list[Alert] = []
        for text in texts:
            if text.id in self._texts:
                continue
            if self._watermark and text.at < self._watermark - self._c.allowed_late_s:
                self.late_dropped += 1
                continue
            number = self._texts.add(text)
            if (text.bin + 1) * BIN_S <= self._watermark:
                self._count_late(number, text)
            else:
                self._open.setdefault(text.bin, []).append(number)
            alerts += self._move(text.at - self._c.lateness_s)
        return alerts

    def advance(self, now: datetime) -> list[Alert]:
        """Close every bin that ended by `now`: for an idle live stream and at the end of a replay."""
        alerts = self._move(now.timestamp())
        return alerts + self._round(int(self._watermark // BIN_S), self._take_touched())

    @property
    def config(self) -> DetectorConfig:
        return self._c

    @property
    def watermark(self) -> datetime | None:
        """Event time up to which every bin is closed; None before the first text."""
        return datetime.fromtimestamp(self._watermark, UTC) if self._watermark else None

    def snapshot(self) -> bytes:
        """The whole state. `restore` of it goes on exactly as if nothing had happened."""
        state = {
            "version": SNAPSHOT_VERSION, "keys": self._keys, "open": self._open, "touched": sorted(self._touched),
            "unsettled": sorted(self._unsettled), "running": sorted(self._running),
            "began": self._began, "watermark": self._watermark, "swept": self._swept,
            "late_dropped": self.late_dropped, "evaluated": self.evaluated,
            "texts": self._texts.dump(), "baselines": self._baselines.dump(),
        }  # fmt: skip
        return msgspec.msgpack.encode(state)

    def restore(self, snapshot: bytes) -> None:
        """Take up a snapshot. Raises WindvaneError when it is not one of this version; nothing has changed then."""
        try:
            state = msgspec.msgpack.decode(snapshot)
            found = state.get("version")
        except (msgspec.DecodeError, AttributeError) as e:
            raise WindvaneError(
                f"The detector's snapshot cannot be read ({e}). Delete it: the state is rebuilt."
            ) from e
        if found != SNAPSHOT_VERSION:
            raise WindvaneError(
                f"The detector's snapshot has version {found}; this Windvane reads {SNAPSHOT_VERSION}. "
                "Delete it: the state is rebuilt from the stored opinions."
            )
        self._keys = msgspec.convert(state["keys"], dict[str, KeyState])
        self._texts.load(msgspec.convert(state["texts"], tuple[int, list[tuple[int, Heard]]]))
        self._baselines.load(state["baselines"])
        self._open, self._touched = state["open"], set(state["touched"])
        self._unsettled, self._running = set(state["unsettled"]), set(state["running"])
        self._began, self._watermark, self._swept = state["began"], state["watermark"], state["swept"]
        self.late_dropped, self.evaluated = state["late_dropped"], state["evaluated"]

    # --- time

    def _move(self, watermark: float) -> list[Alert]:
        if watermark <= self._watermark:
            return []
        self._watermark = watermark
        alerts: list[Alert] = []
        for bin_ in sorted(b for b in self._open if (b + 1) * BIN_S <= watermark):
            alerts += self._close(bin_, self._open.pop(bin_))
        return alerts

    def _close(self, bin_: int, numbers: list[int]) -> list[Alert]:
        self._enter(bin_)  # 1, 2
        touched = self._take_touched()
        for number in sorted(numbers, key=lambda n: (self._texts[n].at, self._texts[n].id)):  # 3
            text = self._texts[number]
            self._count(number, text)
            touched.update(key for key, _ in text.keys)
        alerts = self._round(bin_ + 1, touched)
        self._sweep(bin_)
        return alerts

    def _round(self, end: int, touched: set[str]) -> list[Alert]:
        if not touched:
            return self._settle(end)
        return self._judge_keys(end, touched) + self._tend(end) + self._settle(end)  # 4, 5, 6

    def _enter(self, bin_: int) -> None:
        """The stream speaks in this bin."""
        if self._began is None:
            self._began = bin_
        self._baselines.stream.hear(bin_ // BINS_PER_HOUR)
        self._baselines.learn((bin_ + 1 - self._c.allowed_late_s // BIN_S) // BINS_PER_HOUR)
        self._baselines.open_hour(bin_ // BINS_PER_HOUR)

    # --- counting

    def _count(self, number: int, text: Heard) -> None:
        self._baselines.stream.count(text.bin, text.voice, text.negative)
        for key, negative in text.keys:
            state = self._keys.get(key)
            if state is None:
                slot = self._baselines.add_key(split_key(key)[0], text.bin // BINS_PER_HOUR)
                state = self._keys[key] = KeyState(slot, KeyBins(), {})
            if state.bins.add(number, text, negative):
                self._baselines.count(state.slot, text.bin // BINS_PER_HOUR, negative)

    def _count_late(self, number: int, text: Heard) -> None:
        """A text for a bin that is closed: judged with the next bin, and once more when its bin is final."""
        self._enter(text.bin)
        self._count(number, text)
        for key, _ in text.keys:
            state = self._keys[key]
            self._touched.add(key)
            self._unsettled.add(key)
            if text.bin + 1 not in state.late:
                state.late.append(text.bin + 1)
            for episode in state.episodes.values():
                if episode.alert_id and episode.fired - episode.window_h * BINS_PER_HOUR <= text.bin < episode.fired:
                    episode.recheck = True

    def _take_touched(self) -> set[str]:
        touched, self._touched = self._touched, set()
        return touched

    # --- judging

    def _asked(self, state: KeyState, since: int, end: int) -> Asked:
        began = self._began or 0
        young = end - self._baselines.born(state.slot) * BINS_PER_HOUR < self._c.warmup_h * BINS_PER_HOUR
        old_stream = end - began >= self._c.warmup_h * BINS_PER_HOUR
        factor = (self._c.new_key_factor if young else 1.0) if old_stream else float("inf")
        voices = self._c.voices_needed(self._baselines.stream.panel(end))
        return Asked(state.bins, state.slot, end, since, factor, voices)

    def _judge_keys(self, end: int, keys: Iterable[str]) -> list[Alert]:
        alerts = []
        for key in sorted(keys, key=_key_order):
            state = self._keys.get(key)
            if state is None:
                continue
            for rule in self._rules:
                if rule.scope.holds(key):
                    alerts += self._evaluate(rule, key, state, end)
        return alerts

    def _evaluate(self, rule: Rule, key: str, state: KeyState, end: int) -> list[Alert]:
        self.evaluated += 1
        episode = state.episodes.get(rule.id) or Episode()
        since = episode.since if episode.active else episode.ended
        verdict = self._judge.verdict(rule, self._asked(state, since, end))
        if verdict is None:
            return []
        if not episode.active:
            if self._explained(rule, key) or not episode.may_fire(verdict.severity, end, rule.cooldown_s // BIN_S):
                return []
            state.episodes[rule.id] = episode
            return [self._fire(rule, key, state, verdict, at=end)]
        episode.heat(0)
        held = episode.evidence
        if worse(verdict.severity, episode.severity):
            episode.severity, episode.evidence = verdict.severity, self._evidence(key, state, verdict, since)
            episode.seq += 1
            return [self._event("worse", rule, key, episode, end)]
        if held is None or verdict.negatives >= 1.25 * held.negatives:
            episode.evidence = self._evidence(key, state, verdict, since)  # the resolve shows the strongest moment
        return []

    def _explained(self, rule: Rule, key: str) -> bool:
        """An entity's running episode already tells of the same within one of its topics."""
        kind, value = split_key(key)
        if kind != "entity_topic":
            return False
        entity = self._keys.get(entity_key(value.partition("|")[0]))
        return entity is not None and rule.id in entity.episodes and entity.episodes[rule.id].active

    def _fire(self, rule: Rule, key: str, state: KeyState, verdict: Verdict, at: int) -> Alert:
        episode = state.episodes[rule.id]
        episode.since = episode.ended
        evidence = self._evidence(key, state, verdict, episode.since)
        start = int(evidence.rise_began_at.timestamp()) // BIN_S
        alert_id = stable_id(rule.id, key, str(start))
        episode.fire(alert_id, evidence, verdict.severity, (start, verdict.end, verdict.window_h))
        episode.checked_hour = (at - 1) // BINS_PER_HOUR
        self._baselines.unlearn(state.slot, start // BINS_PER_HOUR, episode.checked_hour)
        self._running.add(key)
        return self._event("fired", rule, key, episode, at)

    def _evidence(self, key: str, state: KeyState, verdict: Verdict, since: int) -> Evidence:
        bins = state.bins.window(max(verdict.first, since), verdict.end)
        before = state.bins.window(max(verdict.end - _DAY_BINS, since), verdict.end)
        return build(verdict, Held(key, bins, before, self._texts.__getitem__), self._names)

    def _event(self, event: AlertEventKind, rule: Rule, key: str, episode: Episode, at: int) -> Alert:
        assert episode.evidence is not None
        return Alert(
            alert_id=episode.alert_id, seq=episode.seq, event=event, rule=rule.id, rule_version=rule.version, key=key,
            severity=episode.severity, start=_time(episode.start), fired_at=_time(episode.fired), at=_time(at),
            end=_time(at) if event in ("resolved", "corrected") else None, evidence=episode.evidence,
        )  # fmt: skip

    # --- running episodes

    def _tend(self, end: int) -> list[Alert]:
        """Once per hour in which the stream spoke: does each running episode go on?"""
        alerts: list[Alert] = []
        hour = (end - 1) // BINS_PER_HOUR
        for key in sorted(self._running, key=_key_order):
            state = self._keys[key]
            for rule in self._rules:
                episode = state.episodes.get(rule.id)
                if episode is None or not episode.active or hour <= episode.checked_hour:
                    continue
                if hour - episode.start // BINS_PER_HOUR < self._c.episode_unlearned_h:
                    self._baselines.unlearn(state.slot, episode.checked_hour + 1, hour)
                if not self._judge.quiet(rule, self._asked(state, episode.since, end), episode.window_h):
                    episode.heat(hour)
                elif episode.cool(hour, self._c.exit_heard_h):
                    episode.end(end)
                    alerts.append(self._event("resolved", rule, key, episode, end))
            self._note(key, state)
        return alerts

    def _settle(self, end: int) -> list[Alert]:
        """Final verdicts: late texts may take back what fired, or make fire what had not."""
        alerts: list[Alert] = []
        for key in sorted(self._unsettled, key=_key_order):
            state = self._keys[key]
            due = sorted(e for e in state.late if end - e >= _DAY_BINS)
            state.late = [e for e in state.late if end - e < _DAY_BINS]
            for rule in self._rules:
                if rule.scope.holds(key):
                    alerts += self._settle_rule(rule, key, state, (end, due))
            self._note(key, state)
            if not state.late and not any(e.recheck for e in state.episodes.values()):
                self._unsettled.discard(key)
        return alerts

    def _settle_rule(self, rule: Rule, key: str, state: KeyState, when: tuple[int, list[int]]) -> list[Alert]:
        end, due = when
        alerts: list[Alert] = []
        episode = state.episodes.get(rule.id) or Episode()
        if episode.recheck and end - episode.fired >= _DAY_BINS:
            episode.recheck = False
            if self._judge.verdict(rule, self._asked(state, episode.since, episode.fired)) is None:
                episode.end(end)
                alerts.append(self._event("corrected", rule, key, episode, end))
        for e in due:
            if episode.active or e <= episode.ended:
                continue
            verdict = self._judge.verdict(rule, self._asked(state, episode.ended, e))
            if verdict and episode.may_fire(verdict.severity, e, rule.cooldown_s // BIN_S):
                state.episodes[rule.id] = episode
                alerts.append(self._fire(rule, key, state, verdict, at=end))
        return alerts

    def _note(self, key: str, state: KeyState) -> None:
        """Keep the set of keys with a running episode."""
        if any(e.active for e in state.episodes.values()):
            self._running.add(key)
        else:
            self._running.discard(key)

    # --- forgetting

    def _sweep(self, bin_: int) -> None:
        """Every few hours: forget texts that no verdict can ask for, and keys that have long been silent."""
        if bin_ - self._swept < _SWEEP_BINS:
            return
        self._swept = bin_
        keep = bin_ - _KEEP_BINS
        self._texts.forget(keep * BIN_S)
        oldest_hour = bin_ // BINS_PER_HOUR - self._c.retire_days * 24
        for key, state in list(self._keys.items()):
            state.bins.forget(keep)
            if state.bins.bins or key in self._running or key in self._unsettled:
                continue
            if self._baselines.idle_since(state.slot) < oldest_hour:
                self._baselines.retire(state.slot)
                del self._keys[key]


def _key_order(key: str) -> tuple[int, str]:
    """Entities before the topics within them, so that an entity's alert can explain theirs."""
    kind, value = split_key(key)
    return KEY_KINDS.index(kind), value


def _time(bin_: int) -> datetime:
    return datetime.fromtimestamp(bin_ * BIN_S, UTC)
