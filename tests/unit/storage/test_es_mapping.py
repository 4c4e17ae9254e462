"""What is kept of an opinion: the record word for word, nothing in its way, every key counted."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec

from pipeline.keys import keys_of, split_key
from pipeline.records import SENTIMENTS, Decoder, Opinion
from pipeline.store.es_document import Extra, source_of
from pipeline.store.es_mapping import MAPPINGS, month_of, template
from pipeline.store.es_months import Held, name_of, parse
from pipeline.store.fitting import fit
from tests.contract.samples import NOON, mention, opinion

FULL = opinion(
    "a", "茅台 fell", "negative", topics=["earnings"], entities=(mention("T.US", "positive"),), watches=("w",)
)


def test_a_document_reads_back_as_the_same_opinion() -> None:
    fitting, _ = fit([FULL], NOON)
    source = source_of(fitting["a"], 5)
    assert Decoder(Opinion)(source) == msgspec.structs.replace(FULL, indexed_at=NOON)
    extra = msgspec.json.decode(source, type=Extra)
    assert (extra.words, extra.published_us, extra.indexed_us) == ("茅 台 fell", 1709294400_000000, 5)
    assert extra.keys == {
        "positive": {"entity": ["T.US"], "entity_topic": ["T.US|earnings"]},
        "negative": {"topic": ["earnings"], "watch": ["w"]},
    }


def test_no_field_of_a_record_is_hidden_by_one_of_ours() -> None:
    assert not set(Opinion.__struct_fields__) & set(Extra.__struct_fields__)


def test_every_field_and_every_kind_of_key_is_mapped() -> None:
    mapped = MAPPINGS["properties"]
    assert set(Opinion.__struct_fields__) - {"schema_version"} <= set(mapped)
    assert set(Extra.__struct_fields__) <= set(mapped)
    for label in SENTIMENTS:
        kinds = {split_key(key)[0] for key, _ in keys_of(FULL)}
        assert kinds == set(mapped["keys"]["properties"][label]["properties"])


def test_months_are_of_utc_and_absurd_years_share_two_indices() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert month_of(datetime(2026, 12, 1, 7, 59, tzinfo=shanghai)) == "2026.11"
    assert month_of(datetime(2026, 12, 1, 8, tzinfo=shanghai)) == "2026.12"
    every_year = {month_of(datetime(y, m, 2, tzinfo=UTC)) for y in range(1, 10_000) for m in (1, 12)}
    assert len(every_year) == 2 * 100 + 2
    assert month_of(datetime(1999, 12, 31, tzinfo=UTC)) == "before-2000"
    assert month_of(datetime(2100, 1, 1, tzinfo=UTC)) == "after-2099"


def test_names_are_read_as_they_are_written() -> None:
    for month in ("2026.11", "before-2000", "after-2099"):
        for generation in (1, 2, 17):
            name = name_of("my-alias", month, generation)
            assert parse("my-alias", name) == Held(name, month, generation)
            assert any(name.startswith(pattern.rstrip("*")) for pattern in template("my-alias")["index_patterns"])
    for other in ("my-alias", "my-alias-x-2026.11", "my-alias-2026.11.old", "my-alias-2026.11-rx", "your-2026.11"):
        assert parse("my-alias", other) is None
