"""The delivery fault suite, on whichever store `where` names: kill -9 between every two steps, racing processes.

What must hold: nothing is lost (every row ends accepted, every alert is told), and each message is accepted once but
for those under way in a process killed between the server's accepting and our storing it: the documented window.
"""

from datetime import timedelta

from pipeline.control.base import Subscription
from pipeline.deliver.dispatcher import LEASE_S
from pipeline.stages.record import Record
from tests.unit.deliver.alerts import make_alert
from tests.unit.deliver.killed import FORK, START, Receiver, open_control, run, work

WINDOW = ("sent", "answered")  # the server has it and we do not know
LATER = LEASE_S + 1
SINGLE = Subscription("s1", "webhook", daily_cap=0)
DIGEST = Subscription("s1", "webhook", digest="hourly")
HOUR = 3600.0


def fill(where: str, subscription: Subscription, server: Receiver, n: int) -> list[str]:
    """n alerts for the subscription, recorded at START; their rows' ids."""
    control = open_control(where, lambda: START)
    control.put_subscription(subscription._replace(target=server.url))
    Record(control, lambda: START)([make_alert(alert_id=f"a{i:03}", severity=f"S{1 + i % 3}") for i in range(n)])
    if subscription.digest == "none":
        ids = [d.id for d in control.deliveries()]
    else:  # S1 goes at once, the others together
        control.put_subscription(subscription._replace(target=server.url, s1_at_once=False))
        ids = [d.id for d in control.deliveries() if d.digest]
    control.close()
    return ids


def killed_once(where: str, server: Receiver, step: str, nth: int, limit: int) -> None:
    """Six messages, `limit` at a time; the dispatcher dies at the nth time it comes to `step`, another takes over."""
    ids = fill(where, SINGLE, server, 6)
    assert run(where, 0, step, nth, server, limit) == -9
    arrived, held = set(server.accepted), {d.id for d in states(where) if d.state == "leased"}
    assert run(where, LEASE_S - 1) == 0  # the dead one's leases still hold: the others' rows are sent, not these
    assert {d.id for d in states(where) if d.state == "leased"} == held
    assert run(where, LATER) == 0
    assert {d.state for d in states(where)} == {"accepted"}
    assert set(server.accepted) == set(ids) and set(server.accepted.values()) <= {1, 2}
    twice = {id_ for id_, times in server.accepted.items() if times == 2}
    assert twice == held & arrived  # the window, and nothing else
    if limit == 1:
        assert len(twice) == (1 if step in WINDOW else 0)


def killed_in_a_digest(where: str, server: Receiver, step: str) -> None:
    """One digest of several alerts: sent again whole, under its id, or not at all."""
    fill(where, DIGEST, server, 6)
    run(where, 0)  # S1 at once
    before = dict(server.accepted)
    assert run(where, HOUR, step, 1, server) == -9
    assert run(where, HOUR + LATER) == 0
    rows = states(where)
    assert {d.state for d in rows} == {"accepted"}
    digests = {id_: times for id_, times in server.accepted.items() if id_ not in before}
    [(bundle, times)] = digests.items()  # one id, however often
    assert {d.bundle for d in rows if d.digest} == {bundle}
    assert server.alerts[bundle] == {d.alert_id for d in rows if d.digest}
    assert times == (2 if step in WINDOW else 1)


def racing(where: str, server: Receiver, n: int = 40) -> None:
    """Four processes at once, one of which dies in the window; then one that clears up."""
    ids = fill(where, SINGLE, server, n)
    racers = [FORK.Process(target=work, args=(where, 0.0, step, 3, 3)) for step in ("", "", "", "answered")]
    for r in racers:
        r.start()
    for r in racers:
        r.join(120)
    assert [r.exitcode for r in racers[:3]] == [0, 0, 0]
    held = {d.id for d in states(where) if d.state == "leased"}
    assert run(where, LATER) == 0
    assert {d.state for d in states(where)} == {"accepted"}
    assert set(server.accepted) == set(ids)
    assert {id_ for id_, times in server.accepted.items() if times > 1} <= held
    assert len(held) <= 3  # what the dead one had leased


def states(where: str) -> list:
    control = open_control(where, lambda: START + timedelta(seconds=HOUR))
    rows = control.deliveries()
    control.close()
    return rows
