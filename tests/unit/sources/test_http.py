"""The guard: which addresses are public, and that no way round it leads to a private one."""

import asyncio
import gzip
import socket
from datetime import UTC, datetime

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.sources.http import Answer, Caps, Client, Refused, check_url, is_public, open_session, retry_after

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "//a/b", "/a", "", "http://", "http://[bad"])
def test_no_web_address(url):
    with pytest.raises(Refused, match="Expected http"):
        check_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://[::1]:8/", "http://[::ffff:10.0.0.1]/", "http://10.1/"])
def test_addresses_in_the_url(url):
    try:
        check_url(url)
    except Refused as e:
        assert "private network" in str(e)
    else:  # not an address to Python: the resolver decides, see below
        assert url == "http://10.1/"


class Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a, port=port, family=socket.AF_INET, proto=0, flags=0)
            for a in self.addresses
        ]

    async def close(self) -> None:
        pass


def get(
    url: str, *, guarded: bool = False, session_guarded: bool | None = None, caps: Caps = Caps(), names=None
) -> Answer:
    async def work() -> Answer:
        free = not (guarded if session_guarded is None else session_guarded)
        async with open_session("test", caps, free, names) as session:
            return await Client(session, caps, not guarded).get(url)

    return asyncio.run(work())


def test_a_name_that_resolves_to_a_private_address(httpserver: HTTPServer):
    httpserver.expect_request("/").respond_with_data("secret")
    url = f"http://innocent.example:{httpserver.port}/"
    assert get(url, names=Names("127.0.0.1")).body == b"secret"
    with pytest.raises(Refused, match=r"innocent\.example is an address on this machine"):
        get(url, guarded=True, names=Names("127.0.0.1", "10.0.0.1"))
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost"])
def test_other_spellings_of_this_machine(host, httpserver: HTTPServer):
    with pytest.raises((Refused, OSError)):
        get(f"http://{host}:{httpserver.port}/", guarded=True)
    assert httpserver.log == []


def test_a_redirect_to_a_private_address(httpserver: HTTPServer):
    there = Response(status=302, headers={"Location": f"http://127.0.0.1:{httpserver.port}/secret"})
    httpserver.expect_request("/").respond_with_response(there)
    httpserver.expect_request("/secret").respond_with_data("secret")
    url = f"http://public.example:{httpserver.port}/"
    with pytest.raises(Refused, match=r"127\.0\.0\.1"):
        get(url, guarded=True, session_guarded=False, names=Names("127.0.0.1"))
    assert len(httpserver.log) == 1


def test_redirects_are_followed_to_a_limit(httpserver: HTTPServer):
    for n in range(9):
        status = 301 if n < 3 else 302
        to = Response(status=status, headers={"Location": f"/{n + 1}"})
        httpserver.expect_request(f"/{n}").respond_with_response(to)
    httpserver.expect_request("/9").respond_with_data("end")
    answer = get(httpserver.url_for("/5"))
    assert (answer.body, answer.url, answer.moved) == (b"end", httpserver.url_for("/9"), False)
    with pytest.raises(Refused, match="redirects more than 5 times"):
        get(httpserver.url_for("/1"))


def test_moved_for_good(httpserver: HTTPServer):
    httpserver.expect_request("/old").respond_with_response(Response(status=308, headers={"Location": "/new"}))
    httpserver.expect_request("/new").respond_with_data("end")
    assert get(httpserver.url_for("/old")).moved and not get(httpserver.url_for("/new")).moved


def test_size_is_capped_after_unpacking(httpserver: HTTPServer):
    bomb = gzip.compress(b"0" * 30_000_000)
    httpserver.expect_request("/").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Refused, match="more than 1000000 bytes"):
        get(httpserver.url_for("/"), caps=Caps(bytes=1_000_000))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("Fri, 02 Jan 2026 00:01:00 GMT", 60), ("Thu, 01 Jan 2026 00:00:00 GMT", 0), ("x", None), ("", None),
     ("-5", None), ("٣", None)],
)  # fmt: skip
def test_retry_after(value, seconds):
    assert retry_after({"Retry-After": value}, datetime(2026, 1, 2, tzinfo=UTC)) == seconds
