"""Microsoft Teams: a Workflows webhook ("when a Teams webhook request is received"), written as an adaptive card."""

from pipeline.deliver.card import Card, without_lines, words
from pipeline.deliver.channels.base import Body, Provider, json_size
from pipeline.deliver.outcomes import of_teams
from pipeline.deliver.text import fit, markdown

# learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook says 28 KB; people
# measured refusals from 21 KB on (msteams_hermes), so this stays below.
BODY, SENTENCE = 20_000, 6_000


def write(card: Card) -> Body:
    """The message with one adaptive card, at most BODY bytes; texts hold nothing that the card takes for markdown."""
    fitting = without_lines(card, lambda c: json_size(_message(c)) <= BODY)
    return _message(fitting)


def _message(card: Card) -> Body:
    w = words(card.language)
    body: list[Body] = [
        {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True, "text": markdown(card.title)},
        {"type": "TextBlock", "wrap": True, "text": fit(card.sentence, SENTENCE, markdown)},
    ]
    if card.facts:
        facts = [{"title": k, "value": markdown(v)} for k, v in card.facts]
        body.append({"type": "FactSet", "facts": facts})
    if card.lines and card.severity:
        body.append({"type": "TextBlock", "weight": "Bolder", "text": w["stories"]})
    for line in card.lines:
        text, by = fit(line.text, 900, markdown), markdown(line.by)
        said = f"[{text}]({line.url}) — {by}" if line.url else f"{text} — {by}"
        body.append({"type": "TextBlock", "wrap": True, "spacing": "Small", "text": said})
    body.append({"type": "TextBlock", "isSubtle": True, "size": "Small", "text": markdown(card.ending)})
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": x.label, "url": x.url} for x in card.links],
        "msteams": {"width": "Full"},
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": content}]}


TEAMS = Provider("teams", write, of_teams)
