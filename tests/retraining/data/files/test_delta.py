"""Tables of Delta Lake, written by the package that reads them; the shared session lacks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from retraining.errors import RetrainingError
from retraining.spark import delta, settings
from retraining.tracking.checkout import ROOT
from tests.stack.process import SHORT_LIVED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

SCRIPT = """
import json, sys
from click.testing import CliRunner
from mlflow.artifacts import download_artifacts
from preprocess import preprocess
from retraining.data.files import sources
from retraining.description.reading import load
from retraining.errors import RetrainingError
from retraining.spark.session import open_session
from retraining.tracking import inputs
from tests.steps.calling import runs_of

folder, dataset, root = sys.argv[1:]
table, said = f"delta:{folder}", {}


def rows(source):
    files = sources.list_files(spark, source)
    read = [row.asDict() for row in sources.read_raw(spark, files, load(dataset)).collect()]
    read = sorted(read, key=lambda row: int(row["key"]))
    return {"paths": [file.path for file in files], "digest": inputs.digest_of(files), "rows": read}


def refusal(source):
    try:
        return sources.list_files(spark, source)
    except RetrainingError as error:
        return str(error)


with open_session("test", "local[2]", [table]) as spark:
    spark.conf.set("spark.databricks.delta.snapshotPartitions", "1")
    people = spark.range(300).selectExpr(
        "id key", "concat('town ', id % 3) city", "int(id % 7) age", "id / 2 height", "id % 2 ill"
    ).coalesce(1).write.format("delta").option("delta.enableDeletionVectors", "true")
    people.option("delta.columnMapping.mode", "name").save(folder)
    spark.sql(f"DELETE FROM delta.`{folder}` WHERE key BETWEEN 1 AND 5")
    said["now"], said["named"], said["oldest"] = map(rows, (folder, table, f"{table}@v0"))
    said["refusals"] = [refusal(name) for name in (f"{table}@v2", "delta:/nowhere", "delta:")]
    words = ["--input", folder, "--dataset", dataset, "--data-root", root]
    CliRunner().invoke(preprocess, words, catch_exceptions=False)
    (run,) = runs_of("preprocess")
    spark.sql(f"DELETE FROM delta.`{folder}` WHERE key > 290")
    said["later"] = rows(folder)
    said["pinned"] = rows(download_artifacts(json.loads(run.data.tags["pinned"])["input"]))
said["run"] = run.data.tags | run.data.metrics
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def packages() -> list[Path]:
    try:
        return delta.jars(["delta:any"])
    except RetrainingError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("packages", "tracking")
def test_a_table_is_read_as_it_is_at_a_version(
    tmp_path: Path, describe: Callable[..., Description]
) -> None:
    """Rows that a file of their own deletes, columns that files name otherwise; a repetition."""
    (tmp_path / "people.yaml").write_text(yaml.safe_dump(describe().to_mapping()))
    folder = tmp_path / "people"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, tmp_path / "people.yaml", tmp_path / "root"],
        env={k: v for k, v in os.environ.items() if not k.startswith("SPARK_")}
        | SHORT_LIVED
        | {"PYTHONPATH": f"{ROOT / 'steps'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])

    address, now = f"delta:file:{folder}", said["now"]
    assert now == said["named"]
    assert now["paths"] == [f"{address}@v1"]
    assert [int(row["key"]) for row in now["rows"]] == [0, *range(6, 300)]
    own = {"key": "6", "city": "town 0", "age": "6", "height": "3.0", "ill": "0"}
    assert now["rows"][1] == own | {"_malformed": None, "_file": f"{address}@v1"}
    assert said["oldest"]["paths"] == [f"{address}@v0"]
    assert len(said["oldest"]["rows"]) == 300
    newer, nowhere, nothing = said["refusals"]
    assert f"{folder} has no version 2: its versions are 0 to 1" in newer
    assert nowhere.startswith("/nowhere is not a table of Delta Lake")
    assert nothing.startswith("delta: names no table")

    assert said["run"]["rows_read"] == 295
    assert said["pinned"] == now
    assert said["later"]["paths"] == [f"{address}@v2"]
    assert len(said["later"]["rows"]) == 286
    assert said["later"]["digest"] != now["digest"]


def test_a_session_that_reads_a_table_has_what_it_needs(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of this machine is known for a table; an address is taken at its word."""
    for name in ("PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "people" / "_delta_log").mkdir(parents=True)
    for source in (f"{tmp_path}/a.csv, {tmp_path}/people", "delta:s3a://bucket/people@v3"):
        chosen = settings.for_creation(None, [source])
        assert delta.SETTINGS.items() <= chosen.items()
        assert set(map(str, packages)) <= set(chosen["spark.jars"].split(","))
    assert not delta.SETTINGS.keys() & settings.for_creation(None, [str(tmp_path)]).keys()
    monkeypatch.setattr("pyspark.__version__", "4.0.1")
    with pytest.raises(RetrainingError, match=r"not read with Spark 4\.0"):
        settings.for_creation(None, ["delta:/people"])
