"""Subscriptions as people give them: an error names the field, an address is sealed and never shown."""

import msgspec
import pytest

from pipeline.compose import subscribe_defaults
from pipeline.control.matching import mismatches, wants
from pipeline.control.sql import SqlControlStore
from pipeline.control.tiers import put_tiers, tiers_of
from pipeline.deliver.secrets import Vault, new_key
from pipeline.deliver.subscribing import LISTS, Wanted, parse, parse_file, parse_words, put_all, view
from pipeline.errors import WindvaneError
from pipeline.records import Story
from pipeline.settings import DeliverSettings
from pipeline.stages.record import Record
from tests.migrated import control_database
from tests.unit.deliver.alerts import START, make_alert, make_subscription

WRONG = [
    ({"channel": "web"}, "id: expected a value, found none"),
    ({"id": "Ann Li", "channel": "web"}, "'Ann Li': id: expected small letters"),
    ({"id": "a", "channel": "sms"}, "'a': channel: expected 'web', 'log'.*found 'sms'"),
    ({"id": "a", "channel": "web", "zone": "CST8"}, "zone: expected an IANA time zone such as Asia/Shanghai"),
    ({"id": "a", "channel": "web", "zone": "../../etc/passwd"}, "zone: expected an IANA"),
    ({"id": "a", "channel": "web", "quiet": "22:00"}, "quiet: expected two different times"),
    ({"id": "a", "channel": "web", "digest": "weekly"}, "digest: expected 'none', 'hourly' or 'daily'"),
    ({"id": "a", "channel": "web", "digest_at": "8 am"}, "digest_at: expected a time of day"),
    ({"id": "a", "channel": "web", "keys": ["AAPL"]}, "keys: expected keys such as entity:AAPL.US.*found 'AAPL'"),
    ({"id": "a", "channel": "web", "tiers": [4]}, "tiers.0: expected 1, 2 or 3"),
    ({"id": "a", "channel": "web", "severities": ["S4"]}, "severities.0"),
    ({"id": "a", "channel": "web", "daily_cap": -1}, "daily_cap"),
    ({"id": "a", "channel": "web", "quite": "22:00-07:00"}, "quite: there is no such field. Known: id, channel"),
    ({"id": "a", "channel": "web", "escalate_to": "b"}, "escalate_to and escalate_min go together"),
    ({"id": "a", "channel": "web", "escalate_to": "a", "escalate_min": 5}, "found itself"),
    ([], "expected fields such as id and channel"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "says"), WRONG)
def test_an_error_names_the_field(data, says):
    with pytest.raises(WindvaneError, match=says):
        parse(data)


def test_the_fields_are_those_of_the_contract():
    assert set(Wanted.model_fields) == set(make_subscription()._fields)
    assert {f for f, v in make_subscription()._asdict().items() if isinstance(v, tuple)} == set(LISTS)
    assert parse({"id": "s1", "channel": "log"}) == make_subscription()


def test_times_are_written_one_way():
    found = parse({"id": "a", "channel": "web", "quiet": " 22:00 - 7:30", "digest_at": "8:00"})
    assert (found.quiet, found.digest_at) == ("22:00-07:30", "08:00")


def test_words_of_the_command_line():
    fields = parse_words(["severities=S1,S2", "tiers=1,2", "quiet=22:00-07:00", "daily_cap=5", "s1_at_once=false"])
    found = parse({"id": "a", "channel": "web", **fields})
    assert (found.severities, found.tiers, found.daily_cap, found.s1_at_once) == (("S1", "S2"), (1, 2), 5, False)
    with pytest.raises(WindvaneError, match="expected field=value"):
        parse_words(["severity=S1"])


def test_a_file(tmp_path):
    path = tmp_path / "subscriptions.yaml"
    path.write_text("subscriptions:\n  - {id: a, channel: web}\n  - {id: b, channel: log, severities: [S1]}\n")
    assert [s.id for s in parse_file(path)] == ["a", "b"]
    for text, says in [("{", "not valid YAML"), ("a: 1", "expected a list"), ("- {id: a}", "'a': channel: expected"),
                       ("[{id: a, channel: web}, {id: a, channel: log}]", "found 'a' twice")]:  # fmt: skip
        path.write_text(text)
        with pytest.raises(WindvaneError, match=says):
            parse_file(path)
    with pytest.raises(WindvaneError, match="cannot be read"):
        parse_file(tmp_path / "none.yaml")


@pytest.fixture
def control():
    db = control_database()
    yield SqlControlStore(db)
    db.close()


ADDRESS = "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrst"


