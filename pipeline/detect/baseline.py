"""What is usual: level, season, dispersion and share of every key, learned from final hours. Method: research A4.

One row of numpy arrays per key, all updated together once per hour of event time (40 array operations, however many).
Learned hours are at least `allowed_late_s` old, so late texts are in them; hours inside an episode are left out.

    mu_h  = a/b * s[cell(h)]             level (decayed Gamma-Poisson) times season
    s[c]  = (C[c] + kappa*m0*p[c]) / ((E[c] + kappa)*m0)     shrunk to the stream's own profile p of all texts
    k~    = min(k, mu + 4 sqrt(mu*phi) + 1);   a <- a*d + k~;   b <- b*d + s
    phi_W <- phi_W + (min((K-M)^2/max(M, floor), 16 phi_W) - phi_W)/min(n, memory)
"""

from typing import Any, NamedTuple

import numpy as np

from pipeline.detect.config import BINS_PER_HOUR, CELLS, WINDOWS_H, DetectorConfig
from pipeline.detect.rules import KEY_KINDS
from pipeline.detect.stream import RING_H, Stream, cell_of, cells_of

RHO_MAX = 0.5  # a share that moves more than this is none
_WATCH = KEY_KINDS.index("watch")  # users' watches are too few and too unlike each other to pool

_ROWS: dict[str, tuple[tuple[int, ...], str, float]] = {  # name -> (shape per key, dtype, fresh value)
    "kind": ((), "int8", -1),  # index in KEY_KINDS; -1: a free row
    "born": ((), "int32", 0),  # hour of the first text
    "last": ((), "int32", 0),  # hour of the last text
    "level_a": ((), "float64", 0),
    "level_b": ((), "float64", 0),
    "share_a": ((), "float64", 0),  # decayed negatives
    "share_b": ((), "float64", 0),  # decayed others
    "cell_k": ((CELLS,), "float32", 0),  # C
    "cell_h": ((CELLS,), "float32", 0),  # E, hours
    "sum_k": ((), "float64", 0),
    "sum_h": ((), "float64", 0),
    "phi": ((len(WINDOWS_H),), "float64", 0),
    "rho_sum": ((len(WINDOWS_H),), "float64", 0),  # decayed excess of the share's variance, in pairs of texts
    "rho_pairs": ((len(WINDOWS_H),), "float64", 0),
    "learned": ((), "float64", 0),  # hours of evidence for phi
    "negatives": ((RING_H,), "int32", 0),
    "totals": ((RING_H,), "int32", 0),
    "unlearned": ((RING_H,), "bool", 0),
    "means": ((RING_H,), "float32", 0),  # mu as it was expected before the hour was learned
}


class Usual(NamedTuple):
    """What a window of a key usually holds: mean and dispersion of its negatives, Beta(a, b) of their share."""

    mean: float
    phi: float
    share_a: float
    share_b: float

    @property
    def share(self) -> float:
        return self.share_a / (self.share_a + self.share_b)


