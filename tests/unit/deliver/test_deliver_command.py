"""`windvane deliver test` shows what the provider said and how it is understood; `windvane secret-key` a usable key."""

import json
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.deliver.secrets import Vault
from pipeline.errors import WindvaneError

RUN = CliRunner()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINDVANE_DELIVER__WEBHOOK_ALLOW_PRIVATE", "true")


def test_the_answer_and_our_reading(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_ordered_request("/hook").respond_with_json({"errcode": 310000, "errmsg": "sign not match"})
    httpserver.expect_ordered_request("/hook").respond_with_json({"errcode": 0, "errmsg": "ok"})
    address = httpserver.url_for("/hook") + "#secret=SECret0123456789"
    refused = RUN.invoke(app, ["deliver", "test", "dingtalk", "--to", "-", "--json"], input=address + "\n")
    told = json.loads(refused.stdout)
    assert refused.exit_code == 1 and (told["outcome"], told["status"]) == ("permanent", 200)
    assert "sign not match" in told["said"] and "SECret" not in refused.output
    taken = RUN.invoke(app, ["deliver", "test", "dingtalk", "--to", address, "--json", "--language", "zh"])
    assert taken.exit_code == 0 and json.loads(taken.stdout)["outcome"] == "accepted"
    assert "测试" in httpserver.log[1][0].get_data().decode() and "sign=" in httpserver.log[1][0].full_path
    assert not list(tmp_path.iterdir())  # nothing is kept


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pigeon", "--to", "https://x"], "expected a channel"),
        (["slack", "--to", "nowhere"], "expected the address that slack gave you"),
        (["email", "--to", "a@b.c, d@e.f"], "one e-mail address"),
        (["slack", "--to", "https://x", "--language", "fr"], "expected en or zh"),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(words: list[str], says: str) -> None:
    got = RUN.invoke(app, ["deliver", "test", *words])
    assert isinstance(got.exception, WindvaneError) and says in str(got.exception)


def test_a_new_key_seals() -> None:
    keys = {RUN.invoke(app, ["secret-key"]).stdout.strip() for _ in range(2)}
    assert len(keys) == 2 and all(Vault([k]).can_seal for k in keys)
