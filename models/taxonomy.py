"""One topic taxonomy for Chinese and English, and how each training set's labels map onto it.

A training set says something about *some* of our labels only. `targets_for` therefore returns, per
taxonomy label, 1.0 (holds), 0.0 (does not hold, and this set's convention would have said so) or
None (the set is silent: the label is masked out of the loss).

Source of the label sets: ../shared/data/README.md. The mapping is our own reading of 40 texts a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Target = float | None


@dataclass(frozen=True)
class Topic:
    """One label: its stable id, its display names, and what a risk desk should expect under it, in both languages."""

    id: str
    en: str
    zh: str
    description: str
    description_zh: str


TOPICS: Final[tuple[Topic, ...]] = (
    Topic("earnings", "Earnings", "业绩", "Results, guidance, profit warnings, revenue and margins.",
          "财报、业绩预告与预警、营收与利润率。"),
    Topic("analyst_ratings", "Analyst ratings", "机构评级", "Upgrades, downgrades, price targets, broker calls.",
          "评级上调或下调、目标价、券商观点。"),
    Topic("mna_investment", "M&A and investment", "并购投资", "Mergers, stakes bought or sold, control changes.",
          "并购重组、股权买卖、控制权变更。"),
    Topic("legal_regulation", "Legal and regulation", "法律监管", "Lawsuits, probes, fines, breaches of rules.",
          "诉讼仲裁、立案调查、罚款、违规。"),
    Topic("credit_default", "Credit and default", "信用违约", "Bonds, debt ratings, frozen funds, missed payments.",
          "债券、债务评级、资金冻结、逾期违约。"),
    Topic("personnel", "Personnel", "人事变动", "Appointments, resignations, managers out of reach.",
          "任命、辞职、高管失联或不能履职。"),
    Topic("product_operations", "Product and operations", "产品经营", "Products, contracts, plants, recalls, outages.",
          "产品、合同、产能、召回、停产停业。"),
    Topic("dividends_buybacks", "Dividends and buy-backs", "分红回购", "Dividends, splits, share repurchases.",
          "分红派息、送转拆股、股份回购。"),
    Topic("ipo_financing", "IPO and financing", "上市融资", "Listings, share placements, funding rounds.",
          "上市、增发配股、融资轮次。"),
    Topic("fraud_scandal", "Fraud and scandal", "欺诈丑闻", "Faked accounts, Ponzi and pyramid schemes, absconding.",
          "财务造假、庞氏骗局与传销、跑路。"),
    Topic("macro_central_banks", "Macro and central banks", "宏观央行", "Growth, inflation, jobs, interest rates.",
          "经济增长、通胀、就业、利率。"),
    Topic("politics_policy", "Politics and policy", "政治政策", "Governments, elections, laws, trade and war.",
          "政府、选举、法律法规、贸易与战争。"),
    Topic("commodities_energy", "Commodities and energy", "商品能源", "Oil, gas, power, metals, crops, their futures.",
          "石油、天然气、电力、金属、农产品及其期货。"),
    Topic("currencies", "Currencies", "外汇", "Exchange rates and interventions.",
          "汇率及汇市干预。"),
    Topic("crypto", "Crypto", "加密货币", "Coins, tokens, exchanges and chains.",
          "币种、代币、交易所与区块链。"),
    Topic("stock_moves", "Stock moves", "股价异动", "Moves of shares, sectors and indices.",
          "个股、板块与指数的涨跌。"),
    Topic("real_estate", "Real estate", "房地产", "Housing, property prices, developers.",
          "住房、房价、开发商。"),
)  # fmt: skip

TOPIC_IDS: Final[tuple[str, ...]] = tuple(topic.id for topic in TOPICS)
SENTIMENTS: Final[tuple[str, ...]] = ("negative", "neutral", "positive")

TWITTER20_LABELS: Final[tuple[str, ...]] = (
    "Analyst Update", "Company | Product News", "Currencies", "Dividend", "Earnings", "Energy | Oil",
    "Fed | Central Banks", "Financials", "General News | Opinion", "Gold | Metals | Materials", "IPO",
    "Legal | Regulation", "M&A | Investments", "Macro", "Markets", "Personnel Change", "Politics",
    "Stock Commentary", "Stock Movement", "Treasuries | Corporate Debt",
)  # fmt: skip
FINNL_LABELS: Final[tuple[str, ...]] = (
    "中国", "外国", "公司", "新冠", "经济", "行业", "政策", "大盘",
    "国际", "政治", "期货", "能源", "债券", "房地产", "虚拟货币", "外汇",
)  # fmt: skip
FINESE_LABELS: Final[tuple[str, ...]] = (
    "其他", "信批违规", "实控人股东变更", "交易违规", "不能履职", "重组失败", "评级调整", "业绩下滑",
    "涉嫌非法集资", "财务造假", "资金账户风险", "涉嫌传销", "涉嫌违法", "涉嫌欺诈", "资产负面",
    "高管负面", "投诉维权", "产品违规", "歇业停业", "失联跑路", "提现困难",
)  # fmt: skip

# What each training set itself calls its texts: the labels of its own small head in the released file.
OWN_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "fpb": SENTIMENTS,
    "twitter": SENTIMENTS,
    "sentfin": (*SENTIMENTS, "mixed"),
    "stockemotions": ("negative", "positive"),
    "finfe": SENTIMENTS,
    "emm_guba": SENTIMENTS,
    "wwwxmu": ("negative", "positive"),
    "finnsp": ("negative", "non-negative"),
    "twitter20": TWITTER20_LABELS,
    "finnl": FINNL_LABELS,
    "finese": FINESE_LABELS,
}
SENTIMENT_SETS: Final = ("fpb", "twitter", "sentfin", "stockemotions", "finfe", "emm_guba", "wwwxmu", "finnsp")
MULTILABEL_SETS: Final = ("finnl",)

# What the labels of the sets about sentiment mean for the product: one of SENTIMENTS, "not negative" (either of the two
# others, not told which), or "" (nothing about the text as a whole: its entities disagree).
_PLAIN: Final = {name: name for name in SENTIMENTS}
SENTIMENT_READINGS: Final[dict[str, dict[str, str]]] = {
    "fpb": _PLAIN,
    "twitter": _PLAIN,
    "sentfin": _PLAIN | {"mixed": ""},
    "stockemotions": {"negative": "negative", "positive": "positive"},
    "finfe": _PLAIN,
    "emm_guba": _PLAIN,
    "wwwxmu": {"negative": "negative", "positive": "positive"},
    "finnsp": {"negative": "negative", "non-negative": "not negative"},
}


@dataclass(frozen=True)
class Reading:
    """What one label of a set says: topics that hold, and topics it leaves open beyond the set's silence."""

    holds: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


