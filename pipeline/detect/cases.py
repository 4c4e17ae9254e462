"""Every rule of a lane on every key with news: what fires, what grows worse, what ends, what late texts take back."""

from collections.abc import Iterable, Sequence

from pipeline.detect import plain, silence
from pipeline.detect.book import DAY_BINS, Book, KeyState, key_order, time_of
from pipeline.detect.config import BIN_S, BINS_PER_HOUR
from pipeline.detect.episodes import Episode, worse
from pipeline.detect.evidence import Held, build
from pipeline.detect.judge import Asked, Judge, Verdict
from pipeline.detect.peaks import Past, days_known
from pipeline.detect.rules import Rule
from pipeline.keys import entity_key, split_key
from pipeline.naming import Names
from pipeline.records import Alert, AlertEventKind, Evidence, stable_id


class Cases:
    """`rules` may be replaced between bins (`use`): running episodes go on under the version they began with."""

    def __init__(self, rules: Sequence[Rule], book: Book, names: Names) -> None:
        self.rules = tuple(rules)
        self.evaluated = 0
        self._book = book
        self._names = names
        self._judge = Judge(book.config, book.baselines, lambda number: book.texts[number].voice)

    # --- verbs

    def judge_keys(self, end: int, keys: Iterable[str]) -> list[Alert]:
        """The rules on the keys that have news in the bins before `end`."""
        alerts = []
        for key in sorted(keys, key=key_order):
            state = self._book.keys.get(key)
            if state is None:
                continue
            if self._book.config.keep_peaks:
                state.peaks.note(state.bins, end, self._book.config)
            for rule in self.rules:
                if rule.kind != "silence" and rule.scope.holds(key):
                    alerts += self._evaluate(rule, key, state, end)
        return alerts

    def listen(self, end: int) -> list[Alert]:
        """Once per hour in which the stream spoke: which keys are silent that never are?"""
        hour = (end - 1) // BINS_PER_HOUR
        rules = [r for r in self.rules if r.kind == "silence"]
        if not rules or hour <= self._book.listened:
            return []
        self._book.listened = hour
        alerts = []
        for key in sorted(self._book.keys, key=key_order):
            state = self._book.keys[key]
            for rule in rules:
                usual = self._book.baselines.per_hour(state.slot) * max(rule.windows)
                if usual * 4 >= rule.least and rule.scope.holds(key):  # no season makes more than four times of it
                    alerts += self._evaluate(rule, key, state, hour * BINS_PER_HOUR)
        return alerts

    def tend(self, end: int) -> list[Alert]:
        """Once per hour in which the stream spoke: does each running episode go on?"""
        alerts: list[Alert] = []
        hour = (end - 1) // BINS_PER_HOUR
        for key in sorted(self._book.running, key=key_order):
            state = self._book.keys[key]
            for rule in self.rules:
                episode = state.episodes.get(rule.id)
                if episode is None or not episode.active or hour <= episode.checked_hour:
                    continue
                if hour - episode.start // BINS_PER_HOUR < self._book.config.episode_unlearned_h:
                    self._unlearn(rule, state, episode.checked_hour + 1, hour)
                if not self._over(rule, self._asked(rule, state, episode, end), episode.window_h):
                    episode.heat(hour)
                elif episode.cool(hour, self._book.config.exit_heard_h):
                    episode.end(end)
                    alerts.append(self._event("resolved", rule.id, key, episode, end))
            self._book.note(key, state)
        return alerts

    def settle(self, end: int) -> list[Alert]:
        """Final verdicts: late texts may take back what fired, or make fire what had not."""
        alerts: list[Alert] = []
        for key in sorted(self._book.unsettled, key=key_order):
            state = self._book.keys[key]
            due = sorted(e for e in state.late if end - e >= DAY_BINS)
            state.late = [e for e in state.late if end - e < DAY_BINS]
            for rule in self.rules:
                if rule.scope.holds(key):
                    alerts += self._settle_rule(rule, key, state, (end, due))
            self._book.note(key, state)
            if not state.late and not any(e.recheck for e in state.episodes.values()):
                self._book.unsettled.discard(key)
        return alerts

    def use(self, rules: Sequence[Rule], end: int) -> list[Alert]:
        """Other rules from now on. An episode whose rule is gone, or no longer watches the key, ends (`resolved`)."""
        self.rules = tuple(rules)
        watching = {r.id: r for r in rules}
        alerts: list[Alert] = []
        for key in sorted(self._book.running, key=key_order):
            state = self._book.keys[key]
            for rule_id, episode in sorted(state.episodes.items()):
                rule = watching.get(rule_id)
                if episode.active and (rule is None or not rule.scope.holds(key)):
                    episode.end(end)
                    alerts.append(self._event("resolved", rule_id, key, episode, end))
            self._book.note(key, state)
        return alerts

    # --- one rule on one key

    def _asked(self, rule: Rule, state: KeyState, episode: Episode, end: int) -> Asked:
        c, baselines = self._book.config, self._book.baselines
        began = self._book.began or 0
        young = end - baselines.born(state.slot) * BINS_PER_HOUR < c.warmup_h * BINS_PER_HOUR
        known = end - began >= c.warmup_h * BINS_PER_HOUR
        if rule.defaults.counted == "negatives" and self._book.held(end):
            known = False
        factor = (c.new_key_factor if young else 1.0) if known else float("inf")
        voices = c.voices_needed(baselines.stream.panel(end))
        since = episode.since if episode.active else episode.ended
        before = max(episode.start + 1, end - c.episode_unlearned_h * BINS_PER_HOUR) if episode.active else end
        past = Past(state.peaks, before, days_known(began, before, c))
        return Asked(state.bins, state.slot, end, since, factor, voices, episode.active, past)

    def _verdict(self, rule: Rule, asked: Asked) -> Verdict | None:
        match rule.kind:
            case "message":
                return plain.message(self._judge, rule, asked)
            case "static":
                return plain.static(self._judge, rule, asked)
            case "silence":
                return silence.verdict(self._judge, rule, asked)
        return self._judge.verdict(rule, asked)

    def _over(self, rule: Rule, asked: Asked, longest_h: int) -> bool:
        if rule.kind in ("message", "static", "volume_surge"):  # what follows a surge is long and uneven, and no news
            return self._verdict(rule, asked) is None
        if rule.kind == "silence":
            return silence.over(asked)
        return self._judge.quiet(rule, asked, longest_h)

    def _evaluate(self, rule: Rule, key: str, state: KeyState, end: int) -> list[Alert]:
        self.evaluated += 1
        episode = state.episodes.get(rule.id) or Episode()
        verdict = self._verdict(rule, self._asked(rule, state, episode, end))
        if verdict is None:
            return []
        if rule.kind == "volume_surge":
            state.episodes[rule.id] = episode  # it remembers when the rule last held
        may_fire = self._may_fire(rule, episode, verdict, end)
        if not episode.active:
            if self._explained(rule, key) or not may_fire:
                return []
            state.episodes[rule.id] = episode
            return [self._fire(rule, key, state, verdict, at=end)]
        episode.heat(0)
        held = episode.evidence
        if worse(verdict.severity, episode.severity):
            episode.severity = verdict.severity
            episode.evidence = self._evidence(rule, key, state, verdict, episode.since)
            episode.seq += 1
            return [self._event("worse", rule.id, key, episode, end)]
        if held is None or verdict.negatives >= 1.25 * (held.total if held.counted == "texts" else held.negatives):
            # the resolve shows the strongest moment
            episode.evidence = self._evidence(rule, key, state, verdict, episode.since)
        return []

    def _may_fire(self, rule: Rule, episode: Episode, verdict: Verdict, end: int) -> bool:
        cooldown = rule.cooldown_s // BIN_S
        if rule.kind == "volume_surge":
            return episode.rearmed(end, cooldown)
        return episode.may_fire(verdict.severity, end, cooldown)

    def _explained(self, rule: Rule, key: str) -> bool:
        """An entity's running episode already tells of the same within one of its topics."""
        kind, value = split_key(key)
        if kind != "entity_topic":
            return False
        entity = self._book.keys.get(entity_key(value.partition("|")[0]))
        return entity is not None and rule.id in entity.episodes and entity.episodes[rule.id].active

    def _fire(self, rule: Rule, key: str, state: KeyState, verdict: Verdict, at: int) -> Alert:
        episode = state.episodes[rule.id]
        episode.since, episode.rule_version = episode.ended, rule.version
        evidence = self._evidence(rule, key, state, verdict, episode.since)
        start = int(evidence.rise_began_at.timestamp()) // BIN_S
        alert_id = stable_id(rule.id, key, str(start))
        episode.fire(alert_id, evidence, verdict.severity, (start, verdict.end, verdict.window_h))
        episode.checked_hour = (at - 1) // BINS_PER_HOUR
        self._unlearn(rule, state, start // BINS_PER_HOUR, episode.checked_hour)
        self._book.running.add(key)
        return self._event("fired", rule.id, key, episode, at)

    def _unlearn(self, rule: Rule, state: KeyState, first: int, last: int) -> None:
        """These hours say nothing of what is usual. Surges do: volume is made of them, and clipped they are learned."""
        if rule.kind != "volume_surge":
            self._book.baselines.unlearn(state.slot, first, last)

    def _evidence(self, rule: Rule, key: str, state: KeyState, verdict: Verdict, since: int) -> Evidence:
        bins = state.bins.window(max(verdict.first, since), verdict.end)
        before = state.bins.window(max(verdict.end - DAY_BINS, since), verdict.end)
        return build(rule, verdict, Held(key, bins, before, self._book.texts.__getitem__), self._names)

    def _event(self, event: AlertEventKind, rule_id: str, key: str, episode: Episode, at: int) -> Alert:
        assert episode.evidence is not None
        rule = next((r for r in self.rules if r.id == rule_id), None)
        severity = rule.told(episode.severity) if rule else episode.severity
        return Alert(
            alert_id=episode.alert_id, seq=episode.seq, event=event, rule=rule_id, rule_version=episode.rule_version,
            key=key, severity=severity, start=time_of(episode.start), fired_at=time_of(episode.fired), at=time_of(at),
            end=time_of(at) if event in ("resolved", "corrected") else None, evidence=episode.evidence,
        )  # fmt: skip

    def _settle_rule(self, rule: Rule, key: str, state: KeyState, when: tuple[int, list[int]]) -> list[Alert]:
        end, due = when
        alerts: list[Alert] = []
        episode = state.episodes.get(rule.id) or Episode()
        if episode.recheck and end - episode.fired >= DAY_BINS:
            episode.recheck = False
            then = Episode(ended=episode.since)  # as it stood when it fired
            if self._verdict(rule, self._asked(rule, state, then, episode.fired)) is None:
                episode.end(end)
                alerts.append(self._event("corrected", rule.id, key, episode, end))
        for e in due:
            if episode.active or e <= episode.ended:
                continue
            verdict = self._verdict(rule, self._asked(rule, state, episode, e))
            if verdict and self._may_fire(rule, episode, verdict, e):
                state.episodes[rule.id] = episode
                alerts.append(self._fire(rule, key, state, verdict, at=end))
        return alerts
