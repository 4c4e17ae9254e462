"""The gate: no provider's limit is ever passed, whatever the order of calls; a failing endpoint is left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliver.base import Outcome
from pipeline.deliver.limits import FAILURES, PROBE_S, RATES, Gate, endpoint_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OK, FAILED = Outcome("accepted", ""), Outcome("transient", "")
PROVIDERS = {  # the most that the provider allows: number, within seconds (research B1)
    "dingtalk": [(20, 60)], "wecom": [(20, 60)], "feishu": [(100, 60), (5, 1)], "slack": [(2, 1)], "teams": [(4, 1)],
    "email": [(10, 1)],
}  # fmt: skip


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def worst(times: list[float], window: float) -> int:
    return max(sum(t <= u < t + window for u in times) for t in times)


@pytest.mark.parametrize("channel", RATES)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_provider_is_never_asked_more_than_it_takes(channel: str, workers: int) -> None:
    sent: list[float] = []
    for _ in range(workers):
        gate, now = Gate(dispatchers=workers), NOW
        while now < at(180):  # as fast as it lets us, for three minutes
            wait = gate.may_send(f"{channel}:x", now)
            if wait is None:
                gate.heard(f"{channel}:x", OK, now)
                sent.append((now - NOW).total_seconds())
            else:
                assert wait > now
                now = wait
    for most, window in PROVIDERS[channel]:
        if workers == 1 or (window == 60 and workers == 2):
            assert worst(sent, window) <= most, channel
    longest = max(w for _, w in PROVIDERS[channel])
    fair = min(r.per_s for r in RATES[channel]) * 180
    assert len(sent) >= fair * 0.9, f"{channel}: only {len(sent)} of {fair}, window {longest}"


@given(st.lists(st.floats(0, 5), min_size=1, max_size=80))
def test_any_rhythm_keeps_the_limit(gaps: list[float]) -> None:
    gate, now, sent = Gate(), 0.0, []
    for gap in gaps:
        now += gap
        if gate.may_send("dingtalk:x", at(now)) is None:
            sent.append(now)
    assert worst(sent, 60) <= 20


def test_the_time_that_is_named_is_kept():
    gate = Gate()
    while (wait := gate.may_send("wecom:x", NOW)) is None:
        pass
    assert gate.may_send("wecom:x", wait - timedelta(seconds=0.1)) is not None
    assert gate.may_send("wecom:x", wait) is None
    assert gate.may_send("wecom:y", NOW) is None  # every endpoint has its own


def test_channels_without_a_limit_pass():
    gate = Gate()
    assert all(gate.may_send("webhook:x", NOW) is None for _ in range(1000))


def test_five_failures_open_the_circuit_and_one_probe_a_minute_tries_it():
    gate = Gate()
    for i in range(FAILURES):
        assert gate.may_send("webhook:x", at(i)) is None
        gate.heard("webhook:x", FAILED, at(i))
    opened = at(FAILURES - 1 + PROBE_S)
    assert gate.may_send("webhook:x", at(10)) == opened and gate.open_circuits(at(10)) == {"webhook:x": opened}
    assert gate.may_send("webhook:x", opened) is None  # half open: one
    assert gate.may_send("webhook:x", opened) == opened + timedelta(seconds=PROBE_S)
    gate.heard("webhook:x", FAILED, opened)
    assert gate.may_send("webhook:x", opened + timedelta(seconds=59)) == opened + timedelta(seconds=60)
    probe = opened + timedelta(seconds=60)
    assert gate.may_send("webhook:x", probe) is None
    gate.heard("webhook:x", OK, probe)
    assert all(gate.may_send("webhook:x", probe) is None for _ in range(3)) and not gate.open_circuits(probe)


def test_a_probe_whose_end_nobody_hears_is_tried_again():
    gate = Gate()
    for _ in range(FAILURES):
        gate.heard("webhook:x", FAILED, NOW)
    assert gate.may_send("webhook:x", at(60)) is None
    assert gate.may_send("webhook:x", at(119)) == at(120) and gate.may_send("webhook:x", at(120)) is None


def test_failures_in_between_do_not_add_up():
    gate = Gate()
    for _ in range(20):
        for _ in range(FAILURES - 1):
            gate.heard("webhook:x", FAILED, NOW)
        gate.heard("webhook:x", Outcome("permanent", ""), NOW)  # it is there, it only says no
    assert gate.may_send("webhook:x", NOW) is None


def test_a_pause_that_was_asked_for_holds_for_the_endpoint():
    gate = Gate()
    gate.heard("dingtalk:x", Outcome("retry_after", "", 600), NOW)
    assert gate.may_send("dingtalk:x", at(599)) == at(600) and gate.may_send("dingtalk:x", at(600)) is None


def test_a_clock_that_is_set_back_gives_no_tokens():
    gate = Gate()
    while gate.may_send("wecom:x", NOW) is None:
        pass
    for _ in range(50):
        assert gate.may_send("wecom:x", at(-100)) is not None
        assert gate.may_send("wecom:x", NOW) is not None


def test_endpoints_are_named_without_their_secrets():
    url = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef"
    name = endpoint_of("dingtalk", f"{url}#secret=SECx")
    assert name == endpoint_of("dingtalk", url) != endpoint_of("dingtalk", url + "0")
    assert "0123" not in name and endpoint_of("email", "a@b.c") == endpoint_of("email", "d@e.f") == "email"