# Twitter20 gives one label a tweet although several may hold: what commonly goes with a label is left open.
_TWITTER20: Final[dict[str, Reading]] = {
    "Analyst Update": Reading(("analyst_ratings",), ("stock_moves", "credit_default", "earnings")),
    "Company | Product News": Reading(("product_operations",), ("mna_investment", "ipo_financing", "personnel")),
    "Currencies": Reading(("currencies",), ("macro_central_banks", "stock_moves", "commodities_energy")),
    "Dividend": Reading(("dividends_buybacks",), ("earnings",)),
    "Earnings": Reading(("earnings",), ("product_operations", "stock_moves", "dividends_buybacks")),
    "Energy | Oil": Reading(("commodities_energy",), ("politics_policy", "product_operations", "stock_moves")),
    "Fed | Central Banks": Reading(("macro_central_banks",), ("currencies", "credit_default", "politics_policy")),
    "Financials": Reading((), ("earnings", "mna_investment", "product_operations", "credit_default",
                               "legal_regulation", "dividends_buybacks", "stock_moves", "ipo_financing")),
    "General News | Opinion": Reading((), ("politics_policy", "macro_central_banks", "product_operations",
                                           "legal_regulation", "commodities_energy")),
    "Gold | Metals | Materials": Reading(("commodities_energy",), ("currencies", "stock_moves", "macro_central_banks")),
    "IPO": Reading(("ipo_financing",), ("mna_investment", "product_operations")),
    "Legal | Regulation": Reading(("legal_regulation",), ("politics_policy", "mna_investment", "product_operations")),
    "M&A | Investments": Reading(("mna_investment",), ("ipo_financing", "product_operations")),
    "Macro": Reading(("macro_central_banks",), ("politics_policy", "commodities_energy", "product_operations")),
    "Markets": Reading(("stock_moves",), ("macro_central_banks", "earnings", "commodities_energy", "credit_default")),
    "Personnel Change": Reading(("personnel",), ("product_operations",)),
    "Politics": Reading(("politics_policy",), ("legal_regulation", "macro_central_banks", "commodities_energy")),
    "Stock Commentary": Reading((), ("stock_moves", "analyst_ratings", "earnings", "product_operations",
                                     "mna_investment", "dividends_buybacks", "commodities_energy")),
    "Stock Movement": Reading(("stock_moves",), ("earnings", "analyst_ratings", "product_operations",
                                                 "mna_investment", "legal_regulation")),
    "Treasuries | Corporate Debt": Reading(("credit_default",), ("macro_central_banks", "stock_moves")),
}  # fmt: skip

# FinNL is multi-label; labels such as 公司 (company) or 新冠 (Covid) say nothing about our taxonomy.
_FINNL: Final[dict[str, Reading]] = {
    "经济": Reading(("macro_central_banks",)),
    "政策": Reading(("politics_policy",)),
    "政治": Reading(("politics_policy",)),
    "大盘": Reading(("stock_moves",)),
    "行业": Reading((), ("stock_moves", "commodities_energy")),
    "期货": Reading((), ("commodities_energy", "stock_moves")),  # also index futures: `rules` decides
    "能源": Reading(("commodities_energy",)),
    "债券": Reading(("credit_default",), ("macro_central_banks",)),
    "房地产": Reading(("real_estate",)),
    "虚拟货币": Reading(("crypto",)),
    "外汇": Reading(("currencies",)),
    "公司": Reading((), ("stock_moves", "credit_default", "commodities_energy", "real_estate")),
    "国际": Reading((), ("currencies", "politics_policy", "commodities_energy")),
    "外国": Reading((), ("politics_policy",)),
}
_FINNL_COVERS: Final = ("macro_central_banks", "politics_policy", "commodities_energy", "currencies", "crypto",
                        "stock_moves", "real_estate")  # fmt: skip

