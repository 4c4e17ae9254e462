"""Signed links: what was signed passes until it expires; anything else is refused with a sentence."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliver.links import ACTIONS, ActionLinks, LinkRefused, action_links
from pipeline.deliver.secrets import Vault, new_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = NOW + timedelta(days=1)
LINKS = ActionLinks([b"k" * 32], "https://page.example/")


def parts(url: str) -> tuple[str, str, tuple[str, str, str]]:
    at = urlsplit(url)
    q = {k: v[0] for k, v in parse_qs(at.query).items()}
    _, _, action, alert = at.path.split("/")
    return action, alert, (q["s"], q["e"], q["m"])


def test_a_link_is_taken_until_it_expires():
    for action in ACTIONS:
        url = LINKS.url(action, "a1", "s1", UNTIL)
        assert url.startswith(f"https://page.example/act/{action}/a1?")
        claim = LINKS.check(*parts(url), NOW)
        assert claim == (action, "a1", "s1", UNTIL)
        assert LINKS.check(*parts(url), UNTIL - timedelta(seconds=1)) == claim
        with pytest.raises(LinkRefused, match="expired at 2026-01-02 00:00 UTC") as e:
            LINKS.check(*parts(url), UNTIL)
        assert e.value.status == 410


@given(st.sampled_from(["action", "alert", "s", "e", "m"]), st.text(max_size=40))
def test_no_part_can_be_changed(part: str, to: str) -> None:
    action, alert, (s, e, m) = parts(LINKS.url("ack", "a1", "s1", UNTIL))
    changed = {"action": action, "alert": alert, "s": s, "e": e, "m": m}
    if changed[part] == to.strip():
        return
    changed[part] = to
    with pytest.raises(LinkRefused) as refused:
        LINKS.check(changed["action"], changed["alert"], (changed["s"], changed["e"], changed["m"]), NOW)
    assert refused.value.status == 403


def test_parts_that_touch_cannot_be_moved():
    _, _, (_, e, m) = parts(LINKS.url("ack", "a1", "2", UNTIL))
    with pytest.raises(LinkRefused):
        LINKS.check("ack", "a", ("12", e, m), NOW)


def test_keys():
    old, new = new_key(), new_key()
    first, later = action_links(Vault([old]), "http://p"), action_links(Vault([new, old]), "http://p")
    assert first and later and action_links(Vault(), "http://p") is None
    assert later.check(*parts(first.url("ack", "a", "s", UNTIL)), NOW).alert_id == "a"
    with pytest.raises(LinkRefused, match="another key"):
        first.check(*parts(later.url("ack", "a", "s", UNTIL)), NOW)
