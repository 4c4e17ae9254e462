"""Kafka settings become the client's options; what cannot work is a sentence that names the field."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from pipeline.bus.kafka_options import client_options, require_packages
from pipeline.errors import WindvaneError
from pipeline.settings import KafkaSettings

HERE = {"servers": "one:9092, two:9093"}
LOGIN = {"username": "windvane", "password": "s3cret"}


def options(**settings: Any) -> dict[str, Any]:
    return client_options(KafkaSettings.model_validate(HERE | settings))


def test_plain_needs_nothing_but_servers() -> None:
    found = options()
    assert found["bootstrap_servers"] == ["one:9092", "two:9093"]
    assert found["security_protocol"] == "PLAINTEXT"
    assert not {"ssl_context", "sasl_mechanism"} & found.keys()


@pytest.mark.parametrize("security", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_carries_the_login(security: str, mechanism: str) -> None:
    found = options(security=security, sasl_mechanism=mechanism, **LOGIN)
    assert (found["security_protocol"], found["sasl_mechanism"]) == (security, mechanism)
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("windvane", "s3cret")
    assert ("ssl_context" in found) == (security == "SASL_SSL")


def test_tls_checks_the_server_by_name() -> None:
    context = options(security="SSL")["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"servers": None}, "kafka.servers"),
        ({"servers": " , "}, "kafka.servers"),
        ({"servers": "localhost"}, "kafka.servers"),
        ({"servers": "localhost:port"}, "kafka.servers"),
        ({"servers": "localhost:99999"}, "kafka.servers"),
        ({"ca_file": "ca.pem"}, "kafka.ca_file"),
        ({"cert_file": "cert.pem", "security": "SASL_PLAINTEXT"} | LOGIN, "kafka.cert_file"),
        ({"ca_file": "/nowhere/ca.pem", "security": "SSL"}, "kafka.ca_file"),
        ({"key_file": __file__, "security": "SSL"}, "kafka.key_file"),
        ({"ca_file": __file__, "security": "SSL"}, "kafka.ca_file"),
        ({"cert_file": __file__, "security": "SSL"}, "kafka.cert_file"),
        ({"username": "windvane"}, "kafka.username"),
        ({"password": "s3cret", "security": "SSL"}, "kafka.password"),
        ({"password": "s3cret", "security": "SASL_SSL"}, "kafka.username"),
        ({"username": "windvane", "security": "SASL_SSL"}, "kafka.password"),
    ],
)
def test_a_wrong_combination_names_its_field_and_keeps_the_password(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(WindvaneError) as e:
        options(**settings)
    assert field in str(e.value)
    assert "s3cret" not in str(e.value)


@pytest.mark.parametrize(("missing", "package"), [("kafka", "kafka-python"), ("crc32c", "crc32c")])
def test_without_a_package_it_says_which_and_how_to_get_it(missing: str, package: str) -> None:
    with pytest.raises(WindvaneError, match=rf"package {package}.*pip install"):
        require_packages(lambda module: None if module == missing else object())
    require_packages()


def test_kafka_python_is_imported_by_the_kafka_bus_only() -> None:
    root = Path(__file__).parents[3]
    importing = {
        path.relative_to(root).as_posix()
        for folder in ("pipeline", "models", "dashboards")
        for path in (root / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(("import kafka", "from kafka"))
    }
    assert importing and all(path.startswith("pipeline/bus/kafka") for path in importing)
