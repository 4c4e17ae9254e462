"""prepare: raw → posts. Clean, language, times, entities, watches; and, in one process, the story."""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import structlog

from pipeline.control.base import Watch
from pipeline.errors import Reject, WindvaneError
from pipeline.prepare.clean import clean
from pipeline.prepare.entities import EntityLinker
from pipeline.prepare.language import language_of
from pipeline.prepare.times import settle, zone
from pipeline.prepare.watches import WatchMatcher, check_watch
from pipeline.records import Post, Raw, document, stable_id
from pipeline.settings import PrepareSettings
from pipeline.stages.story import Story

TICKER_FIELDS = ("ticker", "symbol")
_TRACKING = ("utm_", "fbclid", "gclid", "mc_cid", "mc_eid", "igshid", "spm", "share_token", "ref_src")


class Clean:
    """All of the stage but the story: a post is its own story still. No state between batches."""

    name = "prepare"

    def __init__(
        self, settings: PrepareSettings, linker: EntityLinker, watches: Callable[[], Sequence[Watch]] = tuple
    ) -> None:
        self._settings = settings
        self._linker = linker
        self._naive = zone(settings.naive_times)
        self._watches = watches
        self._matcher = WatchMatcher(())
        self._of: tuple[Watch, ...] = ()  # the watches that the matcher was made of
        self._log = structlog.get_logger()

    def __call__(self, batch: Sequence[Raw]) -> list[Post]:
        """Posts in order. Raises Reject for a text that is empty, too long, or whose time cannot be right."""
        self._refresh()
        return [self._post(raw) for raw in batch]

    def _refresh(self) -> None:
        """Follow the users' watches. One that cannot be used costs itself only, not the texts."""
        watches = tuple(self._watches())
        if watches == self._of:
            return
        usable = []
        for watch in watches:
            try:
                check_watch(watch)
                usable.append(watch)
            except WindvaneError as e:
                self._log.warning("watch left out", watch=watch.id, reason=str(e))
        self._matcher, self._of = WatchMatcher(usable), watches

    def _post(self, raw: Raw) -> Post:
        _check_size(raw, self._settings.max_text_bytes)
        text, title = clean(raw.text), clean(raw.title) if raw.title else ""
        if not text and not title:
            raise Reject(_nothing_left(raw))
        settled = settle(raw.published, raw.fetched_at, self._naive)
        url = canonical_url(raw.url) if raw.url else None
        post_id = _post_id(raw, text or title, url)
        bare = Post(
            post_id=post_id, source=raw.source, text=text, title=title or None, language="other",
            published_at=settled.published_at, fetched_at=raw.fetched_at, time_clamped=settled.clamped,
            story_id=post_id, author=raw.author, url=raw.url, attributes=raw.attributes,
        )  # fmt: skip
        words = document(bare)
        mentions = tuple(self._linker.link(words))
        return msgspec.structs.replace(
            bare, language=language_of(words), entities=mentions, watches=self._matcher.match(words, raw.attributes)
        )


class Prepare:
    """The stage in one process: `Clean`, then `Story`. Its only state is the stories, changed when nothing can raise
    any more."""

    name = "prepare"

    def __init__(
        self, settings: PrepareSettings, linker: EntityLinker, watches: Callable[[], Sequence[Watch]] = tuple
    ) -> None:
        self._clean = Clean(settings, linker, watches)
        self._story = Story(settings.story_window, settings.story_similarity)

    def __call__(self, batch: Sequence[Raw]) -> list[Post]:
        """Posts with their stories, in order. Raises what `Clean` raises."""
        return self._story(self._clean(batch))

    def rebuild(self, posts: Iterable[Post]) -> None:
        """The state after these posts, oldest first; the last `story_window` of all that were made are enough."""
        self._story.rebuild(posts)


def _check_size(raw: Raw, most: int) -> None:
    size = len(raw.text.encode("utf-8", "surrogatepass")) + len((raw.title or "").encode("utf-8", "surrogatepass"))
    if size > most:
        raise Reject(f"The text has {size} bytes; accepted are at most {most} (prepare.max_text_bytes).")


def _nothing_left(raw: Raw) -> str:
    if raw.text.strip():
        return (
            f"The text is empty after cleaning: {len(raw.text)} characters of markup or invisible signs, and no title."
        )
    return "The text is empty, and there is no title."


def _post_id(raw: Raw, text: str, url: str | None) -> str:
    """Deterministic. The ticker of the record takes part: collections per ticker repeat one text for each ticker, with
    the same native id, and each is a record of its own (they are one story all the same)."""
    ticker = next((f"{f}={raw.attributes[f]}" for f in TICKER_FIELDS if raw.attributes.get(f)), "")
    if raw.native_id:
        return stable_id(raw.source, "id", raw.native_id, ticker)
    if url:
        return stable_id(raw.source, "url", url, ticker)
    return stable_id(raw.source, "text", text, raw.title or "", raw.author or "", raw.published or "", ticker)


def canonical_url(url: str) -> str:
    """The address without what differs between copies of one page: fragment, tracking parameters, case of the host."""
    try:
        parts = urlsplit(url.strip())
        query = [
            (k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not k.lower().startswith(_TRACKING)
        ]
    except ValueError:
        return url.strip()
    default = {"http": ":80", "https": ":443"}.get(parts.scheme.lower(), "")
    host = parts.netloc.lower()
    host = host.removesuffix(default) if default else host
    path = parts.path if parts.path != "/" else ""
    return urlunsplit((parts.scheme.lower(), host, path, urlencode(query), ""))
