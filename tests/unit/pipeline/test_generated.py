"""Generated pages are checked in and fresh."""

from docs.generate import pages


def test_generated_pages_are_fresh():
    stale = [path.name for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"
