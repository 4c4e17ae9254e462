"""What a person reads when Elasticsearch is old, another server, closed or not there; and TLS for real."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from pipeline.errors import Retry, WindvaneError
from pipeline.settings import ElasticsearchSettings
from pipeline.store.es_client import Busy, Connection, Refused

ELASTIC = {"X-Elastic-Product": "Elasticsearch"}


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        yield server


def connection(server: HTTPServer, **more: object) -> Connection:
    return Connection(ElasticsearchSettings.model_validate({"url": server.url_for("/"), **more}))


def speaks(server: HTTPServer, version: str, headers: dict[str, str] = ELASTIC) -> None:
    server.expect_request("/").respond_with_json({"version": {"number": version}}, headers=headers)


@pytest.mark.parametrize("version", ["8.19.8", "8.20.0", "9.1.3"])
def test_servers_that_windvane_works_with(server: HTTPServer, version: str) -> None:
    speaks(server, version)
    assert connection(server).version() == version


@pytest.mark.parametrize("version", ["7.17.0", "8.9.0", "10.0.0"])
def test_other_versions_are_a_sentence(server: HTTPServer, version: str) -> None:
    speaks(server, version)
    with pytest.raises(WindvaneError, match=rf"expected Elasticsearch 8\.19 or 9\.x .* found {version}"):
        connection(server).version()


def test_another_product_is_a_sentence(server: HTTPServer) -> None:
    speaks(server, "8.19.8", headers={})
    with pytest.raises(WindvaneError, match=r"found another server\. Correct elasticsearch\.url"):
        connection(server).version()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"api_key": SecretStr("k")}, "elasticsearch.api_key"),
        ({"username": "u", "password": SecretStr("p")}, "elasticsearch.username and elasticsearch.password"),
        ({}, "it asks who we are. Give elasticsearch.api_key"),
    ],
)
def test_a_closed_door_names_the_setting_and_no_secret(
    server: HTTPServer, given: dict[str, object], named: str
) -> None:
    server.expect_request("/").respond_with_json({"error": {"type": "security_exception"}}, status=401)
    with pytest.raises(WindvaneError) as told:
        connection(server, **given).version()
    assert named in str(told.value)
    assert "SecretStr" not in str(told.value)


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_server_is_an_outage(server: HTTPServer, status: int) -> None:
    server.expect_request("/x").respond_with_json({"error": {"type": "busy", "reason": "full"}}, status=status)
    with pytest.raises(Busy, match="busy: full"):
        connection(server).request("GET", "/x")


def test_a_refusal_says_why_also_when_a_proxy_says_it(server: HTTPServer) -> None:
    server.expect_request("/x").respond_with_data("<html>Too large</html>", status=413, content_type="text/html")
    with pytest.raises(Refused, match="Too large") as told:
        connection(server).request("POST", "/x", {})
    assert told.value.status == 413


def test_nobody_there_is_an_outage_that_names_the_address(server: HTTPServer) -> None:
    there = connection(server)
    server.stop()
    with pytest.raises(Retry, match=r"no connection to Elasticsearch at http://.*elasticsearch\.url"):
        there.version()


@pytest.mark.parametrize("url", ["localhost", "localhost:9200", "ftp//x"])
def test_what_is_no_address_is_a_sentence(url: str) -> None:
    with pytest.raises(WindvaneError, match=r"elasticsearch\.url"):
        Connection(ElasticsearchSettings(url=url))


def test_no_address_is_a_sentence_and_a_password_in_one_is_not_shown() -> None:
    with pytest.raises(WindvaneError, match="WINDVANE_ELASTICSEARCH__URL"):
        Connection(ElasticsearchSettings())
    assert Connection(ElasticsearchSettings(url="http://me:secret@h:9200")).address == "http://h:9200"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_tls_trusts_what_ca_file_says_and_nothing_else(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        speaks(server, "8.19.8")
        with pytest.raises(WindvaneError, match=r"cannot be trusted.*elasticsearch\.ca_file"):
            connection(server).version()
        assert connection(server, ca_file=certificate[0]).version() == "8.19.8"
        assert connection(server, verify=False).version() == "8.19.8"


def test_a_ca_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match=r"elasticsearch\.ca_file"):
        Connection(ElasticsearchSettings(url="https://127.0.0.1:1", ca_file=tmp_path / "none.pem"))
