"""Write a pair of releases (format: models/paired.py) from two ordinary ones.

    python -m models.pair --en runs/en/release --zh build/zh --out models/released/windvane-zh-en-4

The pair's name is its folder's, or --name.

A part keeps its weights bit for bit, but of sets' own heads and scores those of its language only: what it says of the
other one is never asked for. Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.card import render_pair_card
from models.data import language_of_set
from models.language import LANGUAGES
from models.narrowing import narrowed
from models.paired import Pair, check_parts, load_model, pair_version
from models.registry import (
    BESIDE,
    CARD,
    HEADS,
    MANIFEST,
    PAIR_FORMAT,
    PRODUCT_HEADS,
    ModelError,
    Release,
    load_release,
)
from models.release import fingerprint, folder_bytes, info_of, warn_of_size, write_packed

LOG = logging.getLogger(__name__)


def write_pair(parts: Mapping[str, Release], out: Path, name: str) -> Pair:
    """Write the pair of `parts`, a release for each language, into `out`; read it back verified and return it.

    ModelError when `out` holds another model, a part was not trained on its language or has a head that this Windvane
    does not know, or the parts answer with other labels. Whatever stops the writing, what was written is removed.
    """
    check_parts(parts)
    if out.exists() and any(out.iterdir()):
        raise ModelError(f"expected an empty or new folder for the pair, found files in {out}. Remove it, or give "
                         "another --out.")  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    try:
        for language, release in parts.items():
            written = write_part(release, out / language, language)
            LOG.info("%s: %s, heads %s", language, written.version, ", ".join(written.manifest["heads"]))
        seal_pair(out, name)
        found = load_model(out)
    except BaseException:  # a full disk or Ctrl-C leaves no half of a pair either
        shutil.rmtree(out)
        raise
    assert isinstance(found, Pair)
    LOG.info("%.1f MB", folder_bytes(out) / 1e6)
    warn_of_size(out)
    return found


def write_part(release: Release, folder: Path, language: str) -> Release:
    """The part of a pair that reads a language: the product's heads, and own heads and scores of its sets alone."""
    info = info_of(release)
    kept = [name for name in release.manifest["heads"] if name in PRODUCT_HEADS or language_of_set(name) == language]
    packed = {
        name: tensor
        for name, tensor in release.packed().items()
        if not name.startswith(HEADS) or name.removeprefix(HEADS).rpartition(".")[0] in kept
    }
    info = replace(
        narrowed(info, (language,)),
        temperatures={head: of for head, of in info.temperatures.items() if head in kept},
        slopes={head: of for head, of in info.slopes.items() if head in kept},
    )
    return write_packed(folder, packed, {name: (release.folder / name).read_text("utf-8") for name in BESIDE}, info)


def seal_pair(folder: Path, name: str) -> None:
    """Write the joint card and the manifest over the parts that lie in `folder`."""
    parts = {language: load_release(folder / language) for language in LANGUAGES}
    versions = {language: part.version for language, part in parts.items()}
    manifest: dict[str, Any] = {
        "format": PAIR_FORMAT,
        "name": name,
        "version": pair_version(name, versions),
        "parts": {language: language for language in LANGUAGES},
        "files": {f"{language}/{MANIFEST}": fingerprint(folder / language / MANIFEST) for language in LANGUAGES},
    }
    sizes = {
        language: sum(file["bytes"] for file in part.manifest["files"].values()) for language, part in parts.items()
    }
    card = render_pair_card(manifest, {k: part.manifest for k, part in parts.items()}, sizes)
    (folder / CARD).write_text(card, encoding="utf-8")
    manifest["files"][CARD] = fingerprint(folder / CARD)
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Command line: the two releases, the folder of the pair and its name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for language in LANGUAGES:
        parser.add_argument(f"--{language}", type=Path, required=True, help=f"the release that reads {language} texts")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="", help="default: the name of the folder")
    given = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        parts = {language: load_release(given[language]) for language in LANGUAGES}
        pair = write_pair(parts, given["out"], given["name"] or given["out"].name)
    except ModelError as error:
        raise SystemExit(str(error)) from error
    LOG.info("released %s", pair.version)


if __name__ == "__main__":
    main()
