"""What `windvane doctor` finds out about the servers: reachable or not, which version, what is amiss, what to do.

Nothing is changed on them. They are asked at the same time, and each has `WITHIN_S` seconds.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pipeline.deliver.secrets import open_vault
from pipeline.errors import Retry, WindvaneError
from pipeline.settings import DeliverSettings, ElasticsearchSettings, KafkaSettings, PostgresSettings, Settings

WITHIN_S = 30.0  # for everything about one server, the loading of its client included
ANSWER_S = 5.0  # for one request
_OLDEST_POSTGRES = 14
_FIRST_WORKER = "the first worker that starts makes them"


class Check(NamedTuple):
    """One finding. `do` says what to do when it is not ok."""

    what: str
    ok: bool
    found: str
    do: str = ""


Probe = Callable[[], Sequence[Check]]


def server_checks(settings: Settings, answer_s: float = ANSWER_S) -> list[Check]:
    """The findings about every server that the settings name; without any: embedded. `answer_s`: for one request."""
    probes: dict[str, Probe] = {}
    missing: list[str] = []
    for name, given, probe in (
        ("kafka.servers", settings.kafka.servers, lambda: kafka(settings.kafka, answer_s)),
        ("elasticsearch.url", settings.elasticsearch.url, lambda: elasticsearch(settings.elasticsearch, answer_s)),
        ("postgres.url", settings.postgres.url, lambda: postgres(settings.postgres, answer_s)),
    ):
        if given:
            probes[name] = probe
        else:
            missing.append(name)
    if not probes:
        return [Check("servers", True, "none set: embedded, everything is in the data folder")]
    findings = ask(probes, WITHIN_S)
    if missing:
        found = f"{', '.join(probes)} set, {', '.join(missing)} not"
        findings.append(Check("servers", False, found, f"Set {' and '.join(missing)} too: workers need all three."))
    if settings.postgres.url:
        findings.append(secret_key(settings.deliver))
    return findings


def secret_key(settings: DeliverSettings) -> Check:
    """Whether addresses are sealed before PostgreSQL has them, and messages have links to act."""
    what = "secret key"
    do = "Set deliver.secret_key (WINDVANE_DELIVER__SECRET_KEY), the same for every worker and the page, to what "
    do += "`windvane secret-key` prints, and store every subscription again."
    try:
        vault = open_vault(settings.secret_key.get_secret_value() if settings.secret_key else None)
    except WindvaneError as e:
        return Check(what, False, str(e), do)
    if not vault.can_seal:
        found = "none: addresses and their secrets are stored as they are, and messages have no links to act"
        return Check(what, False, found, do)
    return Check(what, True, "set: addresses are sealed, links are signed")


def ask(probes: dict[str, Probe], within_s: float) -> list[Check]:
    """Every probe's findings, in order; asked at the same time, each for at most `within_s` seconds. The key is the
    setting that names the server."""
    answers: dict[str, Sequence[Check]] = {}

    def run(setting: str, probe: Probe) -> None:
        what = setting.partition(".")[0]
        do = f"Correct {what}.* (WINDVANE_{what.upper()}__…), or see to the server."
        try:
            answers[setting] = probe()
        except Retry as e:
            answers[setting] = [Check(what, False, e.reason, do)]
        except WindvaneError as e:
            answers[setting] = [Check(what, False, str(e), do)]
        except Exception as e:  # a finding as well: a doctor does not faint
            answers[setting] = [Check(what, False, f"{type(e).__name__}: {e}", do)]

    threads = {s: threading.Thread(target=run, args=(s, p), daemon=True, name=s) for s, p in probes.items()}
    for thread in threads.values():
        thread.start()
    out: list[Check] = []
    for setting, thread in threads.items():
        thread.join(within_s)
        late = Check(
            setting.partition(".")[0], False, f"no answer within {within_s:g} s", f"Look at {setting} and the network."
        )
        out += answers.get(setting, [late])
    return out


def kafka(settings: KafkaSettings, answer_s: float = ANSWER_S) -> list[Check]:
    """The packages, the cluster, and whether its topics are as planned."""
    from pipeline.bus.kafka_options import Timing, require_packages

    require_packages()
    from pipeline.bus.kafka import KafkaBus
    from pipeline.bus.kafka_topics import plan

    bus = KafkaBus(settings, Timing(request_s=answer_s))
    try:
        version = bus.version()
        planned = {p.topic: p.partitions for p in plan(settings)}
        there = {state.topic: state.partitions for state in bus.states(list(planned))}
    finally:
        bus.close()
    cluster = Check("kafka", True, f"{version}, at {settings.servers}; crc32c is installed")
    return [cluster, *topic_checks(settings.prefix, planned, there)]


def topic_checks(prefix: str, planned: Mapping[str, int], there: Mapping[str, int]) -> list[Check]:
    """Partitions by topic, as planned and as they are. More of them than planned is allowed but where there must be
    one."""
    what = "kafka topics"
    if not there:
        return [Check(what, True, f"none of {prefix}* yet; {_FIRST_WORKER}")]
    checks = []
    if missing := [prefix + topic for topic in planned if topic not in there]:
        do = "Start any worker: it makes what is missing."
        checks.append(Check(what, False, f"missing: {', '.join(missing)}", do))
    other = {topic: n for topic, n in there.items() if n != planned[topic]}
    for topic in [t for t in other if planned[t] == 1]:
        found = f"{prefix}{topic} has {other.pop(topic)} partitions; it must have 1: what is on it is read in one order"
        do = "Stop the workers and delete the topic, or choose another kafka.prefix."
        checks.append(Check(what, False, found, do))
    if not checks:
        named = ", ".join(f"{topic} ({n})" for topic, n in other.items())
        remark = f"; partitions other than the setting says: {named}" if other else ""
        checks.append(Check(what, True, f"all {len(planned)} are there{remark}"))
    return checks


def elasticsearch(settings: ElasticsearchSettings, answer_s: float = ANSWER_S) -> list[Check]:
    """The server, the cluster's state, the index template."""
    from pipeline.store.es_client import Connection
    from pipeline.store.es_months import in_alias

    connection = Connection(settings.model_copy(update={"timeout_s": answer_s}))
    try:
        version = connection.version()
        health = msgspec.json.decode(connection.request("GET", "/_cluster/health").body)
        template = connection.request("GET", f"/_index_template/{settings.index}", allow=(404,)).status != 404
        months = len(in_alias(connection, settings.index))
    finally:
        connection.close()
    red = health["status"] == "red"
    checks = [
        Check(
            "elasticsearch",
            not red,
            f"{version}, at {connection.address}, cluster {health['status']}",
            "Some data cannot be read or written: see GET /_cluster/allocation/explain on the server.",
        )
    ]
    return [*checks, template_check(settings.index, template, months)]


