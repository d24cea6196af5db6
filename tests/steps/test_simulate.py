"""Simulated days: appended, repeatable, of one process a folder."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import mlflow
import pytest

from retraining.simulation.defects import KINDS, Defects
from retraining.simulation.files import simulate as write_days

if TYPE_CHECKING:
    from pathlib import Path

    from tests.steps.calling import Call

pytestmark = pytest.mark.usefixtures("tracking")

SMALL = {"customers": 30, "terminals": 40, "defects": 20}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def n_rows(folder: Path) -> int:
    text = [path.read_text() for path in folder.iterdir()]
    return sum(len(lines.splitlines()) - 1 for lines in text)


def test_days_are_added_to_those_that_exist(call: Call, tmp_path: Path) -> None:
    first = call("simulate", output=tmp_path / "raw", days=2, **SMALL)
    second = call("simulate", output=tmp_path / "raw", more=3, **SMALL)

    assert sorted(contents(tmp_path / "raw")) == [f"2019-08-{day}.txt" for day in range(22, 27)]
    assert "rows of 2019-08-22 to 2019-08-23 in " in first.out
    assert "rows of 2019-08-24 to 2019-08-26 in " in second.out
    assert first.metrics["rows"] + second.metrics["rows"] == n_rows(tmp_path / "raw")
    assert first.tags["fingerprint.files"] != second.tags["fingerprint.files"]


def test_days_written_one_by_one_have_the_bytes_of_days_written_at_once(
    call: Call, tmp_path: Path
) -> None:
    call("simulate", output=tmp_path / "one", days=1, **SMALL)
    call("simulate", output=tmp_path / "one", more=1, **SMALL)
    call("simulate", output=tmp_path / "all", days=2, **SMALL)
    called = call("simulate", output=tmp_path / "other", days=2, seed=8, **SMALL)

    assert contents(tmp_path / "one") == contents(tmp_path / "all")
    assert called.code == 0
    assert contents(tmp_path / "other") != contents(tmp_path / "all")


def test_metrics_count_the_planted_defects(call: Call, tmp_path: Path) -> None:
    made = call("simulate", output=tmp_path / "raw", days=2, **SMALL)
    written = write_days(
        tmp_path / "again",
        start=date(2019, 8, 22),
        days=2,
        seed=7,
        n_customers=30,
        n_terminals=40,
        defects=Defects().scaled(20),
    )

    told = {kind: made.metrics[f"planted.{kind}"] for kind in KINDS}
    assert told == written.defects
    assert sum(told.values()) > 0
    assert made.metrics["frauds"] == written.n_frauds
    assert f"{sum(told.values()):g} planted defects" in made.out
    assert made.tags["fingerprint.files"] == written.digest


def test_no_defects_are_planted_at_factor_zero(call: Call, tmp_path: Path) -> None:
    made = call("simulate", output=tmp_path, days=1, customers=30, terminals=40, defects=0)

    assert {made.metrics[f"planted.{kind}"] for kind in KINDS} == {0.0}


@pytest.mark.parametrize(
    ("name", "other"),
    [("seed", 8), ("customers", 31), ("terminals", 41), ("drift", 0.5), ("defects", 0)],
)
def test_another_process_in_the_same_folder_is_refused(
    call: Call, tmp_path: Path, name: str, other: float
) -> None:
    told = {"seed": 7, "drift": 1, **SMALL}
    call("simulate", output=tmp_path / "raw", days=1, **told)
    before = contents(tmp_path / "raw")

    refused = call("simulate", output=tmp_path / "raw", **told | {name: other}).refusal

    assert f"/raw was simulated with {name}={told[name]}, not {other}: keep" in refused
    assert contents(tmp_path / "raw") == before


def test_another_process_is_refused_however_the_folder_is_named(call: Call, tmp_path: Path) -> None:
    call("simulate", output=tmp_path / "raw", days=1, **SMALL)
    (tmp_path / "link").symlink_to(tmp_path / "raw")

    for way in (tmp_path / "raw" / ".." / "raw", tmp_path / "link"):
        assert "simulated with seed=7" in call("simulate", output=way, seed=8, **SMALL).refusal


def test_number_in_another_notation_is_the_same_process(
    call: Call, tmp_path: Path, tracking: str
) -> None:
    """`mlflow run` logs a parameter as it was typed: `drift=1.0`, not `drift=1`."""
    with mlflow.start_run() as run:
        mlflow.log_params({"drift": "1.0", "seed": "07", "output": str(tmp_path / "raw")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        call("simulate", output=tmp_path / "raw", days=1, drift="1.0", seed="07", **SMALL)

    assert call("simulate", output=tmp_path / "raw", more=1, drift="1.0", **SMALL).tags


def test_repeated_in_its_cycle_it_adds_nothing(call: Call, tmp_path: Path) -> None:
    told = {"output": tmp_path / "raw", "days": 1, "pipeline_id": "p1", **SMALL}
    first = call("simulate", **told)
    before = contents(tmp_path / "raw")

    second = call("simulate", **told)

    assert second.tags["reused_from"] == first.run_id
    assert second.metrics == first.metrics
    assert "simulate: reused run" in second.out
    assert contents(tmp_path / "raw") == before


def test_the_pinned_days_are_written_again_to_the_byte(call: Call, tmp_path: Path) -> None:
    call("simulate", output=tmp_path / "raw", days=1, **SMALL)
    second = call("simulate", output=tmp_path / "raw", more=1, **SMALL)
    before = contents(tmp_path / "raw")

    again = call("simulate", output=tmp_path / "raw", start="2019-08-23", days=1, **SMALL)

    assert again.metrics == second.metrics
    assert again.tags["fingerprint.files"] == second.tags["fingerprint.files"]
    assert contents(tmp_path / "raw") == before


def test_files_are_written_to_the_data_root_next_to_the_store(call: Call, tmp_path: Path) -> None:
    assert call("simulate", days=1, **SMALL).tags["output"] == f"{tmp_path}/data/raw/fraud"
    elsewhere = call("simulate", days=1, data_root=tmp_path / "there", **SMALL)
    assert elsewhere.tags["output"] == f"{tmp_path}/there/raw/fraud"


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"start": "2019-08-21"}, "start is 2019-08-21: give a day from 2019-08-22 on"),
        ({"days": 4_000_000}, "days is 4000000: give fewer"),
        ({"drift": "nan"}, "drift is nan"),
        ({"defects": "nan"}, "defects"),
        ({"defects": 1000}, "rates of the defects of a row add up to"),
        ({"output": "s3a://bucket/raw"}, "s3a:/bucket/raw is not local"),
        (
            {"output": "", "data_root": "hdfs://name/data"},
            "hdfs:/name/data/raw/fraud is not local",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, object],
    phrase: str,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert phrase in call("simulate", **{"output": tmp_path / "raw"} | SMALL | told).refusal

    assert not list((tmp_path / "here").iterdir())
    assert not list(tmp_path.glob("raw/*"))


@pytest.mark.parametrize(
    "told", [{"days": 0}, {"days": "many"}, {"customers": -1}, {"start": "today"}, {"sede": 3}]
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, tmp_path: Path, told: dict[str, object]
) -> None:
    called = call("simulate", output=tmp_path / "raw", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
    assert not (tmp_path / "raw").exists()


def test_note_shows_the_command_that_repeats_it(call: Call, tmp_path: Path) -> None:
    made = call("simulate", output=tmp_path / "raw", days=1, **SMALL)

    note = made.tags["mlflow.note.content"]
    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={made.run_id}" in note
    assert f"-P output={tmp_path}/raw" in note
    assert "-P start=2019-08-22" in note
    assert "-P customers=30" in note
