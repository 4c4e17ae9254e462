"""Rules as data: what is taken, and what is refused in words that name the field."""

from pathlib import Path

import pytest

from pipeline.detect.rules import DEFAULT_RULES, Scope, load_rules, parse_rules
from pipeline.errors import WindvaneError


def test_no_file_gives_the_built_in_rule() -> None:
    (rule,) = load_rules(None)
    assert rule == DEFAULT_RULES[0] and rule.kind == "negative_spike" and rule.score == 3.0


def test_a_file_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n"
        "  - {id: banks, sensitivity: high, windows_h: [1, 6], cooldown_h: 6, scope: {entities: [JPM.US]}}\n"
        "  - {id: all, version: 3}\n"
    )
    banks, everything = load_rules(path)
    assert (banks.score, banks.windows_h, banks.cooldown_s) == (2.0, (1, 6), 21600)
    assert banks.scope.holds("entity:JPM.US") and not banks.scope.holds("entity:C.US")
    assert everything.version == 3 and everything.scope.holds("watch:anything")


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"id": "a", "kind": "nonsense"}, "kind"),
        ({"id": "a", "kind": "silence", "windows_h": [3]}, "windows_h"),
        ({"id": "a", "kind": "silence", "scope": {"kinds": ["sector"]}}, "roll up"),
        ({"id": "a", "kind": "static"}, "count"),
        ({"id": "a", "kind": "static", "count": 3, "share": 0.5, "floor": 9}, "one of the two"),
        ({"id": "a", "kind": "static", "count": 3, "windows_h": [30]}, "windows_h"),
        ({"id": "a", "kind": "static", "share": 0.5}, "floor"),
        ({"id": "a", "kind": "static", "share": 1.5, "floor": 9}, "share"),
        ({"id": "a", "count": 3}, "belongs to kind static"),
        ({"id": "a", "kind": "message"}, "scope.sources"),
        ({"id": "a", "kind": "message", "confidence": 3, "scope": {"tiers": [1]}}, "confidence"),
        ({"id": "a", "kind": "message", "windows_h": [1], "scope": {"tiers": [1]}}, "windows_h"),
        ({"id": "a", "scope": {"tiers": [4]}}, "scope.tiers"),
        ({"id": "a", "scope": {"languages": ["fr"]}}, "languages"),
        ({"id": "a", "scope": {"sectors": ["banks"]}}, "scope.kinds"),
        ({"id": "a", "scope": {"kinds": ["source"]}}, "only silence"),
        ({"id": "a", "severity": {"S3": "S9"}}, "severity"),
        ({"id": "a", "sensitivity": "loud"}, "sensitivity"),
        ({"id": "a", "windows_h": [2]}, "windows_h"),
        ({"id": "a", "windows_h": []}, "windows_h"),
        ({"id": "a", "floor": 0}, "floor"),
        ({"id": "a", "cooldown_h": -1}, "cooldown_h"),
        ({"id": "a b"}, "id"),
        ({"id": "a", "version": 0}, "version"),
        ({"id": "a", "scope": {"kinds": ["planet"]}}, "scope.kinds"),
        ({"id": "a", "scope": {"company": ["x"]}}, "company"),
        ({"id": "a", "treshold": 3}, "treshold"),
    ],
)
def test_a_wrong_field_is_named(entry: dict[str, object], named: str) -> None:
    with pytest.raises(WindvaneError, match=named):
        parse_rules([entry], "rules.yaml")


@pytest.mark.parametrize("data", [None, [], {}, "rules", {"rules": 3}])
def test_no_list_of_rules(data: object) -> None:
    with pytest.raises(WindvaneError, match="expected a list of rules"):
        parse_rules(data)


def test_ids_differ() -> None:
    with pytest.raises(WindvaneError, match="'a' twice"):
        parse_rules([{"id": "a"}, {"id": "a"}])


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("rules: [")
    with pytest.raises(WindvaneError, match="not valid YAML"):
        load_rules(broken)


def test_scope_of_an_entity_within_a_topic() -> None:
    scope = Scope(entities=("A",), topics=("earnings",))
    assert scope.holds("entity_topic:A|earnings") and scope.holds("entity:A") and scope.holds("topic:earnings")
    assert not scope.holds("entity_topic:A|legal") and not scope.holds("entity_topic:B|earnings")
    assert not Scope(exclude=("topic:macro",)).holds("topic:macro")
    assert not Scope(kinds=("watch",)).holds("entity:A")
