"""A card as the simple markdown that DingTalk and WeCom show."""

from pipeline.deliver.card import Card, Line, words
from pipeline.deliver.text import byte_length, fit, fit_lines, markdown, web_address


def write_markdown(card: Card, limit: int, gap: str) -> str:
    """At most `limit` bytes: title, sentence, links and short id always, then facts, then stories while there is room.
    `gap` parts the lines: DingTalk joins lines that no empty line parts."""
    w = words(card.language)
    title = fit(card.title, 200, markdown)
    page = _links(card, limit // 2)
    tail = [*([page] if page else []), markdown(card.ending)]
    room = limit - byte_length(gap.join([f"**{title}**", "", *tail]))
    sentence = fit(card.sentence, max(room, 0), markdown)
    head = [f"**{title}**", sentence]
    facts = [f"{markdown(k)}：{markdown(v)}" if card.language == "zh" else f"{k}: {markdown(v)}" for k, v in card.facts]
    stories = [_line(x) for x in card.lines]
    if stories and card.severity:
        stories[0] = f"**{w['stories']}**{gap}{stories[0]}"
    return fit_lines(head, [*facts, *stories], tail, limit, gap)


def _links(card: Card, limit: int) -> str:
    """The links on one line, the page first, as many as take at most `limit` bytes."""
    said = ""
    for x in card.links:
        more = f"{said} · [{markdown(x.label)}]({web_address(x.url)})" if said else f"[{x.label}]({web_address(x.url)})"
        if byte_length(more) > limit:
            break
        said = more
    return said


def _line(line: Line) -> str:
    text, by = fit(line.text, 300, markdown), markdown(line.by)
    return f"- [{text}]({line.url}) — {by}" if line.url else f"- {text} — {by}"
