"""The one plain sentence of an alert, in English and Chinese, per kind of rule. What no test was asked of is not said
to be proof: each sentence names what decided."""

from typing import NamedTuple

from pipeline.detect.rules import Rule
from pipeline.records import Story


class Facts(NamedTuple):
    """The numbers of the sentence."""

    hours: int
    negatives: int
    total: int
    low: int  # the usual band of what the rule counts
    high: int
    mean: float
    share: float
    usual_share: float
    voices: int
    story: Story | None  # the one that spread furthest
    days: tuple[int, int] | None  # volume_surge: (days as busy, days asked about) before


def sentences(rule: Rule, name_en: str, name_zh: str, f: Facts) -> tuple[str, str]:
    """(English, Chinese)."""
    return f"{name_en}: {_english(rule, f)}", f"{name_zh}：{_chinese(rule, f)}"


def _english(rule: Rule, f: Facts) -> str:
    """E.g. "37 negative of 95 in the last 6 hours, from 12 voices; usually 8 to 15 negative. …"."""
    hours = "hour" if f.hours == 1 else f"{f.hours} hours"
    usual = f"{f.high} at most" if f.low == 0 else f"{f.low} to {f.high}"
    voices = "1 voice" if f.voices == 1 else f"{f.voices} voices"
    texts = "1 text" if f.total == 1 else f"{f.total} texts"
    now = f"{f.negatives} negative of {f.total} in the last {hours}, from {voices}"
    share = f"Negative share {_percent(f.share)}, usually {_percent(f.usual_share)}."
    match rule.kind:
        case "negative_volume":
            return f"{now}; usually {usual} negative. Judged by their number alone, whatever the share."
        case "negative_share":
            return f"{now}. {share} Judged by the share alone, whatever the number."
        case "volume_surge":
            rare = f" {_rare_english(*f.days)}" if f.days else ""
            now = f"{texts} in the last {hours}, from {voices}; usually {usual}.{rare}"
            return f"{now} {f.negatives} of them are negative."
        case "silence":
            return f"no text in the last {hours}; usually {usual}. The rest of the stream goes on."
        case "message":
            title, source = (f.story.title, f.story.source) if f.story else ("", "")
            return f"“{title}” ({source}) is negative with at least {_percent(rule.certain)} confidence."
        case "static" if rule.count is not None:
            return f"{now}; your limit is {rule.count} negative."
        case "static":
            return f"{now}. Negative share {_percent(f.share)}; your limit is {_percent(rule.share or 1.0)}."
    return f"{now}; usually {usual} negative. {share}"


def _chinese(rule: Rule, f: Facts) -> str:
    """E.g. "过去6小时37篇负面（共95篇，12个发布者），平时8到15篇；负面占比39%，平时12%。"."""
    usual = f"最多{f.high}篇" if f.low == 0 else f"{f.low}到{f.high}篇"
    now = f"过去{f.hours}小时{f.negatives}篇负面（共{f.total}篇，{f.voices}个发布者）"
    share = f"负面占比{_percent(f.share)}，平时{_percent(f.usual_share)}"
    match rule.kind:
        case "negative_volume":
            return f"{now}，平时{usual}。仅按篇数判断，不看占比。"
        case "negative_share":
            return f"{now}；{share}。仅按占比判断，不看篇数。"
        case "volume_surge":
            rare = f"，{_rare_chinese(*f.days)}" if f.days else ""
            return f"过去{f.hours}小时{f.total}篇（{f.voices}个发布者），平时{usual}{rare}；其中{f.negatives}篇负面。"
        case "silence":
            return f"过去{f.hours}小时没有一篇，平时{usual}；其他来源正常。"
        case "message":
            title, source = (f.story.title, f.story.source) if f.story else ("", "")
            return f"《{title}》（{source}）为负面，置信度不低于{_percent(rule.certain)}。"
        case "static" if rule.count is not None:
            return f"{now}；您设的上限是{rule.count}篇负面。"
        case "static":
            return f"{now}；负面占比{_percent(f.share)}，您设的上限是{_percent(rule.share or 1.0)}。"
    return f"{now}，平时{usual}；{share}。"


def _rare_english(busier: int, days: int) -> str:
    if days == 1:
        return "The day before was not as busy."
    return f"{f'Only {busier}' if busier else 'None'} of the {days} days before was as busy."


def _rare_chinese(busier: int, days: int) -> str:
    return f"此前{days}天只有{busier}天如此" if busier else f"此前{days}天从未如此"


def _percent(x: float) -> str:
    return f"{x:.0%}" if x >= 0.01 else f"{x:.1%}"
