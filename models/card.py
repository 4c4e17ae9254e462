"""The model card: generated from a release's manifest, so that it never says what the manifest does not."""

from __future__ import annotations

from typing import Any


def render_card(manifest: dict[str, Any]) -> str:
    """Markdown of a manifest (models/registry.py, format 1)."""
    return f"# {manifest['name']}\n\nVersion {manifest['version']}.\n"
