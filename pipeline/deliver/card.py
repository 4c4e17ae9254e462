"""What a message says, before any channel's form: one card, in the subscriber's language."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.deliver.base import HeldBack, Message
from pipeline.deliver.links import ActionLinks
from pipeline.deliver.text import fit, one_line, web_address
from pipeline.records import Alert, Evidence

Lang = Literal["en", "zh"]
PRODUCT = "Windvane 风向标"
SHORT_ID = 8  # characters of the alert id that people see: enough to recognise a duplicate
SENTENCE_LONGEST = 1500  # characters; ours are far shorter, a user's watch may have any name
TITLE_LONGEST = 120  # characters: a feed's title may be a whole post


class Line(NamedTuple):
    """A story, or in a digest an alert: its text, who says it, where to read it ("" when there is no address)."""

    text: str
    by: str
    url: str = ""


class Link(NamedTuple):
    label: str
    url: str


class Card(NamedTuple):
    """One message. `title` is one short line that names the product; `sentence` says it plainly; `facts` are pairs of
    label and value; `links` are what a person can do, the page first. Texts are single lines, unescaped."""

    language: Lang
    severity: str  # "S1", "S2", "S3"; "" for a digest or a test
    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[Line, ...] = ()
    links: tuple[Link, ...] = ()
    short_id: str = ""
    thread: str = ""  # mails of one alert stand together: its whole id

    @property
    def ending(self) -> str:
        """The last line of every message."""
        return f"{PRODUCT} · {self.short_id}" if self.short_id else PRODUCT


def words(language: str) -> dict[str, str]:
    """The phrases of messages in a language."""
    return _ZH if language == "zh" else _EN


def card_of(message: Message, actions: ActionLinks | None = None) -> Card:
    """The card of one alert event. Every value comes from the message, so that each try says the same."""
    alert, lang, zone = message.alert, message.subscription.language, message.subscription.zone
    w = words(lang)
    e = alert.evidence
    short = alert.alert_id[:SHORT_ID]
    level = w[alert.severity]
    facts = ((w["when"], clock_words(alert.at, zone)), *_counts(e, w), (w["began"], clock_words(e.rise_began_at, zone)))
    if e.top_sources:
        named = (", " if lang == "en" else "、").join(e.top_sources)
        facts += ((w["sources"], one_line(named)[:TITLE_LONGEST]),)
    if message.held.counts:
        facts += ((w["held"], held_words(message.held, lang)),)
    links = [Link(w["open"], message.link)] if message.link else []
    if actions is not None and message.event in ("fired", "worse", "escalated"):
        expires = (message.delivery.created_at or alert.at) + actions.valid
        for action in actions.offered:
            links.append(Link(w[action], actions.url(action, alert.alert_id, message.subscription.id, expires)))
    links += _held_link(message.held, w)
    return Card(
        language=lang,
        severity=alert.severity,
        title=w["title"].format(product="Windvane", event=w[message.event], level=level),
        sentence=fit(one_line(message.text), SENTENCE_LONGEST, measure=len),
        facts=facts,
        lines=_stories(alert),
        links=tuple(links),
        short_id=short,
        thread=alert.alert_id,
    )


def _counts(e: Evidence, w: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The numbers that decided; a rule without tests (message, static) says its own in the sentence."""
    facts: list[tuple[str, str]] = []
    usual = f"{e.usual_low}–{e.usual_high}"
    if "count" in e.tests and e.counted == "texts":
        facts.append((w["texts"], w["of_texts"].format(n=e.total, usual=usual)))
    elif e.tests:
        said = w["of"] if "count" in e.tests else w["of_all"]
        facts.append((w["negatives"], said.format(k=e.negatives, n=e.total, usual=usual)))
    if "share" in e.tests:
        facts.append((w["share"], w["share_of"].format(now=f"{e.share:.0%}", usual=f"{e.usual_share:.0%}")))
    return tuple(facts)


def held_words(held: HeldBack, language: str) -> str:
    """ "2 in quiet hours, 1 over the day's cap"."""
    w = words(language)
    return (", " if language == "en" else "、").join(w[why].format(n=n) for why, n in held.counts)


def _held_link(held: HeldBack, w: Mapping[str, str]) -> list[Link]:
    return [Link(w["held_link"], held.link)] if held.counts and held.link else []