def test_an_address_is_sealed_shown_masked_and_kept_when_none_is_given(control):
    vault = Vault([new_key()])
    put_all(control, vault, [parse({"id": "a", "channel": "slack", "target": ADDRESS})], "li")
    [stored] = control.subscriptions()
    assert ADDRESS not in str(stored) and vault.unseal(stored.target) == ADDRESS
    shown = view(stored, vault)
    assert "abcdefghijklmnop" not in str(shown) and shown["target"].startswith("https://hooks.slack.com/")
    for again in ("", ADDRESS, shown["target"]):
        put_all(control, vault, [parse({"id": "a", "channel": "slack", "target": again, "name": "x"})], "li")
        assert control.subscriptions()[0].target == stored.target
    assert "abcdefghijklmnop" not in str(control.audit())
    with pytest.raises(WindvaneError, match="'a': target: expected one e-mail address"):
        put_all(control, vault, [parse({"id": "a", "channel": "email"})], "li")
    with pytest.raises(WindvaneError, match="'w': target: web needs none"):
        put_all(control, vault, [parse({"id": "w", "channel": "web", "target": "x"})], "li")


def test_one_wrong_stores_none(control):
    good = parse({"id": "good", "channel": "web"})
    bad = parse({"id": "bad", "channel": "web", "escalate_to": "nobody", "escalate_min": 5})
    with pytest.raises(
        WindvaneError, match=r"'bad': escalate_to: expected the id of another subscription .good.*nobody"
    ):
        put_all(control, Vault(), [good, bad], "li")
    assert control.subscriptions() == []
    put_all(control, Vault(), [good, bad._replace(escalate_to="good")], "li")


STORY = Story(story_id="s", title="苹果被起诉", source="财新", url=None, published_at=START, copies=1)


def evidence(**changes):

    return msgspec.structs.replace(make_alert().evidence, **changes)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"keys": ("entity:X", "entity:AAPL.US")}, True),
        ({"keys": ("entity:X",)}, False),
        ({"entities": ("AAPL.US",)}, True),
        ({"entities": ("AAPL.US",), "topics": ("earnings",)}, False),
        ({"severities": ("S2",), "rules": ("negative_spike",)}, True),
        ({"rules": ("silence",)}, False),
        ({"languages": ("zh",)}, True),
        ({"languages": ("en",)}, False),
        ({"sources": ("财新",)}, True),
        ({"sources": ("Reuters",)}, True),
        ({"sources": ("Bild",)}, False),
        ({"tiers": (1,)}, True),
        ({"tiers": (3,)}, False),
    ],
)
def test_every_field_that_is_not_empty_must_fit(fields, fits):
    alert = make_alert(evidence=evidence(top_stories=(STORY,)))
    assert wants(make_subscription(**fields), alert, {"财新": 1}) is fits


def test_an_entity_within_a_topic_fits_both():
    alert = make_alert(key="entity_topic:AAPL.US|earnings")
    assert wants(make_subscription(entities=("AAPL.US",), topics=("earnings",)), alert)
    assert wants(make_subscription(topics=("earnings",)), make_alert(key="topic:earnings"))
    found = mismatches(make_subscription(entities=("X", "Y"), severities=("S1",)), alert)
    assert [str(m) for m in found] == [
        "entities is X or Y; the alert has AAPL.US",
        "severities is S1; the alert has S2",
    ]


def test_the_defaults_leave_what_people_changed(control):
    vault, deliver = Vault([new_key()]), DeliverSettings(webhook="https://example.org/hook", language="zh")
    subscribe_defaults(control, deliver, vault)
    found = {s.id: s for s in control.subscriptions()}
    assert set(found) == {"web", "log", "webhook"} and found["web"].language == "zh"
    assert vault.unseal(found["webhook"].target) == "https://example.org/hook"
    control.put_subscription(found["log"]._replace(active=False))
    control.put_subscription(found["webhook"]._replace(quiet="22:00-07:00"))
    before = control.subscriptions()
    subscribe_defaults(control, deliver, vault)
    assert control.subscriptions() == before
    subscribe_defaults(control, DeliverSettings(webhook="https://example.org/new", language="en"), vault)
    again = {s.id: s for s in control.subscriptions()}
    assert (again["log"].active, again["web"].language, again["webhook"].quiet) == (False, "en", "22:00-07:00")
    assert vault.unseal(again["webhook"].target) == "https://example.org/new"


def test_tiers_of_sources_are_kept_for_subscriptions_that_ask(control):
    put_tiers(control, {"财新": 1, "Blog": 3})
    put_tiers(control, {"Blog": 2})
    assert tiers_of(control) == {"财新": 1, "Blog": 2}
    control.put_subscription(make_subscription(id="first", tiers=(1,)))
    control.put_subscription(make_subscription(id="third", tiers=(3,)))
    Record(control, lambda: START)([make_alert(evidence=evidence(top_stories=(STORY,)))])
    assert [d.subscription_id for d in control.deliveries()] == ["first"]
