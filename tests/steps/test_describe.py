"""A first description, from files that nobody has described to rows that are prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from mlflow.artifacts import load_text

from retraining.description.reading import load
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.steps.calling import Call

pytestmark = pytest.mark.spark

N = 1200


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Visits as a German or Russian spreadsheet exports them, with line breaks in a text."""
    rng = np.random.default_rng(8)
    amount = rng.gamma(2, 50, N).round(2)
    age = rng.integers(18, 80, N).astype(object)
    age[rng.random(N) < 0.1] = "NA"
    frame = pd.DataFrame(
        {
            "номер": np.arange(N) + 5000,
            "visit.date": (
                pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N) // 10, unit="D")
            ).strftime("%d.%m.%Y"),
            "сумма": [f"{value:.2f}".replace(".", ",") for value in amount],
            "age": age,
            "город": rng.choice(["Москва", "Казань"], N),
            "note": [f'said: "{i};"\nand more' for i in range(N)],
            "возврат": np.where(rng.random(N) < 1 / (1 + np.exp(2 - amount / 60)), "да", "нет"),
        }
    )
    path = tmp_path / "visits.csv"
    frame.to_csv(path, sep=";", index=False, encoding="cp1251")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("spark", "tracking")
def test_files_are_described_and_then_prepared(call: Call, raw: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    described = call("describe", input=raw, output=mine)

    assert (described.tags["dataset"], described.tags["output"]) == ("visits", str(mine))
    assert described.metrics["rows"] == described.metrics["rows_sampled"] == N
    assert load_text(f"runs:/{described.run_id}/description.yaml") == mine.read_text()
    marked = mine.read_text().count("# CHECK: ")
    assert described.metrics["checks"] == marked > 0
    assert described.err.count("describe: line ") == marked
    description = load(mine)
    assert description.event_time == "visit_date"
    assert description.features.categorical == ("column_5",)

    prepared = call("preprocess", dataset=mine, input=raw, data_root=tmp_path / "data")
    assert prepared.metrics["rows_read"] == N
    assert prepared.metrics["quarantined"] == 0
    positives = sum(prepared.metrics[f"{s}_positives"] for s in ("train", "validation", "holdout"))
    assert positives > 100


@pytest.mark.usefixtures("tracking")
def test_a_file_that_exists_stays_as_it_is(call: Call, raw: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("mine")

    assert "exists" in call("describe", input=raw, output=mine).refusal
    assert mine.read_text() == "mine"
    only_artifact = call("describe", input=raw, output="-", name="Visits 2024", label="возврат")
    assert only_artifact.tags["dataset"] == "visits"
    assert "output" not in only_artifact.tags
    assert "line 1" not in only_artifact.out
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["mine.yaml"]


@pytest.mark.usefixtures("tracking")
def test_the_next_command_is_right_in_any_folder(
    call: Call, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    described = call("describe", input=f"{raw.name},*.csv", output="near.yaml")

    inputs = f"'{raw},{tmp_path}/*.csv'"
    given = f"-P dataset={tmp_path}/near.yaml -P input={inputs}"
    assert f"next: mlflow run {ROOT} --env-manager uv {given}\n" in described.err


@pytest.mark.usefixtures("tracking")
def test_what_cannot_be_described_leaves_no_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("a,b\n" + "".join(f"{i},{i / 3}\n" for i in range(50)))
    mine = tmp_path / "mine.yaml"

    assert (
        "looks like a label"
        in call("describe", input=tmp_path / "numbers.csv", output=mine).refusal
    )
    assert not mine.exists()
