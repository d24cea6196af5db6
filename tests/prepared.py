"""Prepared data sets as others find them: by their manifest, without this project's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd


def split_folders(manifest: dict[str, Any], name: str) -> list[str]:
    """The folders with the rows of a split."""
    split = manifest["splits"][name]
    return [manifest["days"][day] for day in split["days"]] or [split["uri"]]


def split_rows(uri: str, name: str) -> pd.DataFrame:
    """The rows of a split of a data set on this machine."""
    manifest = json.loads(Path(uri.removeprefix("file:"), "_MANIFEST.json").read_text())
    folders = split_folders(manifest, name)
    return pd.concat([pd.read_parquet(folder.removeprefix("file:")) for folder in folders])
