"""Batch scoring: every row comes out scored or quarantined, with the features of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, load_text

from retraining.models import scoring
from tests.prepared import split_folders, split_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tests.steps.calling import Call, Called, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

COLUMNS = ["key", "score", "prediction", "model_name", "model_version", "run_id"]
HOLDOUT_DAYS = "2019-09-1[1-4].txt"


def read(called: Called) -> pd.DataFrame:
    """The scores by key."""
    uri = called.tags["predictions_uri"].removeprefix("file:")
    return pd.read_parquet(uri).set_index("key").sort_index()


def gate_scores(cycle: Cycle) -> pd.Series[float]:
    """What ab_test let the champion say of the holdout, by key."""
    path = download_artifacts(f"runs:/{cycle.tested.run_id}/scores.parquet")
    return pd.read_parquet(path).set_index("key")["champion"].sort_index()


def holdout_of(cycle: Cycle) -> str:
    manifest = json.loads(Path(cycle.data_uri.removeprefix("file:"), "_MANIFEST.json").read_text())
    return ",".join(split_folders(manifest, "holdout"))


def n_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) - 1


def unlabelled(source: Path, target: Path) -> Path:
    """A day as it comes in: nobody knows yet which rows are frauds."""
    lines = source.read_text().splitlines()
    kept = [line if line[0] == "#" else ",".join(line.split(",")[:7]) for line in lines]
    target.write_text("\n".join(kept) + "\n")
    return target


def test_the_version_is_asked_of_the_registry_once(
    call: Call, cycle: Cycle, asked: list[str]
) -> None:
    assert call("predict", input=holdout_of(cycle)).tags["predictions_uri"]

    assert asked == ["fraud champion"]


def test_raw_rows_get_the_scores_that_the_gate_saw(call: Call, cycle: Cycle) -> None:
    """Features of raw rows with their history are those of the prepared holdout."""
    made = call("predict", input=cycle.raw / HOLDOUT_DAYS, history=cycle.raw)

    expected, found = gate_scores(cycle), read(made)
    assert list(found.reset_index().columns) == COLUMNS
    assert set(expected.index) == set(found.index)
    assert found["score"].tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    assert found["prediction"].tolist() == (found["score"] > 0.5).astype(int).tolist()
    assert set(found["model_name"]) == {"fraud"}
    assert set(found["model_version"]) == {1}
    assert set(found["run_id"]) == {made.run_id}
    n_read = sum(n_lines(path) for path in cycle.raw.glob(HOLDOUT_DAYS))
    assert made.metrics["rows_read"] == n_read
    assert made.metrics["rows_scored"] == len(found)
    assert made.metrics["quarantined"] == n_read - len(found) > 0
    assert made.metrics["predicted_positive"] == found["prediction"].sum()
    uri = made.tags["predictions_uri"].removeprefix("file:")
    assert len(pd.read_parquet(f"{uri}/_quarantine")) == n_read - len(found)
    assert f"predict: {len(found):,} rows scored by models:/fraud/1, " in made.out
    assert f"file:{uri}/_quarantine" in made.out
    assert f"{n_read:,} rows read, {n_read - len(found):,} rejected (" in made.err
    assert uri == f"{cycle.folder}/data/fraud/predictions/{made.run_id}"


def test_rows_without_labels_are_scored(call: Call, cycle: Cycle, tmp_path: Path) -> None:
    day = unlabelled(cycle.raw / "2019-09-14.txt", tmp_path / "2019-09-14.txt")
    history = f"{cycle.raw}/2019-09-0?.txt,{cycle.raw}/2019-09-1[0-3].txt"

    made = call("predict", input=day, history=history, output=tmp_path / "scored")

    found = read(made)
    assert made.tags["predictions_uri"] == f"file:{tmp_path}/scored"
    assert len(found) + made.metrics["quarantined"] == n_lines(day)
    expected = gate_scores(cycle)
    known = found.index.intersection(expected.index)
    assert len(known) > 500
    scores = found.loc[known, "score"].tolist()
    assert scores == pytest.approx(expected.loc[known].tolist(), rel=1e-12)
    assert json.loads(load_text(f"runs:/{made.run_id}/input.json")) == [f"file:{day}"]
    assert len(json.loads(load_text(f"runs:/{made.run_id}/history.json"))) == 13


def test_earlier_rows_are_by_default_the_prepared_ones(
    call: Call, cycle: Cycle, tmp_path: Path
) -> None:
    day = unlabelled(cycle.raw / "2019-09-14.txt", tmp_path / "2019-09-14.txt")

    made = call("predict", input=day)

    expected, found = gate_scores(cycle), read(made)
    known = found.index.intersection(expected.index)
    assert len(known) > 500
    scores = found.loc[known, "score"].tolist()
    assert scores == pytest.approx(expected.loc[known].tolist(), rel=1e-12)
    assert made.tags["input.history"] == cycle.data_uri
    alone = call("predict", input=day, history="none")
    assert "input.history" not in alone.tags
    assert read(alone)["score"].tolist() != found["score"].tolist()


def left_by(run_id: str, folder: Path) -> Path:
    """The output of a run that has not finished it."""
    folder.mkdir()
    (folder / "_UNFINISHED").write_text(run_id)
    (folder / "part-0.parquet").write_text("torn")
    return folder


@pytest.mark.parametrize("status", ["KILLED", "FAILED"])
def test_output_of_a_killed_run_is_written_again(
    call: Call, cycle: Cycle, tmp_path: Path, status: str
) -> None:
    run_id = MlflowClient().create_run("0").info.run_id
    MlflowClient().set_terminated(run_id, status)
    left = left_by(run_id, tmp_path / "scored")

    made = call("predict", input=holdout_of(cycle), output=left)

    assert len(read(made)) == made.metrics["rows_scored"]
    assert not (left / "part-0.parquet").exists()
    assert not (left / "_UNFINISHED").exists()


def test_output_of_a_run_that_may_be_alive_is_left_alone(
    call: Call, cycle: Cycle, tmp_path: Path
) -> None:
    running = MlflowClient().create_run("0").info.run_id
    for name, run_id in (("running", running), ("elsewhere", "0123456789abcdef" * 2)):
        left = left_by(run_id, tmp_path / name)

        refusal = call("predict", input=holdout_of(cycle), output=left).refusal

        assert f"is being written by run {run_id}" in refusal
        assert (left / "_UNFINISHED").read_text() == run_id
        assert (left / "part-0.parquet").read_text() == "torn"


def test_a_run_whose_output_another_one_took_removes_nothing(
    call: Call, cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the zombie of a task whose retry has begun."""
    folder, score = tmp_path / "scored", scoring.score

    def lose(*told: Any, **more: Any) -> DataFrame:  # noqa: ANN401
        (folder / "_UNFINISHED").write_text("another")
        (folder / "._UNFINISHED.crc").unlink()
        return score(*told, **more)

    monkeypatch.setattr(scoring, "score", lose)

    assert (
        "written by run another" in call("predict", input=holdout_of(cycle), output=folder).refusal
    )
    assert (folder / "_UNFINISHED").read_text() == "another"
    assert list(folder.glob("*.parquet"))


