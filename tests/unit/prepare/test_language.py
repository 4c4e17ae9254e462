import pytest

from pipeline.prepare.language import language_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$TSLA 涨了", "zh"),
        ("涨停", "zh"),
        ("iPhone 15 Pro Max 发布了", "zh"),
        ("台積電股價大漲，外資買超", "zh"),
        ("Tesla 特斯拉 今天又跌了", "zh"),
        ("美联储FOMC会议纪要", "zh"),
        ("好の东西", "zh"),
        ("AAPL shares fall", "en"),
        ("$AAPL $TSLA", "en"),
        ("Boeing faces SEC probe over 737 MAX", "en"),
        ("RT @x: $FB up http://t.co/abc", "en"),
        ("Nestlé beats estimates", "en"),
        ("The café on the corner is closed", "en"),
        ("Alibaba (阿里巴巴) is to buy the stake from its founder", "en"),
        ("to the moon 🚀", "en"),
        ("日経平均は続落した", "other"),
        ("株価上昇 決算発表", "other"),
        ("トヨタ自動車の株", "other"),
        ("삼성전자 주가 하락", "other"),
        ("Les actions d'Apple chutent après les résultats", "other"),
        ("El bitcoin cae por debajo de los 20.000 dólares", "other"),
        ("Die Aktie der Deutschen Bank fällt", "other"),
        ("Акции Газпрома упали", "other"),
        ("أسهم أرامكو", "other"),
        ("12.5% !!!", "other"),
        ("", "other"),
    ],
)
def test_language(text: str, expected: str) -> None:
    assert language_of(text) == expected
