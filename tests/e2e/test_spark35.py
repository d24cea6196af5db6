"""The same chain on Spark 3.5, in an environment of its own, and on the Spark of conda.yaml."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from tests.e2e.projects import FirstChain

pytestmark = pytest.mark.slow

STEPS = ("preprocess", "train", "tune", "ab_test", "promote")
OLD = "spark35"
NO_PYTHON = {"PYSPARK_PYTHON": "/no/python"}


@pytest.fixture(scope="module")
def environment() -> Path:
    """The environment of conda.yaml with another PySpark; made once, then kept in the cache."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    if not Path(uv).exists():
        pytest.skip("uv is not installed: pip install uv")
    stated = re.findall(r"^ +- (\S+==\S+)$", (ROOT / "conda.yaml").read_text(), re.MULTILINE)
    instead = (ROOT / "tests" / "spark35.txt").read_text()
    kept = [
        line
        for line in (*stated, *(ROOT / "constraints.txt").read_text().splitlines())
        if not line.startswith(("pyspark==", "#"))
    ]
    requirements = "\n".join((*kept, instead))
    digest = hashlib.sha256(f"{sys.version}\n{requirements}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "retraining"
    folder = cache / f"spark35-{digest}"
    if not (folder / "complete").exists():
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run(
            [uv, "pip", "install", "--python", folder, "--compile-bytecode", "--requirement", "-"],
            check=True,
            input=requirements,
            text=True,
        )
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def other(
    first: FirstChain, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> FirstChain:
    """The first chain, and in its store the same chain on Spark 3.5."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    printed = first.mlflow_run(
        "main",
        input=first.raw,
        dataset=first.dataset,
        data_root=tmp_path_factory.mktemp("data"),
        trials=2,
        variables=NO_PYTHON | {"PATH": path},
        **first.parameters(OLD),
    )
    assert NO_PYTHON["PYSPARK_PYTHON"] not in printed
    return first


@pytest.mark.parametrize("step", STEPS)
def test_spark_35_makes_what_the_stated_version_makes(other: FirstChain, step: str) -> None:
    assert other.run(step, OLD).data.tags["version.pyspark"].startswith("3.5.")
    assert other.run(step).data.tags["version.pyspark"].startswith("4.")
    assert other.differences(step, OLD) == []


def test_fingerprints_and_verdicts_were_compared(other: FirstChain) -> None:
    prepared, tested = (other.run(step, OLD).data.tags for step in ("preprocess", "ab_test"))
    assert {f"fingerprint.{name}" for name in ("train", "validation", "holdout")} < prepared.keys()
    assert tested["verdict"] == other.run("ab_test").data.tags["verdict"]
