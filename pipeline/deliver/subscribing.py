"""Subscriptions as people give them (YAML, command line, API): checked, with the field named, and their addresses
sealed before they are stored."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from pipeline.control.base import ChannelName, ControlStore, Subscription
from pipeline.deliver.plan import clock_time, span
from pipeline.deliver.secrets import Vault
from pipeline.deliver.target import WITHOUT_TARGET, check_target
from pipeline.errors import WindvaneError
from pipeline.keys import split_key
from pipeline.records import Severity

KEY_KINDS = ("entity", "topic", "entity_topic", "watch", "sector", "source")
_Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)]


class Wanted(BaseModel):
    """A subscription as it is asked for; every field but id and channel may be left out. See control.base.Subscription
    for what each means."""

    model_config = ConfigDict(extra="forbid")
    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    channel: ChannelName
    target: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    owner: _Name = ""
    name: _Name = ""
    keys: list[_Word] = []
    entities: list[_Word] = []
    topics: list[_Word] = []
    languages: list[Literal["en", "zh"]] = []
    sources: list[_Word] = []
    tiers: list[Literal[1, 2, 3]] = []
    severities: list[Severity] = []
    rules: list[_Word] = []
    language: Literal["en", "zh"] = "en"
    active: bool = True
    zone: str = "UTC"
    quiet: str = ""
    digest: Literal["none", "hourly", "daily"] = "none"
    digest_at: str = "08:00"
    s1_at_once: bool = True
    daily_cap: Annotated[int, Field(ge=0, le=10_000)] = 20
    cooldown_min: Annotated[int, Field(ge=0, le=7 * 1440)] = 0
    escalate_to: _Name = ""
    escalate_min: Annotated[int, Field(ge=0, le=7 * 1440)] = 0

    @field_validator("keys")
    @classmethod
    def _keys(cls, keys: list[str]) -> list[str]:
        for key in keys:
            kind, value = split_key(key)
            if kind not in KEY_KINDS or not value:
                raise ValueError(f"expected keys such as entity:AAPL.US, topic:earnings or watch:ID, found {key!r}")
        return keys

    @field_validator("zone")
    @classmethod
    def _zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as e:
            raise ValueError(f"expected an IANA time zone such as Asia/Shanghai, found {zone!r}") from e
        return zone

    @field_validator("quiet")
    @classmethod
    def _quiet(cls, quiet: str) -> str:
        try:
            return "-".join(f"{at:%H:%M}" for at in span(quiet)) if quiet.strip() else ""
        except ValueError as e:
            raise ValueError(f"expected two different times such as 22:00-07:30, found {quiet!r}") from e

    @field_validator("digest_at")
    @classmethod
    def _digest_at(cls, at: str) -> str:
        try:
            return f"{clock_time(at):%H:%M}"
        except ValueError as e:
            raise ValueError(f"expected a time of day such as 08:00, found {at!r}") from e


FIELDS = tuple(Wanted.model_fields)
LISTS = tuple(name for name, field in Wanted.model_fields.items() if str(field.annotation).startswith("list["))


def parse(data: Any, origin: str = "subscription") -> Subscription:
    """The subscription, its target as given. Raises WindvaneError that names the field."""
    if not isinstance(data, Mapping):
        raise WindvaneError(f"{origin}: expected fields such as id and channel, found {data!r}.")
    name = f"{origin} {data['id']!r}" if isinstance(data.get("id"), str) else origin
    try:
        wanted = Wanted.model_validate(dict(data))
    except ValidationError as e:
        raise WindvaneError(f"{name}: {_sentence(e)}") from e
    values: dict[str, Any] = {
        k: tuple(dict.fromkeys(v)) if isinstance(v, list) else v for k, v in wanted.model_dump().items()
    }
    found = Subscription(**values)
    _check_together(name, found)
    return found


def parse_file(path: Path) -> list[Subscription]:
    """The subscriptions of a YAML file: a list, or one under `subscriptions:`."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise WindvaneError(f"{path} cannot be read: {e.strerror}. Check the path.") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise WindvaneError(f"{path} is not valid YAML: {e}. Correct it.") from e
    entries = data.get("subscriptions") if isinstance(data, Mapping) else data
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise WindvaneError(f"{path}: expected a list under 'subscriptions:', found {type(entries).__name__}.")
    found = [parse(entry, f"{path}: subscription") for entry in entries]
    ids = [s.id for s in found]
    if twice := [i for i in ids if ids.count(i) > 1]:
        raise WindvaneError(f"{path}: ids must differ, found {twice[0]!r} twice. Rename one of them.")
    return found


def parse_words(settings: Sequence[str]) -> dict[str, Any]:
    """Fields of `field=value` words; lists are separated by commas."""
    found: dict[str, Any] = {}
    for word in settings:
        field, equals, value = word.partition("=")
        if not equals or field not in FIELDS:
            raise WindvaneError(f"expected field=value with one of {', '.join(FIELDS)}; found {word!r}.")
        found[field] = [v.strip() for v in value.split(",") if v.strip()] if field in LISTS else value
    if "tiers" in found:
        found["tiers"] = [int(t) if t.isdigit() else t for t in found["tiers"]]
    return found


