"""The pages of docs/reference are those that `python docs/make.py` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_pages_are_as_the_code_says(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DOCS / "make.py", tmp_path], check=True)

    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in (DOCS / "reference").iterdir()}