# FinESE names the event of ONE subject; the text often glues several headlines together. So only labels
# that these events never accompany count as covered (a 0); other risk events in the text stay open.
_FINESE: Final[dict[str, Reading]] = {
    "信批违规": Reading(("legal_regulation",)),
    "实控人股东变更": Reading(("mna_investment",)),
    "交易违规": Reading(("legal_regulation",)),
    "不能履职": Reading(("personnel",)),
    "重组失败": Reading(("mna_investment",)),
    "评级调整": Reading(("credit_default",), ("analyst_ratings",)),
    "业绩下滑": Reading(("earnings",)),
    "涉嫌非法集资": Reading(("fraud_scandal", "legal_regulation")),
    "财务造假": Reading(("fraud_scandal",)),
    "资金账户风险": Reading(("credit_default",)),
    "涉嫌传销": Reading(("fraud_scandal", "legal_regulation")),
    "涉嫌违法": Reading(("legal_regulation",)),
    "涉嫌欺诈": Reading(("fraud_scandal",)),
    "资产负面": Reading((), ("credit_default",)),
    "高管负面": Reading(("personnel",)),
    "投诉维权": Reading(("product_operations",)),
    "产品违规": Reading(("product_operations", "legal_regulation")),
    "歇业停业": Reading(("product_operations",)),
    "失联跑路": Reading(("fraud_scandal",), ("personnel",)),
    "提现困难": Reading(("credit_default",), ("fraud_scandal",)),
}
_FINESE_COVERS: Final = ("macro_central_banks", "currencies", "crypto", "dividends_buybacks")

THUC10_LABELS: Final[tuple[str, ...]] = (
    "finance", "realty", "stocks", "education", "science", "society", "politics", "sports", "game", "entertainment",
)  # fmt: skip
_THUC10: Final[dict[str, Reading]] = {
    "realty": Reading(("real_estate",), ("politics_policy", "macro_central_banks", "stock_moves")),
    "stocks": Reading((), TOPIC_IDS),
    "finance": Reading((), TOPIC_IDS),
    "politics": Reading((), ("politics_policy", "legal_regulation", "personnel", "fraud_scandal")),
    "society": Reading((), ("legal_regulation", "fraud_scandal", "politics_policy")),
    "science": Reading((), ("product_operations", "mna_investment", "ipo_financing", "earnings", "legal_regulation")),
    "game": Reading((), ("product_operations",)),
    "education": Reading((), ("politics_policy",)),
}
_RULE_ONLY: Final = ("fraud_scandal", "crypto", "real_estate")  # Twitter20 has no label for these

_SETS: Final[dict[str, tuple[dict[str, Reading], tuple[str, ...]]]] = {
    "twitter20": (_TWITTER20, tuple(t for t in TOPIC_IDS if t not in _RULE_ONLY)),
    "finnl": (_FINNL, _FINNL_COVERS),
    "finese": (_FINESE, _FINESE_COVERS),
    "thuc10": (_THUC10, TOPIC_IDS),
}


def topic_sets() -> tuple[str, ...]:
    """Names of the training sets that say something about topics."""
    return tuple(_SETS)


def readings_of(set_name: str) -> dict[str, Reading]:
    """What each label of a set about topics says; a label that is missing says nothing. Unknown set: KeyError."""
    return _SETS[set_name][0]


def labels_of(set_name: str) -> tuple[str, ...]:
    """The labels that a set's rows may have. Unknown set: KeyError."""
    return THUC10_LABELS if set_name == "thuc10" else OWN_LABELS[set_name]


def coverage(set_name: str) -> tuple[bool, ...]:
    """Per taxonomy label: may an absent label of this set be read as a 0? Unknown set: KeyError."""
    covered = _SETS[set_name][1]
    return tuple(topic in covered for topic in TOPIC_IDS)


def targets_for(set_name: str, labels: list[str]) -> tuple[Target, ...]:
    """Map a text's own labels to one target a taxonomy label: 1.0, 0.0, or None when the set is silent.

    A label that holds wins over one that leaves the topic open; unknown labels say nothing.
    """
    readings, covered = _SETS[set_name]
    said = [readings[label] for label in labels if label in readings]
    holds = {topic for reading in said for topic in reading.holds}
    left_open = {topic for reading in said for topic in reading.open}
    return tuple(
        1.0 if topic in holds else (None if topic in left_open or topic not in covered else 0.0) for topic in TOPIC_IDS
    )