def template_check(alias: str, there: bool, months: int) -> Check:
    """Whether the next month's index will be mapped as it must be."""
    what = "index template"
    if there:
        return Check(what, True, f"{alias}, over {months} month(s) of opinions")
    if not months:
        return Check(what, True, f"no {alias} yet; the first index worker makes it")
    found = f"{alias} is missing over {months} month(s) of opinions: no further month can be made as it must be"
    return Check(what, False, found, "Start `windvane worker index`: it puts the template back.")


def postgres(settings: PostgresSettings, answer_s: float = ANSWER_S) -> list[Check]:
    """The server, what its user may do, the tables' version."""
    from sqlalchemy import text

    from pipeline.control import migrations
    from pipeline.control.postgres import PostgresDatabase

    assert settings.url is not None
    db = PostgresDatabase(settings.url.get_secret_value(), connect_timeout_s=int(answer_s))
    try:
        with db.read() as connection:
            version = str(connection.execute(text("SHOW server_version")).scalar()).split()[0]
            may_make = connection.execute(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar()
            tables = migrations.current(connection)
    finally:
        db.close()
    old = int(version.partition(".")[0]) < _OLDEST_POSTGRES
    do = f"Windvane is made for PostgreSQL {_OLDEST_POSTGRES} or newer: upgrade the server."
    return [
        Check("postgres", not old, f"{version}, {db.name}", do),
        tables_check(tables, migrations.HEAD, bool(may_make)),
    ]


def tables_check(found: str | None, expected: str, may_make: bool) -> Check:
    """The version of the control tables as found (None: there are none) and as this program expects it."""
    what = "control tables"
    if found == expected:
        return Check(what, True, f"version {found}")
    if found is not None and found > expected:
        do = "A newer Windvane made them: upgrade this one, or give it a postgres.url of its own."
        return Check(what, False, f"version {found}; this program knows {expected}", do)
    if not may_make:
        do = "Make the user of postgres.url the database's owner, or: GRANT CREATE, USAGE ON SCHEMA … TO the user."
        return Check(what, False, "the user of postgres.url may not make tables", do)
    if found is None:
        return Check(what, True, f"none yet; {_FIRST_WORKER}")
    do = "Stop the workers of the older version; the first of this version that starts migrates the tables."
    return Check(what, False, f"version {found}; migrations up to {expected} are pending", do)
