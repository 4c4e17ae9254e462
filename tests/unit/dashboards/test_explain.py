"""GET /api/explain and its button: offered where the model is at hand, asked for the right text and entity."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from dashboards.app import create_app
from pipeline.errors import WindvaneError
from tests.browser.seed import World, explained
from tests.unit.dashboards.conftest import BASE

KEY = "entity:8888.HK"


@pytest.fixture
def asked() -> list[tuple[str, str | None]]:
    return []


@pytest.fixture
def explaining(world: World, asked: list[tuple[str, str | None]]) -> TestClient:
    def explain(opinion, entity):
        asked.append((opinion.opinion_id, entity))
        return explained(opinion, entity)

    return TestClient(create_app(replace(world.deps, explain=explain)), base_url=BASE)


def some_text(client: TestClient, **query: str) -> dict:
    return client.get("/api/opinions", params={"limit": 1, **query}).json()["items"][0]


def test_a_text_is_explained_and_under_a_key_its_entity(explaining: TestClient, asked: list) -> None:
    text = some_text(explaining, key=KEY)
    found = explaining.get("/api/explain", params={"id": text["id"]}).json()
    assert found["id"] == text["id"] and found["words"][0]["weight"] > 0 and found["text"]
    explaining.get("/api/explain", params={"id": text["id"], "key": KEY})
    explaining.get("/api/explain", params={"id": text["id"], "key": "entity_topic:8888.HK|earnings"})
    explaining.get("/api/explain", params={"id": text["id"], "key": "topic:earnings"})
    explaining.get("/api/explain", params={"id": text["id"], "key": "entity:QHVN.US"})  # not named in this text
    assert asked == [(text["id"], e) for e in (None, "8888.HK", "8888.HK", None, None)]


def test_what_cannot_be_explained_is_a_sentence(explaining: TestClient, client: TestClient) -> None:
    answer = explaining.get("/api/explain", params={"id": "nope"})
    assert answer.status_code == 404 and answer.json()["error"].startswith("There is no text nope.")
    assert explaining.get("/api/explain").status_code == 422
    without = client.get("/api/explain", params={"id": some_text(client)["id"]})
    assert without.status_code == 404 and "without the model" in without.json()["error"]


def test_a_text_without_words_is_a_sentence_too(world: World) -> None:
    def explain(opinion, entity):
        raise WindvaneError("expected a text with at least one word, found '…'.")

    client = TestClient(create_app(replace(world.deps, explain=explain)), base_url=BASE)
    answer = client.get("/api/explain", params={"id": some_text(client)["id"]})
    assert answer.status_code == 422 and "at least one word" in answer.json()["error"]


@pytest.mark.parametrize("lang, word", [("en", "Why?"), ("zh", "为什么？")])
def test_the_button_is_there_only_where_it_works(
    explaining: TestClient, client: TestClient, lang: str, word: str
) -> None:
    headers = {"accept-language": lang}
    assert f'data-why aria-expanded="false">{word}</button>' in explaining.get("/search", headers=headers).text
    assert "data-why" not in client.get("/search", headers=headers).text