def test_rows_with_features_are_scored_as_they_are(call: Call, cycle: Cycle) -> None:
    made = call("predict", input=holdout_of(cycle), model="models:/fraud@challenger")

    path = download_artifacts(f"runs:/{cycle.tested.run_id}/scores.parquet")
    expected = pd.read_parquet(path).set_index("key")["challenger"].sort_index()
    assert read(made)["score"].tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    assert set(read(made)["model_version"]) == {2}
    assert (made.metrics["rows_read"], made.metrics["quarantined"]) == (len(expected), 0)
    assert made.tags["input.model"] == "models:/fraud/2"
    assert made.tags["fingerprint.scores"]


def test_repeated_in_its_cycle_it_is_reused(call: Call, cycle: Cycle, tmp_path: Path) -> None:
    told = {"input": holdout_of(cycle), "output": tmp_path / "scored"}
    first = call("predict", **told)

    second = call("predict", **told)

    assert second.tags["reused_from"] == first.run_id
    assert second.tags["predictions_uri"] == first.tags["predictions_uri"]
    assert second.metrics == first.metrics


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"output": "{here}"}, "output=file:{here} exists: name a folder that does not"),
        ({"input": "/nowhere"}, "/nowhere holds no files"),
        ({"input": "{here}/empty.txt"}, "the only file is empty"),
        ({"history": "/nowhere"}, "/nowhere holds no files"),
        ({"input": "{here}/other.parquet"}, "has no column transaction_id"),
        ({"input": "{here}/keyless.parquet"}, "the rows have no column transaction_id: they have"),
        (
            {"input": "{here}/null.parquet"},
            "6.00% of 50 rows were rejected (no value tx",
        ),
        ({"input": "{here}/narrow.parquet"}, "features of the model: tx_amount"),
        ({"model": "models:/fraud/9"}, "the registry has no models:/fraud/9"),
        ({"model": "fraud"}, "'fraud' is not the URI of a registered model"),
        ({"model_name": "other"}, "the registry has no models:/other@champion"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    call: Call, cycle: Cycle, tmp_path: Path, told: dict[str, str], phrase: str
) -> None:
    (tmp_path / "empty.txt").touch()
    pd.DataFrame({"key": [1]}).to_parquet(tmp_path / "other.parquet")
    holdout = split_rows(cycle.data_uri, "holdout")[:50].drop(columns="tx_datetime")
    holdout.drop(columns="transaction_id").to_parquet(tmp_path / "keyless.parquet")
    holdout.drop(columns="tx_amount").to_parquet(tmp_path / "narrow.parquet")
    holdout.loc[holdout.index[:3], "tx_amount"] = None
    holdout.to_parquet(tmp_path / "null.parquet")
    standard = {"input": f"{cycle.raw}/2019-09-14.txt", "output": f"{tmp_path}/scored"}
    told = {name: value.format(here=tmp_path) for name, value in told.items()}

    assert phrase.format(here=tmp_path) in call("predict", **standard | told).refusal
    assert not (tmp_path / "scored").exists()


def test_without_a_model_it_says_what_to_do(call: Call, tracking: str) -> None:
    assert "model_name=" in call("predict").refusal


def test_wrong_parameter_exits_with_2_and_leaves_no_run(call: Call) -> None:
    for told in ({"model_name": "a/b"}, {"in": "raw"}):
        called = call("predict", **told)
        assert (called.code, called.run, called.out) == (2, None, "")


def test_note_shows_the_command_that_repeats_it(call: Call, cycle: Cycle) -> None:
    made = call("predict", input=holdout_of(cycle))
    note = made.tags["mlflow.note.content"]

    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={made.run_id}" in note
    assert "-P model=models:/fraud/1" in note
    assert f"-P input=runs:/{made.run_id}/input.json" in note
