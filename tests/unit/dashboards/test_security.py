"""Headers, hosts, and the server's own checks."""

import socket
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from dashboards.app import create_app
from dashboards.security import host_name
from dashboards.server import bind, check_host
from dashboards.view import safe_url
from pipeline.errors import WindvaneError
from tests.browser.seed import World

PATHS = ("/", "/search?q=x", "/key/all", "/nope", "/api/status", "/static/style.css", "/alerts/none")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8710", "127.0.0.1.evil.example", "", "[::2]:8710"])
def test_foreign_host_names_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/status", headers={"host": host})
    assert answer.status_code == 421 and "127.0.0.1" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8710", "LOCALHOST"])
def test_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_a_public_server_answers_to_any_name(world: World) -> None:
    client = TestClient(create_app(replace(world.deps, hosts=None)), base_url="http://desk.bank.example")
    assert client.get("/healthz").status_code == 200


def test_host_name() -> None:
    assert [host_name(h) for h in ("A.b:80", "[::1]:8710", "[::1]")] == ["a.b", "[::1]", "[::1]"]


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.com/a?b=c", True),
        (" http://example.com ", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.com", False),
        ("http://", False),
        ("http://[", False),
        ("", False),
        ("JaVaScRiPt:x", False),
        (None, False),
    ],
)
def test_safe_url(url: str | None, safe: bool) -> None:
    assert (safe_url(url) is not None) == safe


def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WindvaneError) as e:
            bind("127.0.0.1", port)
    assert f"port {port}" in str(e.value) and "--port" in str(e.value)


def test_only_this_machine_unless_allowed() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.53"):
        check_host(host, allow_remote=False)
    for host in ("0.0.0.0", "::", "192.168.1.4", "desk.example"):
        check_host(host, allow_remote=True)
        with pytest.raises(WindvaneError, match="no log-in"):
            check_host(host, allow_remote=False)
