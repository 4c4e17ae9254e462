"""story: prepared → posts. Gives near-identical texts one story, whatever source or worker they came by."""

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.prepare.fingerprint import fingerprint
from pipeline.prepare.stories import Stories
from pipeline.records import Post, document


class Story:
    """The stage. Its state, the last `window` arrivals, changes after the last step of a batch that can raise."""

    name = "story"

    def __init__(self, window: int, similarity: float) -> None:
        self._stories = Stories(window, similarity)

    def __call__(self, batch: Sequence[Post]) -> list[Post]:
        """The posts in order, each with its story."""
        prints = [fingerprint(document(post), {m.entity for m in post.entities}) for post in batch]
        return [
            msgspec.structs.replace(post, story_id=self._stories.assign(post.post_id, print_))
            for post, print_ in zip(batch, prints, strict=True)
        ]

    def rebuild(self, posts: Iterable[Post]) -> None:
        """The state after these posts with their stories, in arrival order; the last `window` are enough."""
        self._stories.rebuild(posts)
