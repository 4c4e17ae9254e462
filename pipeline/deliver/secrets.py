"""Secrets at rest: addresses with tokens and signing secrets are sealed before they are stored and opened to send.

Sealing is Fernet (AES-128-CBC with HMAC-SHA256, github.com/fernet/spec) of the `cryptography` library. Several keys,
separated by commas, let a key be changed: the first seals, all of them open.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from yarl import URL

from pipeline.errors import WindvaneError

KEY_FILE = "secret.key"
_MARK = "sealed:"
HIDDEN = "•••"
_SECRET_LENGTH = 8  # a part of an address that is so long may be a token


class Vault:
    """Seals and opens texts. Without keys it leaves them as they are, and derives no signing keys."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        held = [k.strip() for k in keys if k.strip()]
        try:
            self._fernets = [Fernet(k) for k in held]
        except ValueError as e:
            raise WindvaneError(
                "expected deliver.secret_key to be one or more keys of 44 characters, separated by commas, found "
                "something else. `windvane secret-key` prints a new one."
            ) from e
        self._raw = [k.encode() for k in held]
        self._all = MultiFernet(self._fernets) if held else None

    @property
    def can_seal(self) -> bool:
        return self._all is not None

    def seal(self, text: str) -> str:
        """The text as it may be stored: "sealed:…". Empty and sealed texts stay as they are."""
        if self._all is None or not text or text.startswith(_MARK):
            return text
        return _MARK + self._all.encrypt(text.encode()).decode()

    def unseal(self, stored: str) -> str:
        """The text behind a stored one; what was stored before there was a key comes back as it is. Raises
        WindvaneError when no key opens it."""
        if not stored.startswith(_MARK):
            return stored
        try:
            if self._all is None:
                raise InvalidToken
            return self._all.decrypt(stored.removeprefix(_MARK).encode()).decode()
        except InvalidToken as e:
            raise WindvaneError(
                "An address or secret in the control store was sealed with another key. Set deliver.secret_key to the "
                "key it was sealed with (several keys: new,old), or enter the address again."
            ) from e

    def keys_for(self, purpose: str) -> tuple[bytes, ...]:
        """Signing keys for a purpose, the first to sign with, every one to check with; none without secret keys."""
        return tuple(hmac.digest(k, f"windvane {purpose}".encode(), hashlib.sha256) for k in self._raw)

    def masked(self, stored: str) -> str:
        """A stored address as it may be shown; one that no key opens is "•••"."""
        try:
            return masked(self.unseal(stored))
        except WindvaneError:
            return HIDDEN


def new_key() -> str:
    """A new random key, as deliver.secret_key takes it."""
    return Fernet.generate_key().decode()


def open_vault(secret_key: str | None, data_dir: Path | None = None) -> Vault:
    """The vault of the settings' keys; without any, of the key file in the data folder, which is made (mode 600) when
    missing; without either, a vault that seals nothing."""
    if secret_key and secret_key.strip():
        return Vault(secret_key.split(","))
    if data_dir is None:
        return Vault()
    return Vault(_key_file(data_dir / KEY_FILE).split(","))


def _key_file(path: Path) -> str:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_key() + "\n")
            try:
                os.link(fresh, path)  # the first of two processes wins, and nobody reads half a key
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_text().strip()
    except OSError as e:
        raise WindvaneError(
            f"cannot read or make the key file {path}: {e.strerror}. Set deliver.secret_key (`windvane secret-key` "
            "prints a new one), or make the data folder writable."
        ) from e


def masked(address: str) -> str:
    """An address as it may be shown and logged: the host and the last four characters of a long secret, no more.
    https://hooks.slack.com/services/T0/B0/abcdefghijklmnop → https://hooks.slack.com/•••mnop; ann@example.org →
    a•••@example.org."""
    if not address:
        return ""
    if address.startswith(_MARK):
        return HIDDEN
    if "://" not in address:
        return ", ".join(_masked_mail(a.strip()) for a in address.split(","))
    try:
        url = URL(address)
        host = url.host or ""
    except ValueError:
        return HIDDEN
    tail = (url.raw_path_qs or "").rstrip("/")
    shown = tail[-4:] if len(tail) >= 24 else ""  # four characters of a short token would be most of it
    port = f":{url.explicit_port}" if url.explicit_port else ""
    return f"{url.scheme}://{host}{port}/" + (f"{HIDDEN}{shown}" if tail else "")


def _masked_mail(address: str) -> str:
    name, at, host = address.rpartition("@")
    return f"{name[:1]}{HIDDEN}@{host}" if at else HIDDEN


def secret_parts(address: str) -> list[str]:
    """What of an address must not be seen: the whole, its long path and query parts, its user, its #secret."""
    found = {address}
    try:
        url = URL(address)
    except ValueError:
        return [address]
    pieces = [*url.raw_parts, *url.parts, *url.query.values(), url.fragment, url.user or "", url.password or ""]
    pieces += re.split(r"[=&]", url.raw_fragment) + re.split(r"[=&]", url.raw_query_string)
    found |= {p for p in pieces if len(p) >= _SECRET_LENGTH}
    found |= {url.raw_path_qs} if len(url.raw_path_qs) >= _SECRET_LENGTH else set()
    return sorted(found, key=len, reverse=True)


def scrubbed(text: str, *secrets: str) -> str:
    """The text without the secrets: for reasons that are stored and shown, and for log lines."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
