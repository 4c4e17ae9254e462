"""How fast an endpoint may be written to, and when it is left alone: token buckets and a circuit breaker.

State is in memory, per dispatcher process. Several dispatchers share a budget by division (`dispatchers`): each sends
at its share of the rate. That keeps below the providers' limits without a round trip to the database per message; the
price is that a share is not lent to a neighbour who needs it. A restart forgets: at most one burst too many, which the
provider answers with "too fast", and that is waited for.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

from pipeline.deliver.base import Outcome


class Rate(NamedTuple):
    """A token bucket: at most `burst` at once, `per_s` a second in the long run, so at most burst + per_s · t in t
    seconds."""

    per_s: float
    burst: float

    def shared(self, by: int) -> "Rate":
        return Rate(self.per_s / by, max(1.0, self.burst / by))


# Burst and refill together stay within the provider's own limit in any minute (second):
RATES: Mapping[str, tuple[Rate, ...]] = {
    "slack": (Rate(1.0, 1),),  # docs.slack.dev/apis/web-api/rate-limits: 1 a second, short bursts tolerated
    "teams": (Rate(2.0, 2),),  # 4 a second
    "dingtalk": (Rate(18 / 60, 2),),  # 20 a minute, else silenced for ten: 2 + 18
    "wecom": (Rate(18 / 60, 2),),  # 20 a minute
    "feishu": (Rate(90 / 60, 10), Rate(4.0, 1)),  # 100 a minute and 5 a second
    "email": (Rate(5.0, 5),),  # per mail server; most take more
}
FAILURES = 5  # transient in a row: the circuit opens
PROBE_S = 60.0  # then one message is tried so often
_KEPT = 10_000  # endpoints remembered; the longest unused are forgotten


@dataclass
class _Bucket:
    rate: Rate
    tokens: float
    at: datetime

    def refill(self, now: datetime) -> None:
        passed = max(0.0, (now - self.at).total_seconds())  # a clock that was set back gives nothing
        self.tokens = min(self.rate.burst, self.tokens + passed * self.rate.per_s)
        self.at = max(now, self.at)

    def wait(self) -> float:
        """Seconds until there is a token; a millionth is given for rounding of times."""
        return 0.0 if self.tokens >= 1 - 1e-6 else (1 - self.tokens) / self.rate.per_s


@dataclass
class _Endpoint:
    buckets: list[_Bucket] = field(default_factory=list)
    failures: int = 0
    closed_until: datetime | None = None  # the circuit is open, or the provider asked for a pause
    probing_until: datetime | None = None  # half open: one message is on its way


class Gate:
    """Asked before every send, told after it. Safe to call from several threads."""

    def __init__(self, rates: Mapping[str, tuple[Rate, ...]] = RATES, dispatchers: int = 1) -> None:
        self._rates = rates
        self._dispatchers = max(1, dispatchers)
        self._endpoints: dict[str, _Endpoint] = {}
        self._lock = Lock()

    def may_send(self, endpoint: str, now: datetime) -> datetime | None:
        """None: send now (a token is taken; tell `heard` how it went). Else when to ask again."""
        with self._lock:
            state = self._state(endpoint, now)
            if state.closed_until is not None and now < state.closed_until:
                return state.closed_until
            if state.failures >= FAILURES and state.probing_until is not None and now < state.probing_until:
                return state.probing_until
            for bucket in state.buckets:
                bucket.refill(now)
            if (wait := max((b.wait() for b in state.buckets), default=0.0)) > 0:
                return now + timedelta(seconds=wait)
            for bucket in state.buckets:
                bucket.tokens -= 1
            if state.failures >= FAILURES:
                state.probing_until = now + timedelta(seconds=PROBE_S)  # for a probe whose end nobody hears
            return None

    def heard(self, endpoint: str, outcome: Outcome, now: datetime) -> None:
        """How a send ended. The fifth transient failure in a row opens the circuit for a minute, every failed probe
        for one more. "Too fast" closes the endpoint as long as was asked. Any other answer shows that it is there."""
        with self._lock:
            state = self._state(endpoint, now)
            state.probing_until = None
            if outcome.kind == "transient":
                state.failures += 1
                if state.failures >= FAILURES:
                    state.closed_until = now + timedelta(seconds=PROBE_S)
                return
            state.failures = 0
            state.closed_until = None
            if outcome.kind == "retry_after" and outcome.after:
                state.closed_until = now + timedelta(seconds=outcome.after)

    def open_circuits(self, now: datetime) -> dict[str, datetime]:
        """Endpoints that are left alone because they fail, and until when: for status and self-monitoring."""
        with self._lock:
            return {
                name: s.closed_until
                for name, s in self._endpoints.items()
                if s.failures >= FAILURES and s.closed_until is not None and s.closed_until > now
            }

    def _state(self, endpoint: str, now: datetime) -> _Endpoint:
        state = self._endpoints.pop(endpoint, None)
        if state is None:
            rates = self._rates.get(endpoint.partition(":")[0], ())
            shared = [r.shared(self._dispatchers) for r in rates]
            state = _Endpoint([_Bucket(r, r.burst, now) for r in shared])
        self._endpoints[endpoint] = state  # at the end: the longest unused is first
        if len(self._endpoints) > _KEPT:
            del self._endpoints[next(iter(self._endpoints))]
        return state


def endpoint_of(channel: str, address: str) -> str:
    """The name of what a limit counts for: a channel with its opened address (hashed: names are logged). All mail goes
    through one server."""
    if channel in ("email", "web", "log"):
        return channel
    return f"{channel}:{hashlib.blake2b(address.partition('#')[0].encode(), digest_size=6).hexdigest()}"