class ChangedMeanwhile(WindvaneError):
    """Somebody else changed or removed the subscription since it was read."""

    def __init__(self, subscription_id: str) -> None:
        super().__init__(
            f"subscription {subscription_id!r}: expected it as you had read it, found it changed or removed by "
            "somebody else meanwhile. Read it again first (load the page again)."
        )


def put_read(control: ControlStore, vault: Vault, wanted: Subscription, by: str, version: str) -> None:
    """Replace the one that was read as `version` (version_of). Raises ChangedMeanwhile, or as put_all does."""
    read = next((s for s in control.subscriptions() if s.id == wanted.id), None)
    if read is None or version_of(read, vault) != version:
        raise ChangedMeanwhile(wanted.id)
    [ready] = _ready(control, vault, [wanted])
    if not control.put_subscription(ready, by, read):
        raise ChangedMeanwhile(wanted.id)


def put_all(control: ControlStore, vault: Vault, wanted: Sequence[Subscription], by: str) -> None:
    """Store them, addresses sealed. One that gives no address keeps the stored one. All are checked first: whom one
    escalates to must be there, and a channel that leads out needs an address."""
    for s in _ready(control, vault, wanted):
        control.put_subscription(s, by)


def _ready(control: ControlStore, vault: Vault, wanted: Sequence[Subscription]) -> list[Subscription]:
    stored = {s.id: s for s in control.subscriptions()}
    known = {*stored, *(s.id for s in wanted)}
    ready = [with_target(s, stored.get(s.id), vault) for s in wanted]
    for s in ready:
        if s.escalate_to and s.escalate_to not in known:
            raise WindvaneError(
                f"subscription {s.id!r}: escalate_to: expected the id of another subscription "
                f"({', '.join(sorted(known - {s.id})) or 'there is none yet'}), found {s.escalate_to!r}."
            )
    return ready


def with_target(wanted: Subscription, stored: Subscription | None, vault: Vault) -> Subscription:
    """The subscription with its target as it is stored: checked and sealed, or the one that was there."""
    if (
        stored is not None
        and stored.channel == wanted.channel
        and (wanted.target in ("", vault.masked(stored.target)) or _same(vault, stored.target, wanted.target))
    ):
        return wanted._replace(target=stored.target)
    if wanted.channel in WITHOUT_TARGET and wanted.target:
        raise WindvaneError(f"subscription {wanted.id!r}: target: {wanted.channel} needs none. Leave it out.")
    try:
        check_target(wanted.channel, wanted.target)
    except WindvaneError as e:
        raise WindvaneError(f"subscription {wanted.id!r}: target: {e}") from e
    return wanted._replace(target=vault.seal(wanted.target))


def view(subscription: Subscription, vault: Vault) -> dict[str, Any]:
    """The subscription as it may be shown: its address masked."""
    shown = {field: getattr(subscription, field) for field in FIELDS}
    return {**shown, "target": vault.masked(subscription.target)}


def version_of(subscription: Subscription, vault: Vault) -> str:
    """A digest of what is shown of it, to know whether it changed meanwhile: 16 hexadecimal digits. The address counts
    as it is shown, so that the digest tells nothing of it."""
    return hashlib.sha256(msgspec.json.encode(view(subscription, vault))).hexdigest()[:16]


def _same(vault: Vault, stored: str, given: str) -> bool:
    try:
        return vault.unseal(stored) == given
    except WindvaneError:  # sealed with a key that is gone: what is given replaces it
        return False


def _check_together(name: str, s: Subscription) -> None:
    if bool(s.escalate_to) != bool(s.escalate_min):
        raise WindvaneError(
            f"{name}: escalate_to and escalate_min go together (to whom, after how many minutes), "
            f"found {s.escalate_to!r} and {s.escalate_min}. Give both or neither."
        )
    if s.escalate_to == s.id:
        raise WindvaneError(f"{name}: escalate_to: expected another subscription, found itself.")


def _sentence(error: ValidationError) -> str:
    """The first error in words, its field first; never the value of `target`."""
    first = error.errors()[0]
    field = ".".join(str(p) for p in first["loc"])
    if first["type"] == "missing":
        return f"{field}: expected a value, found none. Give one."
    if first["type"] == "extra_forbidden":
        return f"{field}: there is no such field. Known: {', '.join(FIELDS)}."
    if field == "id":
        return f"id: expected small letters, digits, '.', '_' or '-', at most 64, found {first['input']!r}. Correct it."
    said = str(first["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    if field.startswith("target") or first["type"] == "value_error":
        return f"{field}: {said}. Correct it."
    return f"{field}: {said[0].lower()}{said[1:]}, found {first['input']!r}. Correct it."
