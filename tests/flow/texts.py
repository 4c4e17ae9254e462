"""A small made-up stream with a crisis in it, for flows without weights: plain rows, seeded."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 2, tzinfo=UTC)

_CALM = (
    "Tesla opens a showroom in {place}",
    "特斯拉在{place}开了一家新店",
    "Analysts expect steady sales at Tesla in {place}",
    "今天{place}的天气不错，看看行情",
    "Boeing delivers jets to {place}",
    "Quiet session in {place}, volumes thin",
    "Apple shares edge up on {place} demand",
    "{place} traders say strong growth and profit ahead for Boeing",
)
_BAD = (
    "Tesla recall in {place} after fire, lawsuit filed",
    "特斯拉{place}工厂起火 亏损扩大",
    "Tesla shares plunge on {place} fraud probe",
    "{place}车主投诉特斯拉，暴跌之后仍在违约边缘",
    "Terrible: Tesla misses badly in {place}, investors fear losses",
)
_ENDS = ["Haven", "Ridge", "Port", "Field", "Bridge", "Mill", "Ford", "Gate", "Wick", "Stead", "Ham", "Cliff"]
_PLACES = [f"{a} {b}" for a in ("North", "South", "Old", "New", "Upper") for b in _ENDS]


def stream(texts: int = 1500, days: int = 12, seed: int = 7) -> list[dict[str, Any]]:
    """Calm days with one crisis about Tesla on the next-to-last; some rows repeat, some are malformed on purpose."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for n in range(texts):
        at = START + timedelta(seconds=days * 86_400 * n / texts)
        phrase = rng.choice(_CALM if rng.random() > 0.12 else _BAD)
        rows.append(_row(f"c{n}", at, phrase.format(place=rng.choice(_PLACES)), rng))
    crisis = START + timedelta(days=days - 2, hours=9)
    for n in range(80):
        at = crisis + timedelta(seconds=rng.uniform(0, 3 * 3600))
        rows.append(_row(f"x{n}", at, rng.choice(_BAD).format(place=rng.choice(_PLACES)) + f" {rng.random():.6f}", rng))
    rows.sort(key=lambda r: r["ts"])
    return rows


def _row(native_id: str, at: datetime, text: str, rng: random.Random) -> dict[str, Any]:
    return {
        "id": native_id,
        "ts": at.isoformat(),
        "source": rng.choice(("wire", "forum", "blog")),
        "author": f"u{rng.randrange(200)}",
        "text": text,
    }
