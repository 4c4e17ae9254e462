"""Where a message goes, from a subscription's stored target: https://host/path#secret=… (the part after # stays here),
or an e-mail address."""

import re
from typing import NamedTuple

from pipeline.deliver.secrets import Vault, secret_parts
from pipeline.errors import WindvaneError

# One plain address: no display name, no list, no quotes, nothing that could begin a header.
_ATOM = r"[^\s@<>,;:\"()\[\]\\]+"
_MAIL = re.compile(rf"{_ATOM}@(?:{_ATOM}\.{_ATOM}|localhost)")
WITHOUT_TARGET = ("web", "log")  # channels that lead nowhere outside


class Target(NamedTuple):
    """An opened target. `secret` signs what is sent there. `hidden`: what must not be seen of it in a reason."""

    url: str
    secret: str
    hidden: tuple[str, ...]


def parse_target(text: str) -> Target:
    """The parts of an opened target."""
    text = text.strip()
    url, _, fragment = text.partition("#")
    secret = fragment.removeprefix("secret=") if fragment.startswith("secret=") else ""
    hidden = (*secret_parts(url), text, *([secret] if secret else []))
    return Target(url, secret, hidden)


def open_target(vault: Vault, stored: str) -> Target:
    """The parts of a stored target. Raises WindvaneError when it was sealed with another key."""
    return parse_target(vault.unseal(stored))


def check_target(channel: str, text: str) -> None:
    """Raises WindvaneError unless the text can be a target of the channel. Where it leads is checked when sending."""
    if channel in WITHOUT_TARGET:
        return
    if channel == "email":
        if not _MAIL.fullmatch(text.strip()):
            raise WindvaneError(
                f"expected one e-mail address such as ann@example.org, found {text!r}. "
                "For several people, make a subscription for each."
            )
        return
    if not parse_target(text).url.startswith(("http://", "https://")):
        raise WindvaneError(
            f"expected the address that {channel} gave you, beginning with https://, found something else. "
            "Copy it again; a signing secret goes behind it as #secret=…"
        )
