"""Invented texts about invented companies, for the page's tests."""

from pipeline.records import SentimentLabel

SOURCES = {
    "zh": ("澄观财经", "百川数据", "股友圈", "南岸日报", "每日产经"),
    "en": ("Meridian Wire", "chirp", "The Ledger", "Harbour Post", "StreetTalk"),
}
SOCIAL = {"股友圈", "chirp", "StreetTalk"}
PHRASES: dict[tuple[str, SentimentLabel], tuple[str, ...]] = {
    ("zh", "negative"): (
        "{n}被曝拖欠供应商货款，多地项目停工",
        "{n}股价午后跳水，跌幅一度超过7%",
        "传{n}美元债无法按期付息，公司暂未回应",
        "{n}遭多家评级机构下调展望至负面",
        "又是{n}，真的服了，这管理层还能信吗",
    ),
    ("zh", "neutral"): (
        "{n}将于下周三召开临时股东大会",
        "{n}今日成交额12.4亿元，换手率2.1%",
        "{n}公告：董事会审议通过三项议案",
        "有没有人关注{n}的量能变化",
        "{n}调研纪要：产能利用率与上季持平",
    ),
    ("zh", "positive"): (
        "{n}三季度净利润同比增长31%，超出市场预期",
        "{n}中标38亿元项目，创年内新高",
        "{n}获大股东增持，彰显信心",
        "{n}回购方案落地，首日已斥资1.2亿元",
    ),
    ("en", "negative"): (
        "{n} withdrawals delayed again, customers say support has stopped answering",
        "{n} cuts full-year guidance, blames weak orders in Europe",
        "lol {n} down 9% and the ceo is on a podcast",
        "Regulator opens probe into {n} disclosures",
        "{n} auditor asks for more time, shares slide",
    ),
    ("en", "neutral"): (
        "{n} to present at the Rotterdam industry conference on Thursday",
        "{n} holds rates on its savings accounts",
        "Anyone following $TICK into earnings? no position",
        "{n} names new head of investor relations",
        "{n}: form 8-K filed",
    ),
    ("en", "positive"): (
        "{n} beats on revenue, raises outlook for the year",
        "{n} wins $2.1bn order, largest in its history",
        "Broker lifts {n} to buy on improving margins",
        "been saying it for months, {n} is printing money",
    ),
}
CRISIS = {
    "8888.HK": (
        "恒岳地产称无法按期支付美元债利息，境外债权人要求召开紧急会议",
        "恒岳地产多只债券盘中临停，最大跌幅超过40%",
        "恒岳地产董事长被限制高消费，公司回应称正在核实",
        "恒岳地产三地项目停工，购房者集体维权",
        "恒岳地产商票逾期规模据传达87亿元",
    ),
    "QHVN.US": (
        "Quillhaven Bancorp customers report withdrawals failing for a second day",
        "Quillhaven shares halted after 28% drop, bank says it is well capitalised",
        "State regulator sends examiners to Quillhaven Bancorp",
        "anyone else locked out of quillhaven?? been on hold for 3 hours",
    ),
}
