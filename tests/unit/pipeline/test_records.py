"""Records: wire format, versions, ids, keys."""

from datetime import UTC, datetime

import msgspec
import pytest

from pipeline.keys import keys_of, split_key
from pipeline.records import (
    RECORD_OF_TOPIC,
    SCHEMA_VERSION,
    DecodeError,
    Decoder,
    Opinion,
    Post,
    Raw,
    ScoredMention,
    Sentiment,
    TopicScore,
    document,
    encode,
    json_schemas,
    stable_id,
)

T = datetime(2026, 9, 1, 12, 0, 0, 123456, tzinfo=UTC)
BAD = Sentiment(label="negative", negative=0.9, neutral=0.1, positive=0.0)
MILD = Sentiment(label="neutral", negative=0.2, neutral=0.7, positive=0.1)


def mention(entity, sentiment):
    return ScoredMention(entity=entity, text=entity, start=0, end=1, sentiment=sentiment, basis="mention")


def opinion(**more):
    given = {
        "post_id": "p", "source": "s", "text": "t", "language": "en", "published_at": T, "fetched_at": T,
        "story_id": "p",
        "sentiment": MILD, "unsure": False, "model_version": "m", "scored_at": T,
    }  # fmt: skip
    return Opinion(**{**given, **more})


def test_an_opinion_survives_the_wire_to_the_microsecond():
    o = opinion(entities=(mention("A", BAD),), topics=(TopicScore(label="earnings", p=0.8),), watches=("w",))
    assert Decoder(Opinion)(encode(o)) == o


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"\xff", b'{"source": "s"}', b'{"source": 1, "text": "t", "fetched_at": "2026"}']
)
def test_what_is_no_record_is_refused_with_its_field(value):
    with pytest.raises(DecodeError, match="not a Raw"):
        Decoder(Raw)(value)


def test_the_previous_version_is_read_and_a_newer_one_refused():
    def at(version):
        return encode(Raw(source="s", text="t", fetched_at=T, schema_version=version))

    assert Decoder(Raw)(at(SCHEMA_VERSION - 1)).text == "t"
    with pytest.raises(DecodeError, match="Upgrade the older side first"):
        Decoder(Raw)(at(SCHEMA_VERSION + 1))


def test_unknown_fields_of_a_later_minor_change_are_ignored():
    row = msgspec.json.decode(encode(Raw(source="s", text="t", fetched_at=T)))
    assert Decoder(Raw)(msgspec.json.encode({**row, "new": 1})).text == "t"


def test_ids_depend_on_where_the_parts_are_cut():
    assert stable_id("ab", "c") != stable_id("a", "bc")
    assert stable_id("a", "b") == stable_id("a", "b")
    assert len(stable_id("恒大")) == 32


@pytest.mark.parametrize(
    "title, text, expected",
    [(None, "b", "b"), ("a", "b", "a\nb"), ("a", "a b", "a b"), ("a", "", "a"), ("", "b", "b")],
)
def test_a_document_is_title_and_text_once(title, text, expected):
    post = Post(
        post_id="p", source="s", text=text, title=title, language="en", published_at=T, fetched_at=T, story_id="p"
    )
    assert document(post) == expected


def test_keys_of_an_opinion_each_once_with_the_worst_mention():
    o = opinion(
        entities=(mention("A", MILD), mention("A", BAD), mention("B", MILD)),
        topics=(TopicScore(label="earnings", p=0.8),),
        watches=("w",),
    )
    found = dict(keys_of(o))
    assert found == {
        "entity:A": BAD, "entity_topic:A|earnings": BAD, "entity:B": MILD, "entity_topic:B|earnings": MILD,
        "topic:earnings": MILD, "watch:w": MILD,
    }  # fmt: skip
    assert split_key("entity:A:B") == ("entity", "A:B")


def test_every_topic_has_a_schema():
    assert set(json_schemas()) == {*RECORD_OF_TOPIC, "dlq"} - {"prepared", "timeline"}
