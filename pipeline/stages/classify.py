"""Stage "classify": posts in, opinions out. One encoder pass gives topics, sentiment and sentiment per entity."""

from collections.abc import Sequence

from models.contract import Classifier, Prediction, Text
from pipeline.clock import Clock
from pipeline.records import (
    SENTIMENTS,
    Mention,
    Opinion,
    Post,
    Record,
    ScoredMention,
    Sentiment,
    TopicScore,
    document,
)


def sentiment_of(p: tuple[float, float, float]) -> Sentiment:
    """The sentiment record of (negative, neutral, positive)."""
    best = max(range(3), key=p.__getitem__)
    return Sentiment(label=SENTIMENTS[best], negative=p[0], neutral=p[1], positive=p[2])


def scored_mentions(mentions: Sequence[Mention], prediction: Prediction) -> tuple[ScoredMention, ...]:
    """Each mention with the sentiment of its span, in the order asked."""
    return tuple(
        ScoredMention(
            entity=m.entity, text=m.text, start=m.start, end=m.end, sentiment=sentiment_of(s.p), basis=s.basis
        )
        for m, s in zip(mentions, prediction.spans, strict=True)
    )


class Classify:
    """Holds no state between batches: a batch can be run again at any time with equal results."""

    name = "classify"

    def __init__(self, classifier: Classifier, clock: Clock) -> None:
        self._classifier = classifier
        self._clock = clock

    def __call__(self, batch: Sequence[Post]) -> Sequence[Record]:
        texts = [Text(document(p), tuple((m.start, m.end) for m in p.entities)) for p in batch]
        predictions = self._classifier.predict(texts)
        now = self._clock()
        version = self._classifier.version
        return [
            Opinion(
                post_id=post.post_id,
                source=post.source,
                text=post.text,
                language=post.language,
                published_at=post.published_at,
                fetched_at=post.fetched_at,
                story_id=post.story_id,
                title=post.title,
                author=post.author,
                url=post.url,
                time_clamped=post.time_clamped,
                entities=scored_mentions(post.entities, prediction),
                watches=post.watches,
                attributes=post.attributes,
                sentiment=sentiment_of(prediction.sentiment),
                unsure=prediction.unsure,
                model_version=version,
                scored_at=now,
                topics=tuple(TopicScore(label=label, p=p) for label, p in prediction.topics),
            )
            for post, prediction in zip(batch, predictions, strict=True)
        ]
