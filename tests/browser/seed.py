"""A small, deterministic world for the page's tests: 24 days of opinions about invented companies, one crisis in each language.

Everything is invented. The same seed gives the same texts, so screenshots can be compared.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic, sleep
from typing import NamedTuple

from dashboards.app import create_app
from dashboards.deps import WebDeps
from dashboards.server import bind, make_server
from models.taxonomy import TOPICS
from pipeline.bus.sqlite import SqliteBus
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.records import (
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
_SOURCES = {"zh": ("澄观财经", "百川数据", "股友圈", "南岸日报", "每日产经"), "en": ("Meridian Wire", "chirp", "The Ledger", "Harbour Post", "StreetTalk")}  # fmt: skip
_SOCIAL = {"股友圈", "chirp", "StreetTalk"}
_PHRASES: dict[tuple[str, SentimentLabel], tuple[str, ...]] = {
    ("zh", "negative"): ("{n}被曝拖欠供应商货款，多地项目停工", "{n}股价午后跳水，跌幅一度超过7%", "传{n}美元债无法按期付息，公司暂未回应", "{n}遭多家评级机构下调展望至负面", "又是{n}，真的服了，这管理层还能信吗"),
    ("zh", "neutral"): ("{n}将于下周三召开临时股东大会", "{n}今日成交额12.4亿元，换手率2.1%", "{n}公告：董事会审议通过三项议案", "有没有人关注{n}的量能变化", "{n}调研纪要：产能利用率与上季持平"),
    ("zh", "positive"): ("{n}三季度净利润同比增长31%，超出市场预期", "{n}中标38亿元项目，创年内新高", "{n}获大股东增持，彰显信心", "{n}回购方案落地，首日已斥资1.2亿元"),
    ("en", "negative"): ("{n} withdrawals delayed again, customers say support has stopped answering", "{n} cuts full-year guidance, blames weak orders in Europe", "lol {n} down 9% and the ceo is on a podcast", "Regulator opens probe into {n} disclosures", "{n} auditor asks for more time, shares slide"),
    ("en", "neutral"): ("{n} to present at the Rotterdam industry conference on Thursday", "{n} holds rates on its savings accounts", "Anyone following $TICK into earnings? no position", "{n} names new head of investor relations", "{n}: form 8-K filed"),
    ("en", "positive"): ("{n} beats on revenue, raises outlook for the year", "{n} wins $2.1bn order, largest in its history", "Broker lifts {n} to buy on improving margins", "been saying it for months, {n} is printing money"),
}  # fmt: skip
_CRISIS = {
    "8888.HK": ("恒岳地产称无法按期支付美元债利息，境外债权人要求召开紧急会议", "恒岳地产多只债券盘中临停，最大跌幅超过40%", "恒岳地产董事长被限制高消费，公司回应称正在核实", "恒岳地产三地项目停工，购房者集体维权", "恒岳地产商票逾期规模据传达87亿元"),
    "QHVN.US": ("Quillhaven Bancorp customers report withdrawals failing for a second day", "Quillhaven shares halted after 28% drop, bank says it is well capitalised", "State regulator sends examiners to Quillhaven Bancorp", "anyone else locked out of quillhaven?? been on hold for 3 hours"),
}  # fmt: skip


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


def opinion(  # noqa: PLR0917
    text: str, at: datetime, entity: str, label: SentimentLabel, rng: random.Random, *,
    source: str, story: str | None = None, url: bool = True, title: str | None = None,
) -> Opinion:  # fmt: skip
    """One scored text about one entity."""
    post_id = stable_id(source, text, at.isoformat())
    felt = sentiment(label, rng)
    name = NAMES[entity]
    found = next(((w, text.find(w)) for w in (name.name_zh, name.name_en) if w in text), (name.id, 0))
    topic = rng.choice(TOPICS).id
    return Opinion(
        post_id=post_id, source=source, text=text, title=title, language="zh" if entity in _ZH else "en",
        published_at=at, fetched_at=at + timedelta(seconds=20), scored_at=at + timedelta(seconds=21), story_id=story or post_id,
        author=f"user{rng.randrange(900)}" if source in _SOCIAL else None,
        url=f"https://example.com/{post_id[:10]}" if url else None, sentiment=felt, unsure=rng.random() < 0.04,
        model_version=MODEL, topics=(TopicScore(label=topic, p=0.83),) if rng.random() < 0.7 else (),
        entities=(ScoredMention(entity=entity, text=found[0], start=found[1], end=found[1] + len(found[0]), sentiment=felt, basis="mention"),),
    )  # fmt: skip


def opinions(rng: random.Random) -> Iterator[Opinion]:
    """24 days up to NOW: a daily rhythm, and a crisis each in the last day and a half."""
    for minute in range(0, DAYS * 1440, 6):
        at = NOW - timedelta(minutes=DAYS * 1440 - minute)
        busy = 1.0 if 1 <= at.hour <= 15 else 0.25
        for entity, weight in _WEIGHTS.items():
            if rng.random() < 0.011 * weight * busy * (0.5 if at.weekday() >= 5 else 1):
                yield _usual(entity, at + timedelta(seconds=rng.randrange(360)), rng)
        for entity, begin, hours in (("QHVN.US", 30.0, 7.0), ("8888.HK", 3.6, 9.0)):
            age = (NOW - at).total_seconds() / 3600
            if begin - hours <= age <= begin and rng.random() < 0.75:
                yield from _crisis(entity, at, rng)


def _usual(entity: str, at: datetime, rng: random.Random) -> Opinion:
    lang = "zh" if entity in _ZH else "en"
    label = rng.choices(("negative", "neutral", "positive"), (0.2, 0.55, 0.25))[0]
    name = NAMES[entity].name_zh if lang == "zh" else NAMES[entity].name_en
    text = rng.choice(_PHRASES[lang, label]).format(n=name).replace("TICK", entity.split(".", maxsplit=1)[0])
    return opinion(text, at, entity, label, rng, source=rng.choice(_SOURCES[lang]), url=rng.random() < 0.8)


def _crisis(entity: str, at: datetime, rng: random.Random) -> Iterator[Opinion]:
    lang = "zh" if entity in _ZH else "en"
    for _ in range(rng.randrange(1, 4)):
        i = min(int(rng.expovariate(0.9)), len(_CRISIS[entity]) - 1)
        text = _CRISIS[entity][i]
        when = min(at + timedelta(seconds=rng.randrange(360)), NOW - timedelta(seconds=rng.randrange(1, 300)))
        yield opinion(text, when, entity, "negative", rng, source=rng.choice(_SOURCES[lang]), story=stable_id("crisis", entity, str(i)))  # fmt: skip


def alert(entity: str, began: datetime, fired: datetime, numbers: tuple[int, int, int, int], *, ended: datetime | None = None) -> Alert:  # fmt: skip
    """An alert of negative_spike with its evidence; `numbers`: negatives, total, usual low and high."""
    k, n, low, high = numbers
    expected = (low + high) / 2 or 0.5
    name = NAMES[entity]
    key = f"entity:{entity}"
    stories = tuple(
        Story(story_id=stable_id("crisis", entity, str(i)), title=text, source=_SOURCES["zh" if entity in _ZH else "en"][i % 5],
              url=f"https://example.com/{i}" if i != 2 else None, published_at=began + timedelta(minutes=7 * i), copies=max(1, 31 - 9 * i))
        for i, text in enumerate(_CRISIS.get(entity, (f"{name.name_en} under pressure",)))
    )  # fmt: skip
    evidence = Evidence(
        window_s=3600, negatives=k, total=n, expected=expected, usual_low=low, usual_high=high, ratio=round(k / expected, 1),
        share=k / n, usual_share=0.21, score_count=7.4, score_share=5.2, rise_began_at=began, sources=min(k, 19), spread=k + 34,
        top_stories=stories, top_sources=_SOURCES["zh" if entity in _ZH else "en"], model_version=MODEL,
        sentence_en=f"{name.name_en}: {k} of {n} stories in the last hour are negative, where {low} to {high} are usual; the rise began with “{stories[0].title}”.",
        sentence_zh=f"{name.name_zh}：最近一小时 {n} 篇报道中有 {k} 篇负面，平时为 {low} 至 {high} 篇；上升始于“{stories[0].title}”。",
    )  # fmt: skip
    return Alert(
        alert_id=stable_id("negative_spike", key, began.isoformat()), seq=2 if ended else 1, event="resolved" if ended else "fired",
        rule="negative_spike", rule_version=1, key=key, severity="S1" if k > 30 else "S2", start=began, fired_at=fired,
        at=ended or fired, end=ended, evidence=evidence,
    )  # fmt: skip


def seeded(clock: Callable[[], datetime] = lambda: NOW, *, empty: bool = False, poll_s: float = 0.1) -> World:
    """Stores in memory, filled; `empty` leaves them bare."""
    db = Database(None)
    store, control, bus = SqliteOpinionStore(db, clock), SqlControlStore(db, clock), SqliteBus(db)
    zh = alert("8888.HK", NOW - timedelta(hours=3, minutes=35), NOW - timedelta(hours=2, minutes=50), (37, 52, 0, 5))
    en = alert("QHVN.US", NOW - timedelta(hours=30), NOW - timedelta(hours=29), (24, 33, 0, 4), ended=NOW - timedelta(hours=19))
    if not empty:
        rng = random.Random(20261120)
        texts = sorted(opinions(rng), key=lambda o: (o.published_at, o.post_id))
        hostile = opinion(HOSTILE + " 恒岳地产", NOW - timedelta(minutes=2), "8888.HK", "negative", rng, source="<b>chirp</b>", url=False)
        hostile_link = opinion("恒岳地产 javascript link", NOW - timedelta(minutes=3), "8888.HK", "negative", rng, source="chirp", url=False)
        fields = {f: getattr(hostile_link, f) for f in hostile_link.__struct_fields__}
        texts += [hostile, type(hostile_link)(**{**fields, "url": "javascript:alert(1)"})]
        for at in range(0, len(texts), 500):
            store.write(texts[at : at + 500])
        bus.publish("opinions", [(o.story_id, encode(o)) for o in texts])
        for a in (en, zh):
            control.record_alert(a, [])
            bus.publish("alerts", [(a.key, encode(a))])
    deps = WebDeps(
        store=store, control=control, bus=bus, names=NAMES, topics={t.id: (t.en, t.zh) for t in TOPICS},
        status=lambda: {"mode": "replay", "lag": {"prepare": 0, "classify": 3}, "dead_letters": 2, "silent_sources": ["每日产经"], "model": MODEL},
        clock=clock, poll_s=poll_s,
    )  # fmt: skip
    return World(deps, db, zh.alert_id, en.alert_id)


@contextmanager
def served(deps: WebDeps) -> Iterator[str]:
    """The app on a free port, in a thread; gives its address."""
    sock = bind("127.0.0.1", 0)
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
