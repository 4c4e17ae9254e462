"""What every opinion store does. A backend inherits OpinionStoreContract and supplies `fresh`.

The random histories are judged by a recount over a plain dict: no index, no roll-up, no word splitting.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import WindvaneError
from pipeline.keys import entity_key, keys_of, topic_key, watch_key
from pipeline.records import Opinion
from pipeline.store.base import BIN_S, Bin, Filters, KeyCount, OpinionStore, Search
from tests.contract.samples import NOON, after, mention, opinion

INDEXED_AT = datetime(2025, 1, 1, tzinfo=UTC)
LONG_AGO, FAR_OFF = NOON - timedelta(days=3650), NOON + timedelta(days=3650)
HAN = "茅台大跌平安行"
WORDS = ["apple", "Fell", "profit", "warning", "3"]
LABELS = st.sampled_from(["negative", "neutral", "positive"])
ENTITIES = ["AAPL.US", "600519.SH", "T.US"]

# Han runs with Latin words between them: so "side by side" means the same to a reader and to any index
PIECES = st.tuples(st.text(HAN, min_size=1, max_size=5), st.sampled_from(WORDS))
TEXTS = st.lists(PIECES, max_size=4).map(lambda pairs: " ".join(f"{han} {word}" for han, word in pairs))
MONTHS_LATER = 4_000_000
MOMENTS = st.sampled_from([0, 0.000001, 0.5, 1, 299.999999, 300, 301.5, 3600, 90000, MONTHS_LATER]).map(after)


@st.composite
def opinions(draw: st.DrawFn) -> Opinion:
    named = draw(st.lists(st.tuples(st.sampled_from(ENTITIES), LABELS), max_size=3))
    return opinion(
        draw(st.sampled_from("abcdefgh")),
        draw(TEXTS),
        draw(LABELS),
        at=draw(MOMENTS),
        title=draw(st.none() | TEXTS),
        source=draw(st.sampled_from(["wire", "论坛"])),
        language=draw(st.sampled_from(["zh", "en"])),
        story_id=draw(st.sampled_from("abc")),
        unsure=draw(st.booleans()),
        topics=draw(st.lists(st.sampled_from(["earnings", "m&a"]), unique=True)),
        watches=tuple(draw(st.lists(st.sampled_from(["w1", "w2"]), unique=True))),
        entities=tuple(mention(entity, label) for entity, label in named),
    )


BATCHES = st.lists(st.lists(opinions(), max_size=6), max_size=5)
RANDOM = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class OpinionStoreContract:
    """`fresh` gives the stores the clock INDEXED_AT."""

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], OpinionStore]]:
        """An empty store. Each call of what is yielded opens it anew, as after a restart."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[OpinionStore]:
        with self.fresh() as open_store:
            yield open_store()

    def test_what_was_written_is_read_back_with_the_time_it_was_indexed(self, store: OpinionStore) -> None:
        written = opinion("a", "Apple fell 苹果大跌", "negative", topics=["earnings"], attributes={"ticker": "AAPL"})
        assert store.write([written]) == []
        assert store.get(["none", "a"]) == [msgspec.structs.replace(written, indexed_at=INDEXED_AT)]
        assert store.search(Search("苹果")).items == store.get(["a"])

    def test_get_keeps_the_order_asked(self, store: OpinionStore) -> None:
        store.write([opinion("a"), opinion("b"), opinion("c")])
        assert [o.opinion_id for o in store.get(["c", "a"])] == ["c", "a"]

    def test_it_survives_a_restart(self) -> None:
        with self.fresh() as open_store:
            open_store().write([opinion("a", "大跌", entities=(mention("T.US"),))])
            again = open_store()
            again.write([opinion("b", "大跌", entities=(mention("T.US"),))])
            assert ids(again, Search("大跌")) == ["a", "b"]
            assert [b.total for b in again.bins(entity_key("T.US"), LONG_AGO, FAR_OFF)] == [2]

    @pytest.mark.parametrize(
        ("text", "query", "found"),
        [
            ("贵州茅台股价大跌", "茅台", True),  # two characters, in the middle
            ("贵州茅台股价大跌", "州茅", True),  # across what a dictionary would cut
            ("贵州茅台股价大跌", "台茅", False),
            ("贵州茅台股价大跌", "茅台 大跌", True),
            ("贵州茅台股价大跌", "茅台大跌", False),  # unbroken: side by side
            ("𠮷野家，上涨", "𠮷野", True),  # beyond the 16-bit characters
            ("𠀀𠀁𠀂", "𠀁𠀂", True),
            ("Курс РУБЛЯ упал", "рубля", True),
            ("ソニーの決算", "決算", True),
            ("iPhone手机销量", "iphone手机", True),
            ("Apple fell on Tuesday", "APPLE", True),
            ("Apple fell on Tuesday", "app", False),  # words, not their beginnings
            ("Apple fell on Tuesday", '"fell on"', True),
            ("Apple fell on Tuesday", '"on fell"', False),
            ("Apple fell on Tuesday", "“fell on” tuesday", True),
            ("Ｆｕｌｌ－ｗｉｄｔｈ　Nestlé", "full width nestle", True),
            ("$AAPL to 3.5%", "$aapl 3.5", True),
            ("the operator AND OR NOT NEAR text : tags", "NEAR AND tags", True),
            ("anything", 'AND OR * ^ - : ( "', False),
            ('say "hi"; DROP TABLE', "drop'; --", True),
            ("anything", "!!!", False),
            ("anything", "  ", True),
            ("under_score", "score", True),
        ],
    )
    def test_words_and_phrases(self, store: OpinionStore, text: str, query: str, found: bool) -> None:
        store.write([opinion("a", text), opinion("other", "别的 elsewhere")])
        for order in ("newest", "best"):
            assert ("a" in ids(store, Search(query, order=order))) is found

    def test_the_title_is_searched(self, store: OpinionStore) -> None:
        store.write([opinion("a", "body", title="银行 crisis")])
        assert ids(store, Search("crisis body")) == ["a"]

    def test_an_entitys_filter_judges_by_its_own_sentiment(self, store: OpinionStore) -> None:
        praised_and_attacked = (
            mention("T.US", "positive"),
            mention("T.US", "negative"),
            mention("AAPL.US", "positive"),
        )
        store.write([opinion("a", label="neutral", entities=praised_and_attacked)])
        for wanted, entity, found in [
            ("negative", "T.US", True),
            ("positive", "T.US", False),
            ("positive", "AAPL.US", True),
            ("negative", None, False),
            ("neutral", None, True),
        ]:
            asked = Filters(entity=entity, sentiment=wanted)
            assert (ids(store, Search(filters=asked)) == ["a"]) is found, asked

    def test_start_belongs_to_a_span_and_end_does_not(self, store: OpinionStore) -> None:
        store.write([opinion("a", at=after(10.000001)), opinion("b", at=after(10.5)), opinion("c", at=after(12))])
        for text in ("", "text"):
            for start, end, found in [
                (10.000001, 12, "ba"),
                (10.000002, 12, "b"),
                (10, 10.5, "a"),
                (10, 10.500001, "ba"),
                (10.5, 12.000001, "cb"),
                (11, 11.5, ""),
            ]:
                asked = Filters(start=after(start), end=after(end))
                assert "".join(ids(store, Search(text, asked))) == found, (start, end)

    def test_pages_follow_each_other_also_among_equal_times(self, store: OpinionStore) -> None:
        some = [opinion(f"{i:02}", "大跌 text", at=after(i % 3)) for i in range(30)]
        store.write(some)
        expected = [o.opinion_id for o in sorted(some, key=lambda o: (-o.published_at.timestamp(), o.opinion_id))]
        for text in ("", "大跌"):
            got = [i for at in range(0, 35, 7) for i in ids(store, Search(text, limit=7, offset=at))]
            assert got == expected

    def test_totals_are_exact_up_to_ten_thousand(self, store: OpinionStore) -> None:
        store.write([opinion(f"{i}", "大跌", at=after(i)) for i in range(10_000)])
        assert store.search(Search("大跌"))[:2] == (10_000, False)
        assert store.search(Search())[:2] == (10_000, False)
        store.write([opinion("one more", "大跌")])
        assert store.search(Search("大跌"))[:2] == (10_000, True)
        assert store.search(Search())[:2] == (10_000, True)

    def test_the_best_match_comes_before_the_newest(self, store: OpinionStore) -> None:
        store.write([
            opinion("dense", "茅台 茅台 茅台", at=after(0)),
            opinion("short", "茅台跌", at=after(1)),
            opinion("long", "茅台 " + "something else entirely " * 20, at=after(2)),
        ])  # fmt: skip
        assert ids(store, Search("茅台", order="best")) == ["dense", "short", "long"]
        assert ids(store, Search("茅台", order="newest")) == ["long", "short", "dense"]
        assert ids(store, Search("茅台", order="best", limit=1, offset=1)) == ["short"]
        assert len(ids(store, Search("", order="best"))) == 3

    def test_overwriting_takes_the_old_text_and_counts_back(self, store: OpinionStore) -> None:
        store.write(
            [opinion("a", "old words", "negative", entities=(mention("T.US", "negative"),), topics=["earnings"])]
        )
        store.write([opinion("a", "新的 text", "positive", at=after(900), entities=(mention("AAPL.US"),))])
        assert ids(store, Search("old")) == []
        assert ids(store, Search("新的")) == ["a"]
        assert store.bins(None, LONG_AGO, FAR_OFF) == [Bin(int(after(900).timestamp()), 0, 0, 1, 0)]
        assert store.bins(entity_key("T.US"), LONG_AGO, FAR_OFF) == []
        assert store.top_keys("topic", LONG_AGO, FAR_OFF) == []
        assert store.stats()["opinions"] == 1

    def test_of_one_id_twice_in_a_batch_the_later_counts(self, store: OpinionStore) -> None:
        store.write([opinion("a", "first"), opinion("a", "second")])
        assert (ids(store, Search("first")), ids(store, Search("second"))) == ([], ["a"])
        assert store.stats()["opinions"] == 1

    def test_what_can_never_be_taken_comes_back_and_its_neighbours_are_written(self, store: OpinionStore) -> None:
        broken = [
            opinion("naive", at=datetime(2024, 1, 1)),
            opinion("surrogate", "half a character: \ud800"),
            opinion("", "no id"),
            msgspec.structs.replace(opinion("nan"), entities=(nan_mention(),)),
        ]
        rejected = store.write([opinion("a"), *broken, opinion("b")])
        assert {r.opinion_id for r in rejected} == {"naive", "surrogate", "", "nan"}
        assert all(r.reason for r in rejected)
        assert [o.opinion_id for o in store.scan()] == ["a", "b"]
        assert [b.total for b in store.bins(None, LONG_AGO, FAR_OFF)] == [2]

    def test_any_time_can_be_held(self, store: OpinionStore) -> None:
        early, late = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
        assert store.write([opinion("early", "大跌", at=early), opinion("late", "大跌", at=late)]) == []
        assert ids(store, Search("大跌")) == ["late", "early"]
        assert ids(store, Search(filters=Filters(end=after(0)))) == ["early"]
        assert store.bins(None, early, early + timedelta(seconds=1))[0].start == -300

    def test_steps_are_sums_of_five_minutes(self, store: OpinionStore) -> None:
        store.write(
            [opinion("a", label="negative", at=after(0)), opinion("b", at=after(301)), opinion("c", at=after(3600))]
        )
        start, end = after(0), after(7200)
        noon = int(NOON.timestamp())
        assert store.bins(None, start, end, 600) == [Bin(noon, 1, 1, 0, 0), Bin(noon + 3600, 0, 1, 0, 0)]
        assert store.bins(None, start, after(3600), 3600) == [Bin(noon, 1, 1, 0, 0)]
        assert store.bins(None, after(150), after(301)) == [Bin(noon, 1, 0, 0, 0), Bin(noon + 300, 0, 1, 0, 0)]
        for step in (0, 100, -300):
            with pytest.raises(WindvaneError, match="multiple of 300"):
                store.bins(None, start, end, step)

    def test_an_empty_store_answers(self, store: OpinionStore) -> None:
        assert store.search(Search("x")) == store.search(Search())
        assert list(store.scan()) == store.get(["a"]) == store.bins(None, LONG_AGO, FAR_OFF) == []
        assert store.write([]) == []
        assert store.stats() == {
            "opinions": 0, "stories": 0, "newest_published_at": None, "newest_indexed_at": None,
        }  # fmt: skip

    def test_a_scan_is_sorted_by_id(self, store: OpinionStore) -> None:
        names = [f"{i * 7919 % 1201:04}" for i in range(1201)]
        store.write([opinion(name) for name in names])
        assert [o.opinion_id for o in store.scan()] == sorted(names)

    def test_a_scan_may_begin_at_a_time(self, store: OpinionStore) -> None:
        store.write([opinion("c", at=after(0)), opinion("a", at=after(60)), opinion("b", at=after(61))])
        assert [o.opinion_id for o in store.scan(after(60))] == ["a", "b"]
        assert list(store.scan(after(62))) == []

    @RANDOM
    @given(batches=BATCHES, steps=st.sampled_from([300, 900, 86400]))
    def test_counts_equal_a_recount(self, batches: list[list[Opinion]], steps: int) -> None:
        with self.fresh() as open_store:
            store = open_store()
            held = write_all(store, batches)
            keys = [entity_key(e) for e in ENTITIES] + [topic_key("earnings"), watch_key("w1"), "entity_topic:T.US|m&a"]
            for key in (None, *keys):
                assert store.bins(key, LONG_AGO, FAR_OFF, steps) == recount(held, key, steps)
                assert store.bins(key, after(300), after(3600)) == [
                    b for b in recount(held, key, BIN_S) if after(300).timestamp() <= b.start < after(3600).timestamp()
                ]
            for kind in ("entity", "topic", "watch", "entity_topic"):
                assert store.top_keys(kind, LONG_AGO, FAR_OFF) == recount_top(held, kind)
            stats = store.stats()
            assert stats["opinions"] == len(held)
            assert stats["stories"] == len({o.story_id for o in held})
            assert stats["newest_published_at"] == max((o.published_at.timestamp() for o in held), default=None)
            assert [o.opinion_id for o in store.scan()] == sorted(o.opinion_id for o in held)

    @RANDOM
    @given(batches=BATCHES, han=st.text(HAN, min_size=1, max_size=3), word=st.sampled_from(["", *WORDS]))
    def test_search_equals_reading_every_text(self, batches: list[list[Opinion]], han: str, word: str) -> None:
        with self.fresh() as open_store:
            store = open_store()
            held = write_all(store, batches)
            expected = [o.opinion_id for o in newest_first(held) if contains(o, han, word)]
            assert ids(store, Search(f"{han} {word}")) == expected
            assert sorted(ids(store, Search(f"{han} {word}", order="best"))) == sorted(expected)

    @RANDOM
    @given(
        batches=BATCHES,
        han=st.sampled_from(["", "茅", "大"]),
        filters=st.builds(
            Filters,
            entity=st.none() | st.sampled_from(ENTITIES),
            topic=st.none() | st.just("earnings"),
            watch=st.none() | st.just("w2"),
            sentiment=st.none() | LABELS,
            source=st.none() | st.just("论坛"),
            language=st.none() | st.just("zh"),
            start=st.none() | MOMENTS,
            end=st.none() | MOMENTS,
            story=st.none() | st.just("b"),
        ),
    )
    def test_filters_equal_reading_every_text(self, batches: list[list[Opinion]], han: str, filters: Filters) -> None:
        with self.fresh() as open_store:
            store = open_store()
            held = write_all(store, batches)
            expected = [o.opinion_id for o in newest_first(held) if passes(o, filters) and contains(o, han, "")]
            page = store.search(Search(han, filters))
            assert ([o.opinion_id for o in page.items], page.total) == (expected, len(expected))


