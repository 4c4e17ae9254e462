"""The pages as the server renders them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from dashboards.app import create_app
from dashboards.pages import marked
from pipeline.errors import Retry
from tests.browser.seed import NOW, World


def page(client: TestClient, path: str, lang: str = "en", status: int = 200) -> str:
    answer = client.get(path, headers={"accept-language": lang})
    assert answer.status_code == status, answer.text
    return answer.text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_first_screen_starts_with_what_turned_bad(client: TestClient, world: World, lang: str) -> None:
    html = page(client, "/", lang)
    assert ("37 of 52 negative, usually 0 to 5" if lang == "en" else "52 条中 37 条负面，平时 0 至 5 条") in html
    assert f'href="/alerts/{world.crisis_zh}"' in html and 'data-key="entity:8888.HK"' in html


def test_a_hostile_text_is_only_text(client: TestClient) -> None:
    for path in ("/", "/search?q=onerror", "/key/entity:8888.HK"):
        html = page(client, path)
        assert "<img" not in html and "<script>document" not in html and "javascript:alert" not in html
        assert "&lt;img src=x" in html


def test_a_hostile_query_is_only_text(client: TestClient) -> None:
    html = page(client, "/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&source=%3Cb%3E")
    assert "<script>alert" not in html and "<b>" not in html.split("<main", 1)[1]
    for path in ("/?path=x&request=x", "/search?path=x"):  # names of our own parameters
        assert "path=x" in page(client, path)
    for path in ("/key/%3Cscript%3E", "/key/entity:%22%3E%3Cb%3E", "/?key=%3Cb%3E", "/parts/alerts?scope=%3Cb%3E"):
        assert "<script>" not in page(client, path).split("<main", 1)[-1].replace('<script type="application/json"', "")


def test_search_finds_a_word_of_two_characters_and_marks_it(client: TestClient) -> None:
    html = page(client, "/search?q=停工", "zh")
    assert "<mark>停工</mark>" in html and 'rel="noopener noreferrer nofollow"' in html


@pytest.mark.parametrize(
    "query",
    [
        "offset=x",
        "offset=-1",
        "offset=99999999",
        "start=x",
        "sentiment=x",
        "span=9y",
        "order=zzz",
        "start=2026-11-20T10:00:00",
    ],
)
def test_a_mangled_search_address_is_no_error(client: TestClient, query: str) -> None:
    page(client, f"/search?{query}")


@pytest.mark.parametrize("query", ["range=9", "from=x&to=y", "to=2000-01-01T00:00:00Z", "from=2026-11-19T00:00:00Z"])
def test_a_mangled_key_address_is_no_error(client: TestClient, query: str) -> None:
    page(client, f"/key/entity:8888.HK?{query}")


def test_an_address_holds_its_time(client: TestClient) -> None:
    html = page(client, "/key/entity:QHVN.US?range=6h&to=2026-11-19T12:00:00.000Z")
    assert 'data-range="6h" data-to="2026-11-19T12:00:00.000Z"' in html
    closed = page(client, "/?key=entity:QHVN.US")  # an alert that has ended is shown at its own time
    assert 'data-to="2026-11-19T' in closed


def test_the_alert_page_proves_itself(client: TestClient, world: World) -> None:
    html = page(client, f"/alerts/{world.crisis_zh}")
    for part in (
        "×14.8",
        "once in 30M times",
        "once in 200k times",
        "usually 21%",
        "×31",
        "negative_spike",
        "windvane-zh-en-1",
        "First text",
    ):
        assert part in html, part


def test_language_switch_sets_a_cookie(client: TestClient) -> None:
    answer = client.get("/?lang=zh", headers={"accept-language": "en"})
    assert "当前预警" in answer.text and "windvane_lang=zh" in answer.headers["set-cookie"]
    client.cookies.clear()


def test_what_is_missing_is_said(client: TestClient) -> None:
    assert "There is no such alert" in page(client, "/alerts/none", status=404)
    assert "没有这个页面" in page(client, "/none", "zh", status=404)


def test_an_empty_store_says_what_to_do(fresh: Callable[[], tuple[World, TestClient]]) -> None:
    world, client = fresh()
    html = page(client, "/")
    assert "The first texts are on their way" in html and "Alerts appear here" in html
    idle = TestClient(create_app(replace(world.deps, status=dict)), base_url="http://127.0.0.1")
    assert "windvane demo" in page(idle, "/")
    assert "windvane demo" in page(client, "/search?q=x")


def test_stale_is_told_apart_from_calm(world: World) -> None:
    live = replace(world.deps, status=lambda: {"mode": "live"}, clock=lambda: NOW + timedelta(hours=2))
    client = TestClient(create_app(live), base_url="http://127.0.0.1")
    status = client.get("/api/status").json()
    assert status["stale"] and status["newest_age_s"] > 7000 and status["now"].startswith("2026-11-20T16:35")
    assert 'id="banner-stale" >' in page(client, "/")


def test_an_outage_is_a_sentence(world: World) -> None:
    class Down:
        def stats(self) -> dict:
            raise Retry("The database is locked.")

    client = TestClient(create_app(replace(world.deps, store=Down())), base_url="http://127.0.0.1")  # type: ignore[arg-type]
    answer = client.get("/api/status")
    assert answer.status_code == 503 and answer.json() == {"error": "The database is locked. Try again in a moment."}
    assert "cannot be shown right now" in page(client, "/", status=503)


def test_marked() -> None:
    assert marked("恒岳停工，停工", "停工") == [(False, "恒岳"), (True, "停工"), (False, "，"), (True, "停工")]
    assert marked("Fraud alert", '"fraud" ALERT') == [(True, "Fraud"), (False, " "), (True, "alert")]
    assert marked("abc", "") == [(False, "abc")]
    assert "".join(piece for _, piece in marked("İstanbul şirketi", "ist")) == "İstanbul şirketi"
