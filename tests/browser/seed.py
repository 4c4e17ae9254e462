"""A small, deterministic world for the page's tests: 24 days of opinions about invented companies, two crises.

Everything is invented. The same seed gives the same texts, so screenshots can be compared.
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic, sleep
from typing import Any, NamedTuple

from dashboards.app import create_app
from dashboards.deps import WebDeps
from dashboards.server import bind, make_server
from models.taxonomy import TOPICS
from pipeline.bus.sqlite import SqliteBus
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.records import (
    SENTIMENTS,
    Alert,
    Evidence,
    Opinion,
    ScoredMention,
    Sentiment,
    SentimentLabel,
    Story,
    TopicScore,
    encode,
    stable_id,
)
from pipeline.store.sqlite import SqliteOpinionStore
from tests.browser.phrases import CRISIS, PHRASES, SOCIAL, SOURCES

NOW = datetime(2026, 11, 20, 14, 35, 20, tzinfo=UTC)
DAYS = 24
MODEL = "windvane-zh-en-1"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


class Entity(NamedTuple):
    """As pipeline.prepare.aliases.EntityName."""

    id: str
    kind: str
    sector: str
    tickers: tuple[str, ...]
    name_en: str
    name_zh: str


_TABLE = (
    ("8888.HK", "Hengyue Property", "恒岳地产", 14),
    ("QHVN.US", "Quillhaven Bancorp", "奎尔黑文银行", 10),
    ("688999.SH", "Daijun New Energy", "岱钧新能", 12),
    ("LMRA.US", "Lumora Therapeutics", "卢莫拉制药", 7),
    ("TSVR.US", "Tessaver Semiconductor", "泰瑟弗半导体", 16),
    ("600999.SH", "Yunting Spirits", "云亭酒业", 11),
    ("BKMF.US", "Brackenmoor Foods", "布拉肯莫尔食品", 6),
    ("0999.HK", "Jinlan Insurance", "锦澜保险", 8),
    ("NRTH.US", "Northolt Aerospace and Defence Systems", "诺索尔特航空", 9),
)
NAMES = {i: Entity(i, "company", "x", (i,), en, zh) for i, en, zh, _ in _TABLE}
_WEIGHTS = {i: w for i, _, _, w in _TABLE}
_ZH = {"8888.HK", "688999.SH", "600999.SH", "0999.HK"}


class World(NamedTuple):
    """The seeded stores and an app over them."""

    deps: WebDeps
    db: Database
    crisis_zh: str  # alert ids
    crisis_en: str


def sentiment(label: SentimentLabel, rng: random.Random) -> Sentiment:
    top = round(rng.uniform(0.62, 0.97), 4)
    rest = round((1 - top) / 2, 4)
    p = {"negative": rest, "neutral": rest, "positive": rest, label: top}
    return Sentiment(label=label, negative=p["negative"], neutral=p["neutral"], positive=p["positive"])


def opinion(
    text: str,
    at: datetime,
    entity: str,
    label: SentimentLabel,
    rng: random.Random,
    *,
    source: str,
    story: str | None = None,
    url: bool = True,
    title: str | None = None,
) -> Opinion:
    """One scored text about one entity."""
    post_id = stable_id(source, text, at.isoformat())
    felt = sentiment(label, rng)
    name = NAMES[entity]
    found = next(((w, text.find(w)) for w in (name.name_zh, name.name_en) if w in text), (name.id, 0))
    topic = "credit_default" if story else rng.choice(TOPICS).id
    return Opinion(
        post_id=post_id,
        source=source,
        text=text,
        title=title,
        language="zh" if entity in _ZH else "en",
        published_at=at,
        fetched_at=at + timedelta(seconds=20),
        scored_at=at + timedelta(seconds=21),
        story_id=story or post_id,
        author=f"user{rng.randrange(900)}" if source in SOCIAL else None,
        url=f"https://example.com/{post_id[:10]}" if url else None,
        sentiment=felt,
        unsure=rng.random() < 0.04,
        model_version=MODEL,
        topics=(TopicScore(label=topic, p=0.83),) if rng.random() < 0.7 else (),
        entities=(
            ScoredMention(
                entity=entity,
                text=found[0],
                start=found[1],
                end=found[1] + len(found[0]),
                sentiment=felt,
                basis="mention",
            ),
        ),
    )


def opinions(rng: random.Random) -> Iterator[Opinion]:
    """24 days up to NOW: a daily rhythm, and a crisis each in the last day and a half."""
    for minute in range(0, DAYS * 1440, 6):
        at = NOW - timedelta(minutes=DAYS * 1440 - minute)
        busy = 1.0 if 1 <= at.hour <= 15 else 0.25
        for entity, weight in _WEIGHTS.items():
            if rng.random() < 0.011 * weight * busy * (0.5 if at.weekday() >= 5 else 1):
                yield _usual(entity, at + timedelta(seconds=rng.randrange(360)), rng)
        if (NOW - at).total_seconds() < 6 * 3600 and rng.random() < 0.12:  # stirs, but is no alert
            yield _usual("NRTH.US", at, rng, (0.85, 0.1, 0.05))
        for entity, begin, hours in (("QHVN.US", 30.0, 7.0), ("8888.HK", 3.6, 9.0)):
            age = (NOW - at).total_seconds() / 3600
            if begin - hours <= age <= begin and rng.random() < 0.75:
                yield from _crisis(entity, at, rng)


def _usual(entity: str, at: datetime, rng: random.Random, weights: tuple[float, ...] = (0.2, 0.55, 0.25)) -> Opinion:
    lang = "zh" if entity in _ZH else "en"
    label = rng.choices(SENTIMENTS, weights)[0]
    name = NAMES[entity].name_zh if lang == "zh" else NAMES[entity].name_en
    text = rng.choice(PHRASES[lang, label]).format(n=name).replace("TICK", entity.split(".", maxsplit=1)[0])
    return opinion(text, at, entity, label, rng, source=rng.choice(SOURCES[lang]), url=rng.random() < 0.8)


def _crisis(entity: str, at: datetime, rng: random.Random) -> Iterator[Opinion]:
    lang = "zh" if entity in _ZH else "en"
    for _ in range(rng.randrange(1, 4)):
        i = min(int(rng.expovariate(0.9)), len(CRISIS[entity]) - 1)
        text = CRISIS[entity][i]
        when = min(at + timedelta(seconds=rng.randrange(360)), NOW - timedelta(seconds=rng.randrange(1, 300)))
        yield opinion(
            text,
            when,
            entity,
            "negative",
            rng,
            source=rng.choice(SOURCES[lang]),
            story=stable_id("crisis", entity, str(i)),
        )


def alert(
    entity: str, began: datetime, fired: datetime, numbers: tuple[int, int, int, int], *, ended: datetime | None = None
) -> Alert:
    """An alert of negative_spike with its evidence; `numbers`: negatives, total, usual low and high."""
    k, n, low, high = numbers
    expected = (low + high) / 2 or 0.5
    name = NAMES[entity]
    key = f"entity:{entity}"
    stories = tuple(
        Story(
            story_id=stable_id("crisis", entity, str(i)),
            title=text,
            source=SOURCES["zh" if entity in _ZH else "en"][i % 5],
            url=f"https://example.com/{i}" if i != 2 else None,
            published_at=began + timedelta(minutes=7 * i),
            copies=max(1, 31 - 9 * i),
        )
        for i, text in enumerate(CRISIS.get(entity, (f"{name.name_en} under pressure",)))
    )
    evidence = Evidence(
        window_s=3600,
        negatives=k,
        total=n,
        expected=expected,
        usual_low=low,
        usual_high=high,
        ratio=round(k / expected, 1),
        share=k / n,
        usual_share=0.21,
        score_count=7.4,
        score_share=5.2,
        rise_began_at=began,
        sources=min(k, 19),
        spread=k + 34,
        top_stories=stories,
        top_sources=SOURCES["zh" if entity in _ZH else "en"],
        model_version=MODEL,
        sentence_en=(
            f"{name.name_en}: {k} of {n} stories in the last hour are negative, where {low} to {high} are usual; "
            f"the rise began with “{stories[0].title}”."
        ),
        sentence_zh=(
            f"{name.name_zh}：最近一小时 {n} 篇报道中有 {k} 篇负面，平时为 {low} 至 {high} 篇；"
            f"上升始于“{stories[0].title}”。"
        ),
    )
    return Alert(
        alert_id=stable_id("negative_spike", key, began.isoformat()),
        seq=2 if ended else 1,
        event="resolved" if ended else "fired",
        rule="negative_spike",
        rule_version=1,
        key=key,
        severity="S1" if k > 30 else "S2",
        start=began,
        fired_at=fired,
        at=ended or fired,
        end=ended,
        evidence=evidence,
    )


def seeded(clock: Callable[[], datetime] = lambda: NOW, *, empty: bool = False, poll_s: float = 0.1) -> World:
    """Stores in memory, filled; `empty` leaves them bare."""
    db = Database(None)
    store, control, bus = SqliteOpinionStore(db, clock), SqlControlStore(db, clock), SqliteBus(db)
    zh = alert("8888.HK", NOW - timedelta(hours=3, minutes=35), NOW - timedelta(hours=2, minutes=50), (37, 52, 0, 5))
    en = alert(
        "QHVN.US", NOW - timedelta(hours=30), NOW - timedelta(hours=29), (24, 33, 0, 4), ended=NOW - timedelta(hours=19)
    )
    if not empty:
        rng = random.Random(20261120)
        texts = sorted(opinions(rng), key=lambda o: (o.published_at, o.post_id))
        hostile = opinion(
            HOSTILE + " 恒岳地产",
            NOW - timedelta(minutes=2),
            "8888.HK",
            "negative",
            rng,
            source="<b>chirp</b>",
            url=False,
        )
        hostile_link = opinion(
            "恒岳地产 javascript link",
            NOW - timedelta(minutes=3),
            "8888.HK",
            "negative",
            rng,
            source="chirp",
            url=False,
        )
        fields = {f: getattr(hostile_link, f) for f in hostile_link.__struct_fields__}
        texts += [hostile, type(hostile_link)(**{**fields, "url": "javascript:alert(1)"})]
        for at in range(0, len(texts), 500):
            store.write(texts[at : at + 500])
        bus.publish("opinions", [(o.story_id, encode(o)) for o in texts])
        for a in (en, zh):
            control.record_alert(a, [])
            bus.publish("alerts", [(a.key, encode(a))])
    deps = WebDeps(
        store=store,
        control=control,
        bus=bus,
        names=NAMES,
        topics={t.id: (t.en, t.zh) for t in TOPICS},
        status=lambda: {
            "mode": "replay",
            "lag": {"prepare": 0, "classify": 3},
            "dead_letters": 2,
            "silent_sources": ["每日产经"],
            "model": MODEL,
        },
        clock=clock,
        poll_s=poll_s,
    )
    return World(deps, db, zh.alert_id, en.alert_id)


def explained(o: Opinion, entity: str | None) -> dict[str, Any]:
    """Every third word speaks for the answer, every fourth against it: as the fields of models.explain.Explanation."""
    words = [
        {"start": m.start(), "end": m.end(), "word": m.group(), "weight": w, "without": 0.4}
        for i, m in enumerate(re.finditer(r"[^\W\u4e00-\u9fff]+|[\u4e00-\u9fff]{1,2}", o.text))
        for w in [(1.5 - i / 10) * (i % 3 == 0) - 0.8 * (i % 4 == 1)]
    ]
    label = o.sentiment.label
    return {
        "text": o.text, "kind": "sentiment", "answer": label, "p": 0.93, "p_empty": 0.31,
        "probabilities": {label: 0.93}, "entity": None, "basis": None, "words": words,
        "read_to": len(o.text), "joined": False, "passes": 100, "model_version": MODEL,
    }  # fmt: skip


@contextmanager
def served(deps: WebDeps, port: int = 0) -> Iterator[str]:
    """The app on a port (0: a free one), in a thread; gives its address."""
    sock = bind("127.0.0.1", port)
    server = make_server(create_app(deps))
    thread = Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    until = monotonic() + 10
    while not server.started and monotonic() < until:
        sleep(0.02)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        sock.close()