def digest_card(messages: Sequence[Message], link: str, held: HeldBack = HeldBack()) -> Card:
    """One card for several messages to one subscription, most severe and newest first; `held`: those of them that had
    been held back. Raises ValueError for none."""
    if not messages:
        raise ValueError("a digest needs at least one message")
    lang = messages[0].subscription.language
    w = words(lang)
    ranked = sorted(messages, key=lambda m: (m.alert.severity, -m.alert.at.timestamp(), m.alert.alert_id))
    lines = tuple(
        Line(
            fit(one_line(m.text), SENTENCE_LONGEST // 3, measure=len),
            f"{w[m.alert.severity]} · {m.alert.alert_id[:SHORT_ID]}",
            m.link,
        )
        for m in ranked
    )
    return Card(
        language=lang,
        severity="",
        title=w["digest"].format(product="Windvane", n=len(ranked)),
        sentence=w["digest_held"].format(n=len(ranked), held=held_words(held, lang))
        if held.counts
        else w["digest_why"].format(n=len(ranked)),
        lines=lines,
        links=(*([Link(w["open_all"], link)] if link else []), *_held_link(held, w)),
    )


def trial_card(language: Lang, link: str = "") -> Card:
    """The labelled message of the test button."""
    w = words(language)
    links = (Link(w["open_all"], link),) if link else ()
    return Card(language, "", w["test"].format(product="Windvane"), w["test_says"], links=links, short_id="test")


def clock_words(at: datetime, zone: str) -> str:
    """A moment in a zone, which is named: 2026-01-02 11:04 CST. An unknown zone is UTC."""
    try:
        local = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        local = at.astimezone(UTC)
    return local.strftime("%Y-%m-%d %H:%M %Z")


def without_lines(card: Card, fits: Callable[[Card], bool]) -> Card:
    """The card with as many of its lines as fit, then of its facts, then with the page as its only link: for forms
    whose size is that of the whole body. The sentence stays."""
    while not fits(card) and card.lines:
        card = card._replace(lines=card.lines[:-1])
    while not fits(card) and card.facts:
        card = card._replace(facts=card.facts[:-1])
    return card if fits(card) else card._replace(links=card.links[:1])


def _stories(alert: Alert) -> tuple[Line, ...]:
    return tuple(
        Line(
            one_line(s.title)[:TITLE_LONGEST],
            one_line(s.source)[:60] + (f" ×{s.copies}" if s.copies > 1 else ""),
            web_address(s.url),
        )
        for s in alert.evidence.top_stories[:3]
    )


_EN = {
    "S1": "S1 critical", "S2": "S2 serious", "S3": "S3 notable",
    "fired": "Alert", "worse": "Getting worse", "resolved": "Over", "corrected": "Corrected",
    "fired_and_resolved": "Fired and already over", "escalated": "Not acknowledged yet",
    "title": "{product} · {level} · {event}", "when": "Time", "negatives": "Negative",
    "of": "{k} of {n}, usually {usual}", "of_all": "{k} of {n}", "texts": "Texts", "of_texts": "{n}, usually {usual}",
    "share": "Share", "share_of": "{now}, usually {usual}", "began": "Began",
    "sources": "Sources", "stories": "Stories", "open": "Open the alert", "open_all": "Open Windvane",
    "ack": "Acknowledge", "snooze_1h": "Snooze 1 h", "snooze_24h": "Snooze 24 h", "resolve": "Resolve",
    "digest": "{product} · {n} alerts", "digest_why": "{n} alerts came together.",
    "digest_held": "{n} alerts came together. Held back: {held}.",
    "held": "Held back", "held_link": "What was held back",
    "quiet_hours": "{n} in quiet hours", "daily_cap": "{n} over the day's cap",
    "rate_limit": "{n} that the channel had no room for",
    "test": "{product} · TEST", "test_says": "This is a test message. No alert has fired; nothing needs to be done.",
    "mail_why": "You receive this because of a subscription in Windvane. Links to act expire.",
}  # fmt: skip
_ZH = {
    "S1": "S1 严重", "S2": "S2 重要", "S3": "S3 关注",
    "fired": "预警", "worse": "情况加剧", "resolved": "已平息", "corrected": "更正",
    "fired_and_resolved": "曾触发，现已平息", "escalated": "尚无人确认",
    "title": "{product} 风向标 · {level} · {event}", "when": "时间", "negatives": "负面",
    "of": "{k} / {n} 篇，平时 {usual} 篇", "of_all": "{k} / {n} 篇",
    "texts": "文本", "of_texts": "{n} 篇，平时 {usual} 篇",
    "share": "占比", "share_of": "{now}，平时 {usual}", "began": "开始上升",
    "sources": "来源", "stories": "报道", "open": "查看预警", "open_all": "打开风向标",
    "ack": "确认", "snooze_1h": "静默 1 小时", "snooze_24h": "静默 24 小时", "resolve": "标记已解决",
    "digest": "{product} 风向标 · {n} 条预警", "digest_why": "以下 {n} 条预警合并发送。",
    "digest_held": "以下 {n} 条预警合并发送。暂缓：{held}。", "held": "暂缓", "held_link": "查看暂缓的预警",
    "quiet_hours": "免打扰时段 {n} 条", "daily_cap": "超出每日上限 {n} 条", "rate_limit": "渠道限速 {n} 条",
    "test": "{product} 风向标 · 测试", "test_says": "这是一条测试消息，没有任何预警触发，无需处理。",
    "mail_why": "您收到此邮件是因为在风向标中有一个订阅。操作链接会过期。",
}  # fmt: skip
