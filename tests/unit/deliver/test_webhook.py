"""The webhook channel against a server on this machine: what is sent, and what each answer means."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
from datetime import UTC, datetime

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.channels.base import Outlet
from pipeline.deliver.outcomes import of_webhook
from pipeline.deliver.sender import HttpSender
from pipeline.deliver.webhook import WebhookChannel, signing_key
from pipeline.errors import WindvaneError
from pipeline.sources.http import Answer, Caps
from tests.unit.deliver.alerts import make_alert, make_delivery, make_subscription

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def send(url: str, *, secret: str = "", seconds: float = 5, private: bool = True, **message: object) -> Outcome:
    alert = make_alert()
    subscription = make_subscription(channel="webhook", target=url, **message)
    sender = HttpSender(private, lambda: NOW, Caps(seconds=seconds, bytes=65_536, redirects=0))
    channel = WebhookChannel(Outlet(sender), secret)
    return asyncio.run(
        channel.send(Message(make_delivery(alert, subscription, NOW), alert, subscription, "http://page/alerts/a1"))
    )


def test_the_alert_arrives_signed_with_its_evidence_and_a_sentence(httpserver: HTTPServer):
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    key = b"0123456789abcdef01234567"
    got = send(httpserver.url_for("/hook"), secret="whsec_" + base64.b64encode(key).decode(), language="zh")
    assert got.kind == "accepted"
    request, _ = httpserver.log[0]
    body = request.get_data()
    told = json.loads(body)
    assert (
        told["type"] == "alert.fired" and told["text"] == "苹果：3 条负面" and told["link"] == "http://page/alerts/a1"
    )
    assert told["data"]["evidence"]["negatives"] == 12 and told["data"]["key"] == "entity:AAPL.US"
    delivery_id = request.headers["webhook-id"]
    assert delivery_id == make_delivery(make_alert(), make_subscription(channel="webhook"), NOW).id
    stamp = request.headers["webhook-timestamp"]
    assert stamp == str(int(NOW.timestamp()))
    mac = hmac.new(key, f"{delivery_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_no_secret_no_signature(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data("")
    assert send(httpserver.url_for("/hook")).kind == "accepted"
    assert "webhook-signature" not in httpserver.log[0][0].headers


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "after"),
    [
        (200, "", {}, "accepted", None),
        (204, "", {}, "accepted", None),
        (202, "queued", {}, "accepted", None),
        (200, '{"errcode": 0, "errmsg": "ok"}', {}, "accepted", None),
        (200, '{"code": 200, "data": {}}', {}, "accepted", None),
        (200, '{"ok": true}', {}, "accepted", None),
        (200, "[1]", {}, "accepted", None),
        (200, "<html>", {}, "accepted", None),
        (200, '{"errcode": 310000, "errmsg": "sign not match"}', {}, "permanent", None),
        (200, '{"errcode": 45009}', {}, "retry_after", 60),
        (200, '{"code": 9499, "msg": "too many request"}', {}, "retry_after", 60),
        (200, '{"errcode": 40001}', {}, "transient", None),
        (200, '{"ok": false}', {}, "transient", None),
        (200, '{"error": "invalid"}', {}, "transient", None),
        (429, "", {"Retry-After": "7"}, "retry_after", 7),
        (429, "", {"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"}, "retry_after", 60),
        (429, "", {}, "retry_after", None),
        (429, "", {"Retry-After": "soon"}, "retry_after", None),
        (503, "", {"Retry-After": "5"}, "retry_after", 5),
        (500, "oops", {}, "transient", None),
        (502, "", {}, "transient", None),
        (503, "", {}, "transient", None),
        (408, "", {}, "transient", None),
        (301, "", {"Location": "http://elsewhere/"}, "permanent", None),
        (302, "", {}, "permanent", None),
        (400, "", {}, "permanent", None),
        (401, "", {}, "permanent", None),
        (404, "", {}, "permanent", None),
        (410, "", {}, "permanent", None),
    ],
)
def test_outcome_of_status_and_body(status, body, headers, kind, after):
    got = of_webhook(Answer(status, headers, body.encode(), "http://x"), NOW)
    assert (got.kind, got.after) == (kind, after), got


def test_a_redirect_is_not_followed(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_response(Response(status=307, headers={"Location": "/other"}))
    httpserver.expect_request("/other").respond_with_data("ok")
    got = send(httpserver.url_for("/hook"))
    assert got.kind == "permanent" and "/other" in got.reason and len(httpserver.log) == 1


def test_a_slow_server_is_a_transient_failure(httpserver: HTTPServer):
    release = threading.Event()

    def slow(_: object) -> Response:
        release.wait(5)
        return Response("late")

    httpserver.expect_request("/hook").respond_with_handler(slow)
    got = send(httpserver.url_for("/hook"), seconds=0.2)
    release.set()
    assert got.kind == "transient" and "may have arrived" in got.reason


def test_a_connection_cut_after_the_request_is_a_transient_failure():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.close()

        thread = threading.Thread(target=cut)
        thread.start()
        got = send(f"http://127.0.0.1:{server.getsockname()[1]}/hook")
        thread.join()
    assert got.kind == "transient"


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/hook").kind == "transient"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://localhost:1/x", "http://[::1]/", "ftp://a/", "nonsense"]
)
def test_private_and_malformed_addresses_are_refused_for_good(url):
    got = send(url, private=False)
    assert got.kind == "permanent" and ("refused" in got.reason or "Expected http" in got.reason)


def test_secrets():
    assert signing_key("") is None and signing_key("plain") == b"plain"
    with pytest.raises(WindvaneError, match="not base64"):
        signing_key("whsec_***")
