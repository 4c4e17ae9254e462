"""What messages say, per channel and language: within the provider's limits, the link and the short id always there,
and nothing of a hostile text is markup."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pipeline.deliver.base import HeldBack, Message
from pipeline.deliver.card import Card, card_of, digest_card, trial_card
from pipeline.deliver.channels import dingtalk, feishu, slack, teams, wecom
from pipeline.deliver.channels.email import compose
from pipeline.deliver.links import ActionLinks
from pipeline.records import Story
from tests.unit.deliver.alerts import START, make_alert, make_delivery, make_subscription

WRITE = {"slack": slack.write, "teams": teams.write, "dingtalk": dingtalk.write, "feishu": feishu.write,
         "wecom": wecom.write}  # fmt: skip
LINK = "https://page.example/alerts/0123456789abcdef0123456789abcdef"
ID = "0123456789abcdef0123456789abcdef"
HOSTILE = "<!channel> [x](https://evil.example) ![i](https://evil.example) <at id=all></at> **b** `c` </a><script>"


def message(language: str = "en", event: str = "fired", long: int = 1, **changes: Any) -> Message:
    alert = make_alert(alert_id=ID, event=event, **changes)
    stories = tuple(
        Story(story_id=str(i), title=f"{HOSTILE} 违约 {i} " * long, source="Reuters" * long, url=f"https://n.example/{i}",
              published_at=START, copies=i + 1)
        for i in range(5)
    )  # fmt: skip
    evidence = msgspec.structs.replace(
        alert.evidence,
        top_stories=stories,
        sentence_en=f"Apple & Co {HOSTILE}: 3 negatives " * long,
        sentence_zh=f"苹果 {HOSTILE}：3 条负面" * long,
    )
    alert = msgspec.structs.replace(alert, evidence=evidence)
    subscription = make_subscription(channel="slack", target="https://x", language=language)
    return Message(make_delivery(alert, subscription, START), alert, subscription, LINK)


def card(language: str = "en", event: str = "fired", long: int = 1) -> Card:
    return card_of(message(language, event, long), ActionLinks([b"k" * 32], "https://page.example"))


def texts(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("channel", WRITE)
@pytest.mark.parametrize("long", [1, 30, 3000])
def test_every_message_has_its_link_its_id_and_its_product(channel: str, language: str, long: int) -> None:
    said = texts(WRITE[channel](card(language, long=long)))
    assert LINK in said and "01234567" in said and "Windvane" in said  # Windvane: the keyword for robots that need one
    assert ("Apple" if language == "en" else "苹果") in said
    if long <= 30:
        assert "/act/ack/" in said and "/act/snooze_24h/" in said and "/act/resolve/" in said


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("long", [1, 5, 30, 300, 3000])
def test_limits(language: str, long: int) -> None:
    c = card(language, long=long)
    ding = dingtalk.write(c)["markdown"]
    assert len(ding["text"].encode()) <= 2048 and len(ding["title"].encode()) <= 64
    assert len(wecom.write(c)["markdown"]["content"].encode()) <= 4096
    assert len(msgspec.json.encode(feishu.write(c))) <= 19_500
    assert len(msgspec.json.encode(teams.write(c))) <= 20_000
    blocks = slack.write(c)
    assert len(blocks["text"]) <= 3000 and len(blocks["blocks"]) <= 50
    for block in blocks["blocks"]:
        if block["type"] == "header":
            assert 0 < len(block["text"]["text"]) <= 150
        elif "text" in block:
            assert 0 < len(block["text"]["text"]) <= 3000
        for field in block.get("fields", ()):
            assert len(field["text"]) <= 2000
    mail = compose(c, "Windvane <w@example.org>", "ann@example.org", "d1", START)
    assert len(str(mail["Subject"]).encode()) <= 200
    assert all(len(line) <= 998 for line in bytes(mail).splitlines())


@pytest.mark.parametrize("channel", ["dingtalk", "wecom"])
def test_markdown_links_are_whole(channel: str) -> None:
    for long in (1, 3, 10, 100):
        body = WRITE[channel](card("zh", long=long))["markdown"]
        said = body.get("text") or body["content"]
        assert said.count("](") == said.count("[") and said.count("](") >= 1
        assert "[x]" not in said and "<at" not in said and "`" not in said
        assert all(line.count("(https") == line.count(")") - line.count("(") + line.count("(https")
                   for line in said.splitlines() if "](" in line)  # fmt: skip


def test_slack_escapes_and_links():
    written = slack.write(card(long=3))
    said = texts(written)
    assert "<!channel>" not in said.replace("Windvane", "") and "&lt;!channel&gt;" in said and "Apple &amp; Co" in said
    links = [b["text"]["text"] for b in written["blocks"] if "|Acknowledge>" in b.get("text", {}).get("text", "")]
    assert len(links) == 1 and links[0].count("<https://page.example/") == 5
    assert written["unfurl_links"] is False


def test_cards_of_other_kinds_have_no_hostile_markup():
    assert "](https://evil" not in texts(teams.write(card()))
    lark = [e["text"]["content"] for e in feishu.write(card())["card"]["elements"] if e["tag"] == "div"
            and e.get("text", {}).get("tag") == "lark_md"]  # fmt: skip
    assert "<at" not in lark[0] and "](https://evil" not in lark[0] and "](https://n.example/0)" in lark[0]


def test_the_mail_has_text_and_html_and_one_id_for_every_try():
    c = card()
    mail = compose(c, "Windvane 风向标 <w@example.org>", "ann@example.org", "d1", START)
    again = compose(c, "Windvane 风向标 <w@example.org>", "ann@example.org", "d1", START + timedelta(hours=1))
    assert mail["Message-ID"] == again["Message-ID"] == "<d1@example.org>"
    assert mail["References"] == f"<{ID}@example.org>" and mail["Auto-Submitted"] == "auto-generated"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain and html and LINK in plain.get_content() and f'href="{LINK}"' in html.get_content()
    assert "<script>" in plain.get_content() and "<script>" not in html.get_content()
    assert "Apple &amp; Co" in html.get_content()
    assert "/act/ack/" in plain.get_content() and "Snooze 24 h" in html.get_content()


def test_what_is_over_offers_nothing_to_do():
    assert [x.label for x in card("en", "fired").links] == [
        "Open the alert", "Acknowledge", "Snooze 1 h", "Snooze 24 h", "Resolve",
    ]  # fmt: skip
    assert [x.label for x in card("zh", "resolved").links] == ["查看预警"]
    assert [x.label for x in card_of(message()).links] == ["Open the alert"]  # no key, no action links


def test_numbers_are_those_of_the_rule():
    def labels(**changes: Any) -> list[str]:
        m = message()
        e = msgspec.structs.replace(m.alert.evidence, **changes)
        return [k for k, _ in card_of(m._replace(alert=msgspec.structs.replace(m.alert, evidence=e))).facts]

    assert labels() == ["Time", "Negative", "Share", "Began", "Sources"]
    assert labels(kind="volume_surge", counted="texts", tests=("count",)) == ["Time", "Texts", "Began", "Sources"]
    assert labels(kind="negative_share", tests=("share",)) == ["Time", "Negative", "Share", "Began", "Sources"]
    assert labels(kind="message", tests=(), top_sources=()) == ["Time", "Began"]


def test_every_try_says_the_same():
    assert card("zh") == card("zh")


def test_times_are_the_readers():
    m = message("zh")
    moved = m._replace(subscription=m.subscription._replace(zone="Asia/Shanghai"))
    assert dict(card_of(moved).facts)["时间"] == "2026-01-01 08:00 CST"
    assert dict(card_of(m).facts)["时间"] == "2026-01-01 00:00 UTC"
    wrong = m._replace(subscription=m.subscription._replace(zone="../etc"))
    assert dict(card_of(wrong).facts)["时间"] == "2026-01-01 00:00 UTC"


def test_digests_put_the_most_severe_first():
    third, first = message(severity="S3"), message(severity="S1", at=START + timedelta(hours=1))
    digest = digest_card([third, first], "https://page.example/")
    assert [x.by[:2] for x in digest.lines] == ["S1", "S3"] and "2" in digest.title
    for write in WRITE.values():
        said = texts(write(digest))
        assert "https://page.example/" in said and LINK in said
    many = digest_card([message(long=20)] * 200, "https://page.example/")
    assert len(dingtalk.write(many)["markdown"]["text"].encode()) <= 2048
    assert len(msgspec.json.encode(feishu.write(many))) <= 19_500
    assert "https://page.example/" in texts(dingtalk.write(many))
    with pytest.raises(ValueError, match="at least one"):
        digest_card([], "")


HELD = HeldBack((("quiet_hours", 2), ("daily_cap", 1)), "https://page.example/deliveries?subscription=s1")


def test_what_was_held_back_is_counted_and_can_be_seen():
    for language, words in (
        ("en", "2 in quiet hours, 1 over the day's cap"),
        ("zh", "免打扰时段 2 条、超出每日上限 1 条"),
    ):
        alone = message(language)._replace(held=HELD)
        for card in (card_of(alone), digest_card([alone, alone], "https://page.example/", HELD)):
            for write in WRITE.values():
                said = texts(write(card))
                assert words in said.replace("&#39;", "'") and HELD.link in said.replace("&amp;", "&"), write
    assert "Held back" not in texts(WRITE["slack"](card_of(message("en"))))


def test_the_test_message_is_labelled():
    for write in WRITE.values():
        assert "TEST" in texts(write(trial_card("en"))) and "测试" in texts(write(trial_card("zh")))
