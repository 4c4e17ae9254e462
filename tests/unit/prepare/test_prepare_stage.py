from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.control.base import Watch
from pipeline.errors import Reject, WindvaneError
from pipeline.prepare.entities import EntityLinker, EntityTable
from pipeline.records import Raw, document
from pipeline.settings import PrepareSettings
from pipeline.stage import run_batch
from pipeline.stages.prepare import Prepare, canonical_url

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINKER = EntityLinker(EntityTable.load())


def raw(text: str = "Tesla recalls cars", **fields: Any) -> Raw:
    return Raw(**{"source": "s", "text": text, "fetched_at": AT, **fields})


def stage(**settings: Any) -> Prepare:
    return Prepare(PrepareSettings(**settings), LINKER)


def post_id(item: Raw) -> str:
    return stage()([item])[0].post_id


def test_a_text_becomes_a_post() -> None:
    [post] = stage(naive_times="Asia/Shanghai")(
        [
            raw(
                "<p>特斯拉召回&nbsp;3万辆</p>",
                title="Tesla&#39;s recall",
                published="2026-03-01 10:00:00",
                author="a",
                url="http://X.com/1",
            )
        ]
    )
    assert (post.text, post.title, post.language) == ("特斯拉召回 3万辆", "Tesla's recall", "zh")
    assert post.published_at == datetime(2026, 3, 1, 2, tzinfo=UTC)
    assert not post.time_clamped
    words = document(post)
    assert [(m.entity, words[m.start : m.end]) for m in post.entities] == [("TSLA.US", "Tesla"), ("TSLA.US", "特斯拉")]
    assert post.story_id == post.post_id
    assert (post.author, post.url) == ("a", "http://X.com/1")


def test_order_is_kept_and_bad_records_cost_themselves() -> None:
    batch = [
        raw("one fine text"),
        raw("  "),
        raw("x" * 2000),
        raw("two", published="2099-01-01"),
        raw("<script>x</script>"),
        raw("two fine texts", published="1999-01-01"),
        raw("", title="only a title"),
    ]
    result = run_batch(stage(max_text_bytes=1000), batch)
    assert [document(p) for p in result.outputs] == ["one fine text", "two fine texts", "only a title"]  # type: ignore[arg-type]
    reasons = dict(result.rejected)
    assert list(reasons) == [1, 2, 3, 4]
    assert reasons[1] == "The text is empty, and there is no title."
    assert reasons[2] == "The text has 2000 bytes; accepted are at most 1000 (prepare.max_text_bytes)."
    assert "more than 24 hours after it was fetched" in reasons[3]
    assert "18 characters of markup" in reasons[4]


def test_bytes_not_characters_are_counted() -> None:
    run_batch(stage(max_text_bytes=1000), [raw("汉" * 333)])
    with pytest.raises(Reject, match="1002 bytes"):
        stage(max_text_bytes=1000)([raw("汉" * 334)])


def test_a_time_ahead_is_clamped() -> None:
    [post] = stage()([raw(published=(AT + timedelta(hours=2)).isoformat())])
    assert post.time_clamped
    assert post.published_at == AT


def test_ids() -> None:
    assert post_id(raw("a", native_id="1")) == post_id(raw("b", native_id="1", url="http://x"))
    assert post_id(raw("a", native_id="1")) != post_id(raw("a", native_id="1", source="t"))
    assert post_id(raw("a", url="http://X.com/p?utm_source=q#top")) == post_id(raw("b", url="http://x.com/p"))
    assert post_id(raw("a", published="2026-01-01")) != post_id(raw("a", published="2026-01-02"))
    assert post_id(raw("a")) == post_id(raw("a", fetched_at=AT + timedelta(hours=1)))
    per_ticker = [raw("x", native_id="1", attributes={"ticker": t}) for t in ("AAPL", "MSFT")]
    assert post_id(per_ticker[0]) != post_id(per_ticker[1])
    assert post_id(raw("x", native_id="1", attributes={"reads": "1"})) == post_id(
        raw("x", native_id="1", attributes={"reads": "2"})
    )


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Example.COM:443/A/b?b=2&utm_medium=x&a=1#frag", "https://example.com/A/b?b=2&a=1"),
        ("http://example.com/", "http://example.com"),
        ("http://example.com:8080/?fbclid=1", "http://example.com:8080"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_canonical_url(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


def test_copies_share_a_story_within_and_between_batches() -> None:
    prepare = stage()
    first = prepare([raw("The same words", native_id="1"), raw("the same words!", native_id="2")])
    later = prepare([raw("RT @x: the same words", native_id="3"), raw("The same words", native_id="1")])
    assert {p.story_id for p in [*first, *later]} == {first[0].post_id}


def test_a_batch_that_raises_leaves_no_trace() -> None:
    prepare = stage()
    with pytest.raises(Reject):
        prepare([raw("The same words", native_id="1"), raw("")])
    [post] = prepare([raw("The same words", native_id="2")])
    assert post.story_id == post.post_id


def test_a_restart_goes_on_with_the_stories() -> None:
    batch = [raw(f"text number {i % 3}", native_id=str(i)) for i in range(9)]
    posts = stage()(batch)
    restarted = stage()
    restarted.rebuild(posts[:5])
    assert restarted(batch[5:]) == posts[5:]
    assert restarted(batch[:2]) == posts[:2]


def test_watches_are_followed_and_a_bad_one_costs_itself_only() -> None:
    watches = [Watch("w1", "Recalls", "keyword", "recalls"), Watch("w2", "Bad", "regex", "(")]
    prepare = Prepare(PrepareSettings(), LINKER, lambda: watches)
    assert prepare([raw()])[0].watches == ("w1",)
    watches.append(Watch("w3", "T", "field", "ticker=TSLA"))
    [post] = prepare([raw(attributes={"ticker": "TSLA"})])
    assert post.watches == ("w1", "w3")
    assert [m.entity for m in post.entities] == ["TSLA.US"]
    assert prepare([raw("nothing named", attributes={"ticker": "TSLA"})])[0].entities == ()


def test_an_unknown_zone_stops_the_start() -> None:
    with pytest.raises(WindvaneError, match="naive_times"):
        stage(naive_times="Nowhere")
