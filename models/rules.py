"""Topics read off unmistakable words, for labels a language's training sets do not cover.

No Chinese set here labels results, dividends, listings or broker ratings, and no English one crypto or fraud.
These rules give such texts weak labels (the card says so): a rule that fires is a 1; once any rule of its
group fires, the group's other labels are 0; when none fires, the rules say nothing.
"""

from __future__ import annotations

import re
from typing import Final

from models.taxonomy import TOPIC_IDS, Target

_ZH: Final[dict[str, str]] = {
    "earnings": r"净利|业绩|营收|扭亏|预增|预亏|盈利|季报|年报|半年报|亏损",
    "analyst_ratings": r"目标价|(?:上调|下调|维持|给予|首次).{0,12}(?:评级|买入|增持评级)",
    "mna_investment": r"收购|并购|重组|入股|增资|股权转让|合并|战略投资|举牌|减持|增持",
    "legal_regulation": r"立案|证监会.{0,8}(?:处罚|调查|警示)|诉讼|仲裁|起诉|罚款|监管函|问询函|警示函|反垄断",
    "credit_default": r"违约|逾期|兑付|债券|司法冻结|轮候冻结|质押.{0,6}平仓|破产|信用评级|信用等级",
    "personnel": r"辞职|辞去|离任|任命|聘任|换届|接任|新任.{0,6}(?:董事长|总裁|CEO)",
    "product_operations": r"中标|新产品|投产|签.{0,8}合同|订单|产能|获批|召回|停产|量产|战略合作",
    "dividends_buybacks": r"分红|派息|派现|拟10派|10转|10送|回购|高送转|每股派",
    "ipo_financing": r"IPO|招股|挂牌上市|上市申请|首发|定增|配股|非公开发行|募资|科创板.{0,6}上市|融资轮|轮融资",
    "fraud_scandal": r"造假|诈骗|传销|非法集资|跑路|欺诈|庞氏|丑闻|内幕交易",
    "stock_moves": r"涨停|跌停|大涨|大跌|涨超|跌超|拉升|跳水|高开|低开|收涨|收跌|走强|走弱|涨幅|跌幅",
}
_EN: Final[dict[str, str]] = {
    "crypto": r"\b(?:bitcoin|btc|crypto\w*|ethereum|stablecoins?|blockchain|dogecoin|nfts?|coinbase|binance)\b",
    "real_estate": r"\b(?:real estate|housing|home(?:s| prices?| sales| ?builders?)|mortgages?|property prices?|"
    r"REITs?)\b",
    "fraud_scandal": r"\b(?:fraud\w*|ponzi|scams?|scandals?|embezzl\w+|bribe\w*|insider trading|money laundering)\b",
}
_BUYBACK: Final = re.compile(r"\b(?:buy-?backs?|share repurchase\w*|repurchase program\w*)\b", re.IGNORECASE)
_EN_COMPILED: Final = {topic: re.compile(pattern, re.IGNORECASE) for topic, pattern in _EN.items()}
_ZH_COMPILED: Final = {topic: re.compile(pattern) for topic, pattern in _ZH.items()}


def chinese_topics(text: str) -> tuple[Target, ...]:
    """Weak targets of a Chinese news text; all None when no rule fires."""
    fired = {topic for topic, pattern in _ZH_COMPILED.items() if pattern.search(text)}
    return tuple(_weak(topic, topic in fired, topic in _ZH and bool(fired)) for topic in TOPIC_IDS)


def english_topics(text: str) -> tuple[Target, ...]:
    """Weak targets of an English text for labels its set lacks: 1 or 0 for those, None (or 1: buy-backs) else."""
    fired = {topic for topic, pattern in _EN_COMPILED.items() if pattern.search(text)}
    if _BUYBACK.search(text):
        fired.add("dividends_buybacks")
    return tuple(_weak(topic, topic in fired, topic in _EN) for topic in TOPIC_IDS)


def _weak(topic: str, fires: bool, covered: bool) -> Target:
    if fires:
        return 1.0
    return 0.0 if covered else None


def merge(first: tuple[Target, ...], second: tuple[Target, ...]) -> tuple[Target, ...]:
    """Per label: a 1 of either wins, then what the first says, then what the second says."""
    return tuple(1.0 if 1.0 in (a, b) else (a if a is not None else b) for a, b in zip(first, second, strict=True))
