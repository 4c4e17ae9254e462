"""A classifier that needs no weights: it counts negative and positive words, English and Chinese.

For checks that a flow works (`make check`, a look round without a model), not for watching anything:
it knows no negation, irony or grammar, and its probabilities are not calibrated. Same contract as the
released classifier.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from models.contract import Prediction, SpanPrediction, Text

NEGATIVE = """
    accident accused ban bankrupt bankruptcy bearish breach collapse collapsed crash crashed crisis cut
    cuts decline default defaulted downgrade downgraded drop drops fail failed fall falling falls fear
    fined fraud halt halted hack hacked insolvent investigation lawsuit layoffs liquidated loss losses
    miss missed panic plunge plunged plunges probe recall scam scandal selloff slump sue sued tumble
    tumbled warning weak worst
    下跌 亏损 会计造假 做空 停牌 减持 处罚 崩盘 恐慌 抛售 投诉 违约 违规 暴跌 暴雷 爆雷
    欺诈 破产 立案 维权 裁员 警示 调查 起诉 跌停 造假 退市 诉讼 风险 割肉 垃圾 失败 召回
    罚款 大跌 利空 套牢 骗
"""
POSITIVE = """
    approval approved beat beats best boost bullish gain gains growth high jump jumped jumps outperform
    partnership profit profits raised rally rallied rallies record rise rises rising soar soared soars
    strong surge surged surges upgrade upgraded win wins
    上涨 中标 利好 回购 增持 增长 大涨 大增 暴涨 涨停 盈利 突破 签约 获批 超预期 创新高
    看好 翻倍 牛
"""
TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "earnings": "earnings revenue quarterly eps 业绩 营收 净利润 季报 年报",
        "legal_regulation": "lawsuit sued regulator regulators sec investigation 监管 立案 处罚 诉讼 证监会",
        "credit_default": "default defaults defaulted bankrupt bankruptcy insolvent 违约 债券 破产 兑付",
        "fraud_scandal": "fraud scam scandal 造假 欺诈 骗 丑闻",
        "crypto": "bitcoin btc crypto ethereum stablecoin 比特币 加密货币 虚拟货币",
        "product_operations": "recall recalls launch launches launched outage product 召回 产品 停产 发布",
        "stock_moves": "share shares stock stocks 股价 涨停 跌停 股票 大盘",
    }
)

_HAN = re.compile(r"[㐀-鿿]")
_AROUND = 60  # code points either side of a mention that speak of it


def _pattern(words: str) -> re.Pattern[str]:
    """Han words anywhere (Chinese has no spaces), the others as whole words."""
    return re.compile("|".join(w if _HAN.search(w) else rf"\b(?:{w})\b" for w in words.split()), re.IGNORECASE)


class KeywordClassifier:
    """models.contract.Classifier over a word list. Deterministic; never raises for a text."""

    version = "keyword-1"

    def __init__(self) -> None:
        self._negative = _pattern(NEGATIVE)
        self._positive = _pattern(POSITIVE)
        self._topics = {topic: _pattern(words) for topic, words in TOPICS.items()}

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """One prediction per text, in order."""
        return [self._one(text) for text in texts]

    def _one(self, item: Text) -> Prediction:
        p, words = self._feeling(item.text)
        topics = tuple((topic, 0.9) for topic, pattern in self._topics.items() if pattern.search(item.text))
        return Prediction(topics, p, words == 0, tuple(self._span(item.text, span) for span in item.spans))

    def _span(self, text: str, span: tuple[int, int]) -> SpanPrediction:
        start, end = span
        p, words = self._feeling(text[max(0, start - _AROUND) : max(0, end) + _AROUND])
        return SpanPrediction(p, "mention") if words else SpanPrediction(self._feeling(text)[0], "text")

    def _feeling(self, text: str) -> tuple[tuple[float, float, float], int]:
        """Probabilities by counting with one neutral vote, and how many words were found."""
        negative = len(self._negative.findall(text))
        positive = len(self._positive.findall(text))
        votes = (4 * negative + 0.1, 1.0, 4 * positive + 0.1)  # one word is enough to decide
        low, _, high = (round(v / sum(votes), 4) for v in votes)
        return (low, round(1.0 - low - high, 4), high), negative + positive
