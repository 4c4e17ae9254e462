"""The JSON API, as docs/api.md promises it."""

from datetime import datetime, timedelta

from fastapi.testclient import TestClient

from tests.browser.seed import NOW, World

KEY = "entity:8888.HK"


def get(client: TestClient, path: str, **query: object):
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_status_in_replay_has_event_time_as_now(client: TestClient, world: World) -> None:
    status = get(client, "/api/status")
    assert abs(datetime.fromisoformat(status["now"]) - NOW) < timedelta(minutes=5)
    assert status["mode"] == "replay" and status["stale"] is False
    assert status["lag"] == {"prepare": 0, "classify": 3} and status["dead_letters"] == 2
    assert status["alerts"] == {"open": 1, "total": 2}


def test_alerts_carry_names_evidence_and_a_sentence_in_both_languages(client: TestClient, world: World) -> None:
    rows = get(client, "/api/alerts", status="open")["items"]
    assert [a["alert_id"] for a in rows] == [world.crisis_zh]
    a = rows[0]
    assert a["names"] == {"en": "Hengyue Property", "zh": "恒岳地产", "tickers": ["8888.HK"], "kind": "entity"}
    assert a["evidence"]["negatives"] == 37 and a["evidence"]["top_stories"][0]["copies"] == 31
    assert "37 of 52" in a["sentence"]["en"] and "37 篇" in a["sentence"]["zh"]
    assert get(client, "/api/alerts", status="resolved", key="entity:QHVN.US")["items"][0]["end"] is not None
    assert get(client, f"/api/alerts/{world.crisis_zh}")["events"][0]["event"] == "fired"


def test_unknown_alert_is_a_sentence(client: TestClient) -> None:
    answer = client.get("/api/alerts/nope")
    assert answer.status_code == 404
    assert answer.json() == {"error": "There is no alert nope. /api/alerts lists those there are."}


def test_opinions_filter_by_word_entity_sentiment_and_time(client: TestClient) -> None:
    start = (NOW - timedelta(hours=4)).isoformat()
    found = get(client, "/api/opinions", q="停工", entity="8888.HK", sentiment="negative", start=start, limit=200)
    assert found["total"] == len(found["items"]) > 0
    for o in found["items"]:
        assert "停工" in o["text"] and o["feeling"] == "negative"
        assert o["published_at"] >= "2026-11-20T10:35"
        assert any(e["entity"] == "8888.HK" for e in o["entities"])
    assert (
        get(client, "/api/opinions", key=KEY, sentiment="negative")["total"]
        == get(client, "/api/opinions", entity="8888.HK", sentiment="negative")["total"]
    )


def test_dangerous_addresses_never_leave_the_server(client: TestClient) -> None:
    found = get(client, "/api/opinions", q="javascript link")
    assert [o["url"] for o in found["items"]] == [None]


def test_series_agrees_with_the_texts_it_counts(client: TestClient) -> None:
    end = NOW.replace(minute=30, second=0)
    start = end - timedelta(hours=6)
    series = get(client, "/api/series", key=KEY, start=start.isoformat(), end=end.isoformat(), step=900)
    c = series["columns"]
    assert len(c["t"]) == 24 and series["step_s"] == 900
    texts = get(client, "/api/opinions", key=KEY, start=start.isoformat(), end=end.isoformat())["total"]
    assert sum(c["total"]) == texts > 20
    assert [
        n + u + p + s for n, u, p, s in zip(c["negative"], c["neutral"], c["positive"], c["unsure"], strict=True)
    ] == c["total"]
    width = series["window_s"] // 900
    assert c["window_negative"][-1] == sum(c["negative"][-width:])
    before = {
        "key": KEY,
        "end": start + timedelta(minutes=15),
        "start": start + timedelta(minutes=15, hours=-width / 4),
    }
    assert c["window_total"][0] == get(client, "/api/opinions", **before)["total"] > c["total"][0]
    assert c["share"][-1] > c["usual_share_high"][-1]  # the crisis stands out of the band
    assert c["negative"][-4:] != [0] * 4 and c["usual_high"][-1] < c["window_negative"][-1]
    assert [a["key"] for a in series["alerts"]] == [KEY]


def test_series_refuses_what_it_cannot_serve_in_a_sentence(client: TestClient) -> None:
    answer = client.get("/api/series", params={"key": KEY, "step": 1000})
    assert answer.status_code == 422
    assert answer.json()["error"] == "step must be a multiple of 300 seconds, not 1000. Try 900."
    long = client.get("/api/series", params={"start": "2000-01-01T00:00:00Z", "step": 300})
    assert "at most 2000" in long.json()["error"]
    assert "q: " in client.get("/api/opinions", params={"q": "x" * 501}).json()["error"]
    for bad in ("nan", "inf", "0", "-1"):
        assert client.get("/api/movers", params={"hours": bad}).status_code == 422


def test_movers_rank_surprise_not_volume(client: TestClient) -> None:
    rows = get(client, "/api/movers", hours=6, limit=100)["items"]
    by_key = {m["key"]: m for m in rows}
    assert abs(rows[0]["score"]) == max(abs(m["score"]) for m in rows)
    stirred, loud = by_key["entity:NRTH.US"], by_key["entity:TSVR.US"]
    assert stirred["score"] > 3 > abs(loud["score"])
    assert by_key[KEY]["alert_id"] is not None and stirred["alert_id"] is None


def test_keys_are_found_by_name_and_ticker_in_both_languages(client: TestClient) -> None:
    for q in ("hengyue", "恒岳", "8888"):
        assert get(client, "/api/keys", q=q)["items"][0]["key"] == KEY
    assert get(client, "/api/keys", q="违约")["items"][0]["key"] == "topic:credit_default"
    assert get(client, "/api/keys", q="no such company")["items"] == []
    assert len(get(client, "/api/keys", q="", limit=5)["items"]) == 5


def test_healthz_and_an_unknown_address(client: TestClient) -> None:
    assert get(client, "/healthz") == {"status": "ok"}
    answer = client.get("/api/nothing")
    assert answer.status_code == 404 and "docs/api.md" in answer.json()["error"]
