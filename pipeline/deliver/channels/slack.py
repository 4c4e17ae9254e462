"""Slack: an incoming webhook, written as blocks."""

from pipeline.deliver.card import Card, Line, words
from pipeline.deliver.channels.base import Body, Provider
from pipeline.deliver.outcomes import of_slack
from pipeline.deliver.text import fit, slack, web_address

# docs.slack.dev/reference/block-kit/blocks: section text 3000 characters, header 150, field 2000, 10 fields.
SECTION, HEADER, FIELD, FIELDS = 3000, 150, 2000, 10


def write(card: Card) -> Body:
    """Header, sentence, facts, stories, links; `text` is what notifications and screen readers show."""
    w = words(card.language)
    blocks: list[Body] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": fit(card.title, HEADER, measure=len), "emoji": False},
        },
        _section(fit(card.sentence, SECTION, slack, len)),
    ]
    if card.facts:
        fields = [fit(v, FIELD - 200, slack, len) for _, v in card.facts[:FIELDS]]
        labels = [slack(label) for label, _ in card.facts[:FIELDS]]
        blocks.append({
            "type": "section",
            "fields": [{"type": "mrkdwn", "text": f"*{k}*\n{v}"} for k, v in zip(labels, fields, strict=True)],
        })  # fmt: skip
    if card.lines:
        blocks.append(_section(_within(f"*{w['stories']}*" if card.severity else "", [_line(x) for x in card.lines])))
    if card.links:
        # not buttons: a button without an app behind it shows a warning after the click
        blocks.append(_section(_within("", [f"<{web_address(x.url)}|{slack(x.label)}>" for x in card.links], "  ·  ")))
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": slack(card.ending)}]})
    text = f"{fit(card.title, HEADER, slack, len)}: {fit(card.sentence, SECTION - HEADER - 2, slack, len)}"
    return {"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _section(text: str) -> Body:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _line(line: Line) -> str:
    text, by = fit(line.text, 600, slack, len), slack(line.by)
    return f"• <{line.url}|{text}> — {by}" if line.url and len(line.url) < 1500 else f"• {text} — {by}"


def _within(first: str, lines: list[str], join: str = "\n") -> str:
    kept = [first] if first else []
    for line in lines:
        if len(join.join([*kept, line])) > SECTION:
            break
        kept.append(line)
    return join.join(kept)


SLACK = Provider("slack", write, of_slack)