class Baselines:
    """Rows by slot. `hour` arguments are hours since the epoch; they only grow."""

    def __init__(self, config: DetectorConfig) -> None:
        self._c = config
        self._decay = 0.5 ** (1.0 / config.half_life_h)
        self._n = 0  # rows in use or freed below this
        self._free: list[int] = []
        self._rows = {name: np.zeros((16, *shape), dtype) for name, (shape, dtype, _) in _ROWS.items()}
        self._rows["kind"][:] = -1
        self._hour: int | None = None  # newest hour that the rings hold
        self._next: int | None = None  # next hour to learn
        self.stream = Stream(config)
        self._rates: dict[int, list[float]] = {}
        kinds = len(KEY_KINDS)
        self._pool_k = np.full(kinds, config.share_start * config.share_start_weight)
        self._pool_rest = np.full(kinds, (1 - config.share_start) * config.share_start_weight)
        self._pool_level = np.full(kinds, config.pool_level * config.pool_level_weight_h)
        self._pool_hours = np.full(kinds, config.pool_level_weight_h)

    # --- rows

    def add_key(self, kind: str, hour: int) -> int:
        """A fresh row with the prior of its pool."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._n
            self._n += 1
            if slot >= len(self._rows["kind"]):
                self._rows = {k: np.concatenate([v, np.zeros_like(v)]) for k, v in self._rows.items()}
                self._rows["kind"][slot:] = -1
        for name, rows in self._rows.items():
            rows[slot] = _ROWS[name][2]
        self._rates.pop(slot, None)
        k = KEY_KINDS.index(kind)
        c, r = self._c, self._rows
        r["kind"][slot], r["born"][slot], r["last"][slot] = k, hour, hour
        pooled = self._pool_level[k] / self._pool_hours[k]
        r["level_a"][slot] = c.prior_level_weight
        r["level_b"][slot] = min(c.prior_level_weight / pooled, c.prior_level_h)
        r["phi"][slot] = c.phi_start
        r["learned"][slot] = c.phi_prior_h
        return slot

    def retire(self, slot: int) -> None:
        self._rows["kind"][slot] = -1
        self._free.append(slot)

    def idle_since(self, slot: int) -> int:
        """Hour of the key's last text."""
        return int(self._rows["last"][slot])

    def per_hour(self, slot: int) -> float:
        """What an hour of the key holds, the season left out."""
        return float(self._rows["level_a"][slot] / self._rows["level_b"][slot])

    def weaken(self, keep: float) -> None:
        """What was learned so far weighs only this part of itself: a new model judges otherwise."""
        for name in ("level_a", "level_b", "share_a", "share_b"):
            self._rows[name] *= keep
        self._pool_k, self._pool_rest = self._pool_k * keep, self._pool_rest * keep
        self._pool_level, self._pool_hours = self._pool_level * keep, self._pool_hours * keep
        self._rates.clear()

    def born(self, slot: int) -> int:
        return int(self._rows["born"][slot])

    # --- counting

    def open_hour(self, hour: int) -> None:
        """Make room in the rings up to `hour`. Comes before `count`."""
        if self._hour is None:
            self._hour = hour
        for h in range(max(self._hour + 1, hour - RING_H + 1), hour + 1):
            at = h % RING_H
            for name in ("negatives", "totals", "unlearned", "means"):
                self._rows[name][: self._n, at] = 0
            self.stream.open(h)
        self._hour = max(self._hour, hour)

    def count(self, slot: int, hour: int, negative: bool, texts: int = 1) -> None:
        """One more text (a story of a source) for the key in that hour, or several alike."""
        r = self._rows
        r["totals"][slot, hour % RING_H] += texts
        if negative:
            r["negatives"][slot, hour % RING_H] += texts
        r["last"][slot] = max(r["last"][slot], hour)

    def unlearn(self, slot: int, first: int, last: int) -> None:
        """Hours first..last of the key belong to an episode: they say nothing about what is usual."""
        if self._hour is None:
            return
        hours = np.arange(max(first, self._hour - RING_H + 1), last + 1)
        self._rows["unlearned"][slot, hours % RING_H] = True

    # --- learning

    def learn(self, final_hour: int) -> None:
        """Learn every hour before `final_hour` that is not yet learned, and skip outages of the whole stream.

        Comes after `stream.hear`, which tells silence from an outage, and before `open_hour`.
        """
        heard = self.stream.heard
        if self._next is None:
            self._next = heard[0] if heard else None
        if self._next is None or final_hour <= self._next:
            return
        at = 0
        while self._next < final_hour:
            hour = self._next
            while at + 1 < len(heard) and heard[at + 1] <= hour:
                at += 1
            if heard[at] < hour and at + 1 < len(heard) and heard[at + 1] - heard[at] > self._c.outage_h:
                self._next = min(heard[at + 1], final_hour)  # silence between two texts: nothing is known about it
                continue
            self.open_hour(hour)
            self._learn_hour(hour)
            self._next = hour + 1
        del heard[:at]

    def _learn_hour(self, hour: int) -> None:
        c, n, d = self._c, self._n, self._decay
        r = {name: rows[:n] for name, rows in self._rows.items()}
        at, cell = hour % RING_H, cell_of(hour)
        profile = self.stream.season[cell]
        self.stream.learn(hour)
        self._rates.clear()
        if not n:
            return
        alive = (r["kind"] >= 0) & (r["born"] <= hour)
        k, total = r["negatives"][:, at].astype("float64"), r["totals"][:, at]
        season = self._season(r["cell_k"][:, cell], r["cell_h"][:, cell], r["sum_k"], r["sum_h"], profile)
        mu = np.where(alive, season * r["level_a"] / np.where(alive, r["level_b"], 1.0), 0.0)
        r["means"][:, at] = mu
        upd = alive & ~r["unlearned"][:, at]
        self._learn_spread(r, hour, upd)
        clipped = np.minimum(k, mu + c.clip_sd * np.sqrt(mu * r["phi"][:, 0]) + 1.0)
        if c.unclipped_h:
            clipped = np.where(hour - r["born"] < c.unclipped_h, k, clipped)
        keep = np.maximum(d, 0.5 ** (total / c.share_memory))
        for name, kept, grown in (
            ("level_a", d, clipped),
            ("level_b", d, season),
            ("share_a", keep, clipped),
            ("share_b", keep, total - k),
        ):
            r[name][:] = np.where(upd, r[name] * kept + grown, r[name])
        gained = np.where(upd, clipped, 0.0)
        r["cell_k"][:, cell] += gained
        r["cell_h"][:, cell] += upd
        r["sum_k"] += gained
        r["sum_h"] += upd
        kind = np.where(upd, r["kind"], 0)
        kinds = len(KEY_KINDS)
        told, bad = np.bincount(kind, np.where(upd, total, 0.0), kinds), np.bincount(kind, gained, kinds)
        told[_WATCH], bad[_WATCH] = self.stream.counts[at], self.stream.negatives[at]  # watches: the whole stream
        kept = np.maximum(d, 0.5 ** (told / c.pool_memory))
        self._pool_k = self._pool_k * kept + bad
        self._pool_rest = self._pool_rest * kept + (told - bad)
        self._pool_level = self._pool_level * d + np.bincount(kind, gained, kinds)
        self._pool_hours = self._pool_hours * d + np.bincount(kind, upd.astype("float64"), kinds)

    def _learn_spread(self, r: dict[str, Any], hour: int, upd: Any) -> None:
        c = self._c
        gain = 1.0 / np.minimum(r["learned"] + 1.0, c.phi_memory_h)
        pooled = self._pooled_share()[r["kind"]]
        prior = c.share_prior
        share = (r["share_a"] + prior * pooled) / (r["share_a"] + r["share_b"] + prior)
        forget = 1.0 - 1.0 / c.phi_memory_h
        for w, hours in enumerate(WINDOWS_H):
            cols = np.arange(hour - hours + 1, hour + 1) % RING_H
            seen = upd & (r["born"] <= hour - max(hours, c.phi_settle_h))
            if hours > 1:
                seen &= ~r["unlearned"][:, cols].any(axis=1)
            k = r["negatives"][:, cols].sum(axis=1)
            mean = r["means"][:, cols].sum(axis=1) + c.floor
            phi = r["phi"][:, w]
            surprise = np.minimum((k - mean) ** 2 / np.maximum(mean, c.floor), c.phi_clip * phi)
            r["phi"][:, w] = np.where(seen, np.maximum(phi + gain * (surprise - phi), c.phi_min), phi)
            n = r["totals"][:, cols].sum(axis=1)
            pairs = n * (n - 1.0)
            rho = np.clip(self._rho(r["rho_sum"][:, w], r["rho_pairs"][:, w]), c.rho_min, RHO_MAX)
            moved = (k - n * share) ** 2 / (share * (1.0 - share))
            moved = np.minimum(moved, c.rho_clip * (n + pairs * rho)) - n
            for name, grown in (("rho_sum", moved), ("rho_pairs", pairs)):
                r[name][:, w] = np.where(seen, r[name][:, w] * forget + grown / hours, r[name][:, w])
        r["learned"] += upd & (r["born"] <= hour - c.phi_settle_h)

    def _rho(self, excess: Any, pairs: Any) -> Any:
        """Overdispersion of the share, before it is bounded; method of moments with a prior. Numbers or arrays."""
        c = self._c
        return (excess + c.rho_start * c.rho_prior) / (pairs + c.rho_prior)

    def _pooled_share(self) -> Any:
        """Share of negatives per kind of key."""
        return self._pool_k / (self._pool_k + self._pool_rest)

    def _season(self, cell_k: Any, cell_h: Any, sum_k: Any, sum_h: Any, profile: Any) -> Any:
        kappa = self._c.season_shrink_h
        mean = sum_k / np.maximum(sum_h, 1.0)
        known = mean > 0
        safe = np.where(known, mean, 1.0)
        return np.where(known, (cell_k + kappa * safe * profile) / ((cell_h + kappa) * safe), profile)

    # --- asking

    def usual(self, slot: int, first_bin: int, end_bin: int, window: int) -> Usual:
        """What bins [first_bin, end_bin) usually hold, with the dispersion of window number `window`."""
        rates, within = self._rates_of(slot), self.stream.within
        cells = cells_of(first_bin // BINS_PER_HOUR, (end_bin - 1) // BINS_PER_HOUR)
        mean = sum([rates[cell] for cell in cells])  # a list: asked of every window, and twice as fast
        mean -= rates[cells[0]] * within[first_bin % BINS_PER_HOUR]
        mean -= rates[cells[-1]] * (1.0 - within[(end_bin - 1) % BINS_PER_HOUR + 1])
        phi = float(self._rows["phi"][slot, window])
        return Usual(max(mean, 0.0) + self._c.floor, phi, *self.share(slot, window))

    def _rates_of(self, slot: int) -> list[float]:
        """Expected negatives of an hour, per season cell; kept until more is learned."""
        rates = self._rates.get(slot)
        if rates is None:
            r = self._rows
            season = self._season(
                r["cell_k"][slot], r["cell_h"][slot], r["sum_k"][slot], r["sum_h"][slot], self.stream.season
            )
            rates = self._rates[slot] = (season * (r["level_a"][slot] / r["level_b"][slot])).tolist()
        return rates

    def share(self, slot: int, window: int) -> tuple[float, float]:
        """A, B of the key's usual share in a window: its own decayed counts on top of its pool's.

        Beta(A, B) is as wide as two things together: how little is known of the mean, 1/(n + 1), and how much the share
        itself moves from window to window, rho.
        """
        r, c = self._rows, self._c
        kind = r["kind"][slot]
        pooled = float(self._pool_k[kind] / (self._pool_k[kind] + self._pool_rest[kind]))
        a = float(r["share_a"][slot]) + c.share_prior * pooled
        n = float(r["share_a"][slot] + r["share_b"][slot]) + c.share_prior
        rho = self._rho(float(r["rho_sum"][slot, window]), float(r["rho_pairs"][slot, window]))
        rho = min(max(rho, c.rho_min), RHO_MAX)
        strength = 1.0 / (1.0 / (n + 1.0) + rho) - 1.0
        return strength * a / n, strength * (1.0 - a / n)

    # --- saving

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        arrays = {name: rows[: self._n].tobytes() for name, rows in self._rows.items()}
        own = ("_pool_k", "_pool_rest", "_pool_level", "_pool_hours")
        return {
            "n": self._n, "free": self._free, "hour": self._hour, "next": self._next,
            "stream": self.stream.dump(), "rows": arrays, "own": {name: getattr(self, name).tobytes() for name in own},
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """The inverse of `dump`; exact."""
        self._n, self._free = saved["n"], list(saved["free"])
        self._hour, self._next = saved["hour"], saved["next"]
        self.stream.load(saved["stream"])
        self._rates.clear()
        size = max(16, self._n)
        for name, (shape, dtype, _) in _ROWS.items():
            rows = np.zeros((size, *shape), dtype)
            rows[: self._n] = np.frombuffer(saved["rows"][name], dtype).reshape((self._n, *shape))
            self._rows[name] = rows
        self._rows["kind"][self._n :] = -1
        for name, value in saved["own"].items():
            setattr(self, name, np.frombuffer(value, getattr(self, name).dtype).copy())
