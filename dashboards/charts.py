"""Charts and movers: a key's counts beside what is usual for it. Sync, thread-safe; movers are kept for ten seconds."""

from collections.abc import Callable
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

from dashboards import series as s
from dashboards.deps import WebDeps
from dashboards.view import ALL, Json, Names, episode_view, from_epoch, iso
from pipeline.control.base import Episode
from pipeline.store.base import BIN_S

T = TypeVar("T")
MOVER_KINDS = ("entity", "topic", "watch")
MOVER_CANDIDATES = 25  # per kind, those with the most negatives
MAX_BINS = 2000


class Charts:
    """See each verb. Times are aware datetimes in, ISO strings out."""

    def __init__(self, deps: WebDeps, names: Names, now: Callable[[], datetime]) -> None:
        self.deps = deps
        self.names = names
        self.now = now
        self._cache: dict[tuple[object, ...], tuple[float, Any]] = {}
        self._lock = Lock()

    def series(self, key: str, start: datetime, end: datetime, step_s: int | None = None) -> Json:
        """Counts per step, the share of negatives in a window, and what is usual; columns as in docs/api.md.

        ValueError with a sentence when the span or the step cannot be served.
        """
        step = step_s or s.step_for((end - start).total_seconds())
        if step % BIN_S or step <= 0:
            raise ValueError(
                f"step must be a multiple of {BIN_S} seconds, not {step}. Try {max(BIN_S, step // BIN_S * BIN_S)}."
            )
        first = int(start.timestamp()) // step * step
        last = -(-int(end.timestamp()) // step) * step
        if last <= first:
            raise ValueError("end must lie after start.")
        if (last - first) // step > MAX_BINS:
            raise ValueError(
                f"That is {(last - first) // step} bins; at most {MAX_BINS} are served. Ask for a larger step."
            )
        store_key = None if key == ALL else key
        episodes = [] if key == ALL else self.deps.control.episodes(key=key, limit=200)
        history = self._history(store_key, first, last, episodes)
        window = max(step, -(-history.window() // step) * step)
        lead = window - step  # the first window reaches back before the first step
        bins = self.deps.store.bins(store_key, from_epoch(first - lead), from_epoch(last), step)
        wide = s.columns(bins, first - lead, last, step)
        out: Json = {name: values[lead // step :] for name, values in wide.items()}
        keep, width = len(out["t"]), window // step
        out["window_negative"] = s.trailing(wide["negative"], width, keep)
        out["window_total"] = s.trailing(wide["total"], width, keep)
        out["share"] = [
            round(k / n, 4) if n >= s.MIN_SHARE_TEXTS else None
            for k, n in zip(out["window_negative"], out["window_total"], strict=True)
        ]
        out.update(_usual(history, [t + step for t in out["t"]], window))
        shown = [e for e in episodes if e.alert.fired_at.timestamp() < last and self._end_of(e) > first]
        return {
            "key": key,
            "names": self.names.key(key),
            "start": iso(from_epoch(first)),
            "end": iso(from_epoch(last)),
            "step_s": step,
            "window_s": window,
            "min_texts": s.MIN_SHARE_TEXTS,
            "usual_method": s.USUAL_METHOD,
            "alerts": [episode_view(e, self.names) for e in shown],
            "columns": out,
        }

    def _history(self, key: str | None, first: int, last: int, episodes: list[Episode]) -> s.History:
        begin = first // s.HOUR * s.HOUR - (s.HISTORY_DAYS + 2) * s.DAY
        bins = self.deps.store.bins(key, from_epoch(begin), from_epoch(last), s.HOUR)
        return s.History(bins, last, [(int(e.alert.start.timestamp()), int(self._end_of(e))) for e in episodes])

    def _end_of(self, episode: Episode) -> float:
        """When an episode ended, as seen from the charts: still open counts as for ever."""
        return episode.alert.end.timestamp() if episode.alert.end else float(2**40)

    def movers(self, hours: float = 6, limit: int = 10) -> list[Json]:
        """Keys ranked by surprise: how far negatives, and their share, moved from usual in the last hours."""
        now = int(self.now().timestamp()) // BIN_S * BIN_S + BIN_S
        return self._cached(("movers", hours, now // 900), lambda: self._movers(now, hours))[:limit]

    def _movers(self, now: int, hours: float) -> list[Json]:
        start = now - int(hours * s.HOUR)
        begin = start // s.HOUR * s.HOUR - 14 * s.DAY  # two weeks are enough for a mean, and half the work
        keys = {
            c.key
            for kind in MOVER_KINDS
            for since in (start, start - s.DAY)  # also those that were loud and fell silent
            for c in self.deps.store.top_keys(kind, from_epoch(since), from_epoch(now), MOVER_CANDIDATES)
        }
        open_alerts = {e.alert.key: e for e in self.deps.control.episodes(limit=500) if e.status != "resolved"}
        rows = []
        for key in sorted(keys):
            episodes = self.deps.control.episodes(key=key, limit=50)
            exclude = [(int(e.alert.start.timestamp()), int(self._end_of(e))) for e in episodes]
            bins = self.deps.store.bins(key, from_epoch(begin), from_epoch(now), BIN_S)
            moved = s.move(bins, start, now, exclude)
            if moved is None:
                continue
            held = open_alerts.get(key)
            rows.append(
                {
                    "key": key,
                    "names": self.names.key(key),
                    **moved._asdict(),
                    "alert_id": held.alert.alert_id if held else None,
                }
            )
        rows.sort(key=lambda r: (-abs(r["score"]), r["key"]))
        return rows

    def _cached(self, key: tuple[object, ...], make: Callable[[], T], keep_s: float = 10.0) -> T:
        with self._lock:  # also keeps a second reader from doing the same work beside the first
            held = self._cache.get(key)
            if held is not None and monotonic() - held[0] < keep_s:
                return held[1]
            made = make()
            self._cache = {k: v for k, v in self._cache.items() if monotonic() - v[0] < keep_s}
            self._cache[key] = (monotonic(), made)
            return made


def _usual(history: s.History, ends: list[int], window: int) -> dict[str, list[float | None]]:
    """The band's columns, for windows that end at `ends`."""
    by_hour = {end // s.HOUR: history.usual(end, window) for end in ends}
    usual = [by_hour[end // s.HOUR] for end in ends]
    return {
        "usual_low": [round(u.negatives[0], 1) if u.negatives else None for u in usual],
        "usual_high": [round(u.negatives[1], 1) if u.negatives else None for u in usual],
        "usual_share_low": [round(u.share[0], 4) if u.share else None for u in usual],
        "usual_share_high": [round(u.share[1], 4) if u.share else None for u in usual],
    }
