"""Where this project keeps what is made or downloaded once for all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """The folder in the user's cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retraining"