def ids(store: OpinionStore, search: Search) -> list[str]:
    return [o.opinion_id for o in store.search(search).items]


def nan_mention() -> object:
    broken = mention("T.US")
    return msgspec.structs.replace(broken, sentiment=msgspec.structs.replace(broken.sentiment, negative=float("nan")))


def write_all(store: OpinionStore, batches: Sequence[Sequence[Opinion]]) -> list[Opinion]:
    """Write them; what the store should hold now."""
    held: dict[str, Opinion] = {}
    for batch in batches:
        assert store.write(batch) == []
        held.update({o.opinion_id: o for o in batch})
    return list(held.values())


def newest_first(held: Sequence[Opinion]) -> list[Opinion]:
    return sorted(sorted(held, key=lambda o: o.opinion_id), key=lambda o: o.published_at, reverse=True)


def contains(o: Opinion, han: str, word: str) -> bool:
    """Read with the eyes: the characters in a row; the word between spaces."""
    searched = o.text if not o.title or o.text.startswith(o.title) else f"{o.title}\n{o.text}"
    return han in searched and (not word or word.lower() in re.split(r"\s", searched.lower()))


def passes(o: Opinion, f: Filters) -> bool:
    label = o.sentiment.label
    if f.entity is not None:
        own = [m.sentiment for m in o.entities if m.entity == f.entity]
        if not own:
            return False
        label = max(own, key=lambda s: s.negative).label
    return (
        (f.sentiment is None or label == f.sentiment)
        and (f.topic is None or f.topic in [t.label for t in o.topics])
        and (f.watch is None or f.watch in o.watches)
        and (f.source is None or o.source == f.source)
        and (f.language is None or o.language == f.language)
        and (f.story is None or o.story_id == f.story)
        and (f.start is None or o.published_at >= f.start)
        and (f.end is None or o.published_at < f.end)
    )


def recount(held: Sequence[Opinion], key: str | None, step_s: int) -> list[Bin]:
    counts: Counter[tuple[int, str]] = Counter()
    for o in held:
        for of_key, sentiment in [(None, o.sentiment), *keys_of(o)]:
            if of_key == key:
                start = int(o.published_at.timestamp()) // step_s * step_s
                counts[start, "unsure" if o.unsure else sentiment.label] += 1
    starts = sorted({start for start, _ in counts})
    return [Bin(s, *(counts[s, c] for c in ("negative", "neutral", "positive", "unsure"))) for s in starts]


def recount_top(held: Sequence[Opinion], kind: str) -> list[KeyCount]:
    keys = {key for o in held for key, _ in keys_of(o) if key.startswith(f"{kind}:")}
    counts = []
    for key in keys:
        bins = recount(held, key, BIN_S)
        counts.append(KeyCount(key, sum(b.negative for b in bins), sum(b.total for b in bins)))
    return sorted(counts, key=lambda c: (-c.negative, -c.total, c.key))
