"""How far long work has come, on a terminal and elsewhere."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import termios

import pytest

from retraining import progress
from retraining.tracking.checkout import ROOT

BAR = """
import logging
import time
from retraining.cli.command import _Console
from retraining.progress import track

log = logging.getLogger("retraining")
log.addHandler(_Console())
log.setLevel(logging.INFO)
with track("days", 4, "files") as advance:
    time.sleep(0.2)
    advance(3)
    log.info("a line")
    advance(1)
print("end")
"""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (8.34, "8.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration_reads_as_a_person_says_it(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_without_a_terminal_lines_come_at_a_stated_pace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """80 units, one a second: a line after 30 s and after 60 s, none at the end."""
    now = 0.0
    monkeypatch.setattr("retraining.progress.time.monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    with progress.track("scoring", 80, "rows") as advance:
        for second in range(1, 81):
            now = float(second)
            advance(1)
    assert caplog.messages == [
        "scoring: 30 of 80 rows, about 50 s left",
        "scoring: 60 of 80 rows, about 20 s left",
    ]


def test_on_a_terminal_a_bar_shows_share_and_time_left_and_log_lines_stand_above_it() -> None:
    shown, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    done = subprocess.run(
        [sys.executable, "-c", BAR],
        env=os.environ | {"PYTHONPATH": str(ROOT / "steps")},
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    written = os.read(shown, 100_000).decode()
    os.close(terminal)
    os.close(shown)
    assert done.stdout == b"end\n"
    assert "days:  75%" in written
    assert "3/4" in written
    assert "<00:0" in written  # remaining time
    assert re.search(r"\r *\ra line\r\n", written)


def test_numbers_agree_with_their_nouns() -> None:
    told = [progress.counted(n, "file") for n in (0, 1, 2000)]
    assert told == ["0 files", "1 file", "2,000 files"]
    assert progress.all_files_are(1) == "the only file is"
    assert progress.all_files_are(20) == "all 20 files are"
