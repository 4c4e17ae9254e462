"""Kafka settings → what every client of kafka-python is given. Pure: nothing is connected here."""

import importlib.util
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import WindvaneError
from pipeline.settings import KafkaSettings

NEEDS = (
    "expected the package {package}, which the Kafka bus needs; it is not installed. "
    "Install it with: pip install 'windvane[kafka]'."
)


class Timing(NamedTuple):
    """Seconds. A worker that is killed is missed after `session_s`, and the others have its partitions about a second
    later: some 10 s in all. A worker that lives but has not polled or waited for `max_poll_s` leaves by itself."""

    poll_s: float = 0.1  # the longest a poll waits for a message
    fetch_s: float = 0.25  # the longest the broker waits for one, from one poll to the next
    join_s: float = 3.0  # the longest a poll waits for the group to share out partitions
    session_s: float = 10.0
    heartbeat_s: float = 3.0  # a member hears of a rebalance with its next heartbeat
    max_poll_s: float = 300.0
    request_s: float = 10.0  # an unanswered request has failed
    deliver_s: float = 30.0  # publishing goes on for so long by itself: a restart of the broker is no outage


def require_packages(find: Callable[[str], Any] = importlib.util.find_spec) -> None:
    """A sentence when kafka-python or crc32c is not installed. Without crc32c kafka-python falls back to a checksum in
    Python, at a twelfth of the speed."""
    for module, package in (("kafka", "kafka-python"), ("crc32c", "crc32c")):
        if find(module) is None:
            raise WindvaneError(NEEDS.format(package=package))


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every client needs: servers, security, time limits of connections. A combination of settings that cannot
    work is a sentence that names the field."""
    context = tls_context(settings)
    return {
        "bootstrap_servers": _servers(settings.servers),
        "client_id": "windvane",
        "security_protocol": settings.security,
        "reconnect_backoff_max_ms": 1000,  # so that work goes on a second after the broker is back
        "metadata_max_age_ms": 60_000,
        **({"ssl_context": context} if context else {}),
        **_sasl(settings),
    }


def _servers(servers: str | None) -> list[str]:
    found = [s.strip() for s in (servers or "").split(",") if s.strip()]
    if not found:
        raise WindvaneError(
            "expected the address of a Kafka broker in the setting kafka.servers, found none. "
            "Set WINDVANE_KAFKA__SERVERS=host:port (several with commas)."
        )
    for server in found:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise WindvaneError(f"setting kafka.servers: expected host:port (several with commas), found {server!r}.")
    return found


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """The context of the TLS settings, None where kafka.security does not encrypt. WindvaneError names the setting."""
    files = {"ca_file": settings.ca_file, "cert_file": settings.cert_file, "key_file": settings.key_file}
    if settings.security not in ("SSL", "SASL_SSL"):
        for field, path in files.items():
            if path is not None:
                raise WindvaneError(
                    f"setting kafka.{field} is given, but kafka.security is {settings.security}, which does not "
                    "encrypt. Set kafka.security to SSL or SASL_SSL, or remove the file."
                )
        return None
    for field, path in files.items():
        if path is not None and not path.is_file():
            raise WindvaneError(f"setting kafka.{field}: expected a PEM file, found none at {path}.")
    if settings.key_file is not None and settings.cert_file is None:
        raise WindvaneError("setting kafka.key_file is given without kafka.cert_file. Give the certificate too.")
    return _context(settings.ca_file, settings.cert_file, settings.key_file)


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as e:
        raise WindvaneError(f"setting kafka.ca_file: expected PEM certificates in {ca}, found: {e}.") from e
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password=_no_password)
        except (ssl.SSLError, OSError) as e:
            raise WindvaneError(
                f"setting kafka.cert_file: expected a PEM certificate in {cert} and its unencrypted key in "
                f"{key or cert}, found: {e}. The key goes into kafka.key_file when it is a file of its own."
            ) from e
    return context


def _no_password() -> str:
    """An encrypted key is refused, instead of asking at the terminal of a worker."""
    return ""


def _sasl(settings: KafkaSettings) -> dict[str, Any]:
    password = settings.password.get_secret_value() if settings.password is not None else None
    given = {"username": settings.username, "password": password}
    if not settings.security.startswith("SASL_"):
        for field, value in given.items():
            if value is not None:
                raise WindvaneError(
                    f"setting kafka.{field} is given, but kafka.security is {settings.security}, which sends none. "
                    "Set kafka.security to SASL_SSL (or SASL_PLAINTEXT), or remove it."
                )
        return {}
    for field, value in given.items():
        if not value:
            raise WindvaneError(
                f"setting kafka.{field}: expected one because kafka.security is {settings.security}, found none. "
                f"Set WINDVANE_KAFKA__{field.upper()}."
            )
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.username,
        "sasl_plain_password": password,
    }
