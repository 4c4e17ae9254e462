"""What a lane knows of every key: its bins, its row of the baselines, its episodes; and the texts behind them."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.detect.baseline import Baselines
from pipeline.detect.bins import Heard, KeyBins, TextStore
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DAY_S, DetectorConfig
from pipeline.detect.episodes import Episode
from pipeline.detect.peaks import Peaks
from pipeline.detect.rules import KEY_KINDS
from pipeline.keys import split_key

DAY_BINS = DAY_S // BIN_S
KEEP_BINS = 2 * DAY_BINS + BINS_PER_HOUR  # a day until final, a day of window before that, and a margin
_SWEEP_BINS = 72


class KeyState(msgspec.Struct):
    """What is kept per key besides its row of the baselines."""

    slot: int
    bins: KeyBins
    episodes: dict[str, Episode]  # by rule id
    late: list[int] = []  # end bins to judge once final, because late texts fell there
    peaks: Peaks = msgspec.field(default_factory=Peaks)  # empty unless the configuration keeps them


class Book:
    """Counting and forgetting. Bins are numbers of five minutes since the epoch."""

    def __init__(self, config: DetectorConfig) -> None:
        self.config = config
        self.baselines = Baselines(config)
        self.texts = TextStore()
        self.keys: dict[str, KeyState] = {}
        self.unsettled: set[str] = set()  # keys with a verdict to look at again once it is final
        self.running: set[str] = set()  # keys with a running episode
        self.began: int | None = None  # first bin of the stream
        self.models: dict[str, int] = {}  # model version -> bin in which it was first heard
        self.listened = 0  # the hour up to which silence was looked for
        self.weakened = 0  # the bin of the model change that the baselines were last weakened for
        self._swept = 0

    def enter(self, bin_: int) -> None:
        """The stream speaks in this bin."""
        if self.began is None:
            self.began = bin_
        self.baselines.stream.hear(bin_ // BINS_PER_HOUR)
        final = (bin_ + 1 - self.config.allowed_late_s // BIN_S) // BINS_PER_HOUR
        changed = self.changed
        if changed > self.weakened and final > changed // BINS_PER_HOUR:
            self.baselines.learn(changed // BINS_PER_HOUR)
            self.baselines.weaken(self.config.hold_keep)  # what follows was said by the new model
            self.weakened = changed
        self.baselines.learn(final)
        self.baselines.open_hour(bin_ // BINS_PER_HOUR)

    @property
    def changed(self) -> int:
        """The bin in which a model version took over from another; 0: there has been one all along."""
        return max(self.models.values()) if len(self.models) > 1 else 0

    def held(self, end: int) -> bool:
        """The baselines do not know the model's answers yet: rules that compare with them wait."""
        return bool(self.changed) and end - self.changed < self.config.hold_h * BINS_PER_HOUR

    def count(self, number: int, text: Heard, also: tuple[tuple[str, bool], ...] = ()) -> None:
        """Put a text into the bins of its keys, and of those in `also`."""
        if text.keys:
            self.models.setdefault(text.model_version, text.bin)
        self.baselines.stream.count(text.bin, text.voice, text.negative)
        for key, negative in (*text.keys, *also):
            state = self.keys.get(key)
            if state is None:
                slot = self.baselines.add_key(split_key(key)[0], text.bin // BINS_PER_HOUR)
                state = self.keys[key] = KeyState(slot, KeyBins(), {})
            if state.bins.add(number, text, negative):
                self.baselines.count(state.slot, text.bin // BINS_PER_HOUR, negative)

    def count_late(self, number: int, text: Heard, also: tuple[tuple[str, bool], ...] = ()) -> None:
        """A text for a bin that is closed: judged with the next bin, and once more when its bin is final."""
        self.enter(text.bin)
        self.count(number, text, also)
        for key, _ in (*text.keys, *also):
            state = self.keys[key]
            self.unsettled.add(key)
            if text.bin + 1 not in state.late:
                state.late.append(text.bin + 1)
            for episode in state.episodes.values():
                if episode.alert_id and episode.fired - episode.window_h * BINS_PER_HOUR <= text.bin < episode.fired:
                    episode.recheck = True

    def thin(self, key: str) -> bool:
        """Too few negatives a day are usual for a spike to be told from chance; a key not known yet is thin too."""
        state = self.keys.get(key)
        return state is None or self.baselines.per_hour(state.slot) * 24 <= self.config.thin_per_day

    def note(self, key: str, state: KeyState) -> None:
        """Keep the set of keys with a running episode."""
        if any(e.active for e in state.episodes.values()):
            self.running.add(key)
        else:
            self.running.discard(key)

    def sweep(self, bin_: int) -> None:
        """Every few hours: forget texts that no verdict can ask for, and keys that have long been silent."""
        if bin_ - self._swept < _SWEEP_BINS:
            return
        self._swept = bin_
        keep = bin_ - KEEP_BINS
        self.texts.forget(keep * BIN_S)
        oldest_hour = bin_ // BINS_PER_HOUR - self.config.retire_days * 24
        for key, state in list(self.keys.items()):
            state.bins.forget(keep)
            if state.bins.bins or key in self.running or key in self.unsettled:
                continue
            if self.baselines.idle_since(state.slot) < oldest_hour:
                self.baselines.retire(state.slot)
                del self.keys[key]

    def dump(self) -> dict[str, Any]:
        return {
            "keys": self.keys, "unsettled": sorted(self.unsettled), "running": sorted(self.running),
            "began": self.began, "models": self.models, "weakened": self.weakened, "swept": self._swept,
            "listened": self.listened,
            "texts": self.texts.dump(), "baselines": self.baselines.dump(),
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `dump`; exact."""
        self.keys = msgspec.convert(state["keys"], dict[str, KeyState])
        self.texts.load(msgspec.convert(state["texts"], tuple[int, list[tuple[int, Heard]]]))
        self.baselines.load(state["baselines"])
        self.unsettled, self.running = set(state["unsettled"]), set(state["running"])
        self.began, self.models, self.weakened = state["began"], state["models"], state["weakened"]
        self._swept, self.listened = state["swept"], state["listened"]


def key_order(key: str) -> tuple[int, str]:
    """Entities before the topics within them, so that an entity's alert can explain theirs."""
    kind, value = split_key(key)
    return KEY_KINDS.index(kind), value


def time_of(bin_: int) -> datetime:
    return datetime.fromtimestamp(bin_ * BIN_S, UTC)
