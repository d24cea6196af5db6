"""What a step takes from other runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from retraining.tracking.checkout import ROOT


@pytest.mark.usefixtures("tracking")
def test_what_was_downloaded_goes_with_the_process(tmp_path: Path) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("scores", "scores.txt")
    program = (
        "import sys; from retraining.tracking import inputs; "
        "path = inputs.download(sys.argv[1]); print(path, open(path).read())"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", program, f"runs:/{run.info.run_id}/scores.txt"],
        env={
            **os.environ,
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(ROOT / "steps"),
            "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    path, content = done.stdout.split()
    assert (Path(path).name, content) == ("scores.txt", "scores")
    assert Path(path).is_relative_to(temporary)
    assert list(temporary.iterdir()) == []
