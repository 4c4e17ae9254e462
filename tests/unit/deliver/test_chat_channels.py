"""Every chat channel against a server on this machine that answers as providers do: well, slowly, wrongly, not."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.build import outgoing_channels
from pipeline.deliver.channels.base import ChatChannel, Outlet
from pipeline.deliver.channels.dingtalk import DINGTALK
from pipeline.deliver.channels.feishu import FEISHU
from pipeline.deliver.channels.slack import SLACK
from pipeline.deliver.channels.teams import TEAMS
from pipeline.deliver.channels.wecom import WECOM
from pipeline.deliver.secrets import Vault, new_key
from pipeline.deliver.sender import HttpSender
from pipeline.settings import DeliverSettings
from pipeline.sources.http import Caps
from tests.unit.deliver.alerts import make_alert, make_delivery, make_subscription

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROVIDERS = {p.name: p for p in (SLACK, TEAMS, DINGTALK, FEISHU, WECOM)}
WELL = {
    "slack": "ok",
    "teams": "",
    "dingtalk": '{"errcode": 0, "errmsg": "ok"}',
    "feishu": '{"code": 0, "msg": "success"}',
    "wecom": '{"errcode": 0, "errmsg": "ok"}',
}
REFUSED = {
    "slack": "no_service",
    "teams": "Webhook message delivery failed with error: HTTP error 403",
    "dingtalk": '{"errcode": 310000, "errmsg": "sign not match"}',
    "feishu": '{"code": 19021, "msg": "sign match fail"}',
    "wecom": '{"errcode": 93000, "errmsg": "invalid webhook url"}',
}
TOKEN = "0123456789abcdef0123456789abcdef"
PATH = f"/hook/{TOKEN}"


def message(target: str) -> Message:
    alert = make_alert()
    subscription = make_subscription(channel="slack", target=target)
    return Message(make_delivery(alert, subscription, NOW), alert, subscription, "http://page.example/alerts/a1")


def send(name: str, target: str, *, private: bool = True, seconds: float = 5, vault: Vault = Vault()) -> Outcome:
    sender = HttpSender(private, lambda: NOW, Caps(seconds=seconds, bytes=65_536, redirects=0))
    return asyncio.run(ChatChannel(PROVIDERS[name], Outlet(sender, vault)).send(message(target)))


@pytest.fixture(params=sorted(PROVIDERS))
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_a_message_arrives(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_data(WELL[name], status=202 if name == "teams" else 200)
    got = send(name, httpserver.url_for(PATH))
    assert got.kind == "accepted", got
    request, _ = httpserver.log[0]
    assert request.headers["Content-Type"].startswith("application/json")
    said = request.get_data().decode()
    assert "Apple: 3 negatives" in said and "http://page.example/alerts/a1" in said and json.loads(said)


def test_a_sealed_address_is_opened_only_to_send(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data(WELL[name])
    vault = Vault([new_key()])
    assert send(name, vault.seal(httpserver.url_for(PATH)), vault=vault).kind == "accepted"
    other = send(name, vault.seal(httpserver.url_for(PATH)))
    assert other.kind == "permanent" and "another key" in other.reason and len(httpserver.log) == 1


def test_an_error_that_comes_with_200(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data(REFUSED[name], status=200)
    assert send(name, httpserver.url_for(PATH)).kind == "permanent"


def test_too_many(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data("", status=429, headers={"Retry-After": "13"})
    got = send(name, httpserver.url_for(PATH))
    assert (got.kind, got.after) == ("retry_after", 13)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_of_the_provider(name: str, status: int, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data("<html>oops", status=status)
    assert send(name, httpserver.url_for(PATH)).kind == "transient"


def test_slow(name: str, httpserver: HTTPServer) -> None:
    release = threading.Event()

    def slow(_: object) -> Response:
        release.wait(5)
        return Response(WELL[name])

    httpserver.expect_request(PATH).respond_with_handler(slow)
    got = send(name, httpserver.url_for(PATH), seconds=0.2)
    release.set()
    assert got.kind == "transient" and "may have arrived" in got.reason


def test_cut_after_it_was_taken(name: str) -> None:
    taken = b""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            nonlocal taken
            connection, _ = server.accept()
            while b"\r\n\r\n" not in taken:
                taken += connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.close()

        thread = threading.Thread(target=cut)
        thread.start()
        got = send(name, f"http://127.0.0.1:{server.getsockname()[1]}{PATH}")
        thread.join()
    assert taken.startswith(b"POST") and got.kind == "transient"


def test_a_redirect_is_not_followed(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_response(Response(status=307, headers={"Location": f"/new{PATH}"}))
    httpserver.expect_request(f"/new{PATH}").respond_with_data(WELL[name])
    got = send(name, httpserver.url_for(PATH))
    assert got.kind == "permanent" and "redirect" in got.reason and len(httpserver.log) == 1
    assert TOKEN not in got.reason


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"])
def test_addresses_of_this_network_are_refused(name: str, url: str) -> None:
    got = send(name, url, private=False)
    assert got.kind == "permanent" and "private network" in got.reason


def test_names_that_lead_to_this_network_are_refused(name: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data(WELL[name])

    class Rebound(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

        async def close(self) -> None: ...

    sender = HttpSender(False, lambda: NOW, resolver=Rebound())
    target = f"http://hooks.example:{httpserver.port}{PATH}"
    got = asyncio.run(ChatChannel(PROVIDERS[name], Outlet(sender)).send(message(target)))
    assert got.kind == "permanent" and "private network" in got.reason and not httpserver.log


def test_dingtalk_is_signed_anew_at_each_try(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/robot/send").respond_with_data(WELL["dingtalk"])
    target = httpserver.url_for(f"/robot/send?access_token={TOKEN}") + "#secret=SECtest+/="
    for _ in range(2):
        assert send("dingtalk", target).kind == "accepted"
    for request, _ in httpserver.log:
        stamp = str(int(NOW.timestamp() * 1000))
        mac = hmac.new(b"SECtest+/=", f"{stamp}\nSECtest+/=".encode(), hashlib.sha256).digest()
        assert request.args["timestamp"] == stamp and request.args["sign"] == base64.b64encode(mac).decode()
        assert request.args["access_token"] == TOKEN and len(request.args) == 3  # the address does not grow
        assert b"SECtest" not in request.get_data()


def test_feishu_is_signed_in_the_body(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data(WELL["feishu"])
    assert send("feishu", httpserver.url_for(PATH) + "#secret=abc").kind == "accepted"
    body = json.loads(httpserver.log[0][0].get_data())
    stamp = str(int(NOW.timestamp()))
    mac = hmac.new(f"{stamp}\nabc".encode(), b"", hashlib.sha256).digest()
    assert (body["timestamp"], body["sign"]) == (stamp, base64.b64encode(mac).decode())
    assert send("feishu", httpserver.url_for(PATH)).kind == "accepted"
    assert "sign" not in json.loads(httpserver.log[1][0].get_data())


def test_no_reason_ever_holds_a_secret(name: str, httpserver: HTTPServer) -> None:
    secret = "SEC0123456789"
    echo = f'{{"errcode": 310000, "code": 19021, "errmsg": "bad {TOKEN} {secret} {PATH}"}}'
    httpserver.expect_request(PATH).respond_with_data(echo, status=400)
    here = httpserver.url_for(PATH)
    wrong = [
        here,
        f"http://127.0.0.1:1{PATH}",
        f"ftp://x{PATH}",
        TOKEN + TOKEN,
        f"http://[{PATH}",
        f"http://a b{PATH}",
        f"http://no-such-host.invalid{PATH}",
    ]
    for target in wrong:
        got = send(name, f"{target}#secret={secret}")
        assert got.kind in ("permanent", "transient"), target
        assert TOKEN not in got.reason and secret not in got.reason, (target, got.reason)


def test_there_is_a_channel_for_every_name() -> None:
    found = outgoing_channels(DeliverSettings(), lambda: NOW, Vault())
    assert set(found) == {"webhook", "email", *PROVIDERS}
    assert aiohttp.__version__
