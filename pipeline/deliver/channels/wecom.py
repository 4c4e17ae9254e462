"""WeCom 企业微信: a robot of a group, written as markdown."""

from pipeline.deliver.card import Card
from pipeline.deliver.channels.base import Body, Provider
from pipeline.deliver.channels.markdown import write_markdown
from pipeline.deliver.outcomes import WECOM as CODES
from pipeline.deliver.outcomes import by_codes

# developer.work.weixin.qq.com/document/path/91770: markdown.content at most 4096 bytes (text: 2048), else 40058.
TEXT = 4096


def write(card: Card) -> Body:
    return {"msgtype": "markdown", "markdown": {"content": write_markdown(card, TEXT, "\n")}}


WECOM = Provider("wecom", write, by_codes(CODES))
