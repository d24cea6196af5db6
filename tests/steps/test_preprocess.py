"""From raw files to a data set: what is counted, what is logged, what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import yaml
from mlflow.artifacts import list_artifacts, load_dict, load_text

from tests.prepared import split_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.calling import Call, Called, Cycle

pytestmark = pytest.mark.spark

REASONS = {
    "null_time": ["null.tx_datetime"],
    "unparseable_time": ["unparseable.tx_datetime"],
    "null_terminal": ["null.terminal_id"],
    "zero_amount": ["range.tx_amount"],
    "negative_amount": ["range.tx_amount"],
    "duplicate_id": ["duplicate.transaction_id"],
    "unknown_customer": ["range.customer_id"],
    "letters_in_number": ["unparseable.customer_id", "unparseable.tx_amount"],
    "torn_line": ["malformed"],
}


def prepared_and_simulated(cycle: Cycle) -> list[tuple[Called, Called]]:
    return [(cycle.first_prepared, cycle.first_simulated), (cycle.prepared, cycle.simulated)]


def is_empty(root: Path) -> bool:
    """Whether a folder holds no file that somebody could read."""
    return not [path for path in root.rglob("*") if path.is_file()]


def test_counts_in_quarantine_are_exactly_the_planted_ones(cycle: Cycle) -> None:
    for prepared, simulated in prepared_and_simulated(cycle):
        found = {
            name.removeprefix("quarantined."): count
            for name, count in prepared.metrics.items()
            if name.startswith("quarantined.")
        }
        for kind, reasons in REASONS.items():
            kinds = [k for k, others in REASONS.items() if others == reasons]
            planted = sum(simulated.metrics[f"planted.{k}"] for k in kinds)
            assert sum(found.get(reason, 0) for reason in reasons) == planted, kind
        assert set(found) <= {reason for reasons in REASONS.values() for reason in reasons}
        assert prepared.metrics["quarantined"] == sum(found.values())
        assert prepared.metrics["rows_read"] == simulated.metrics["rows"]


def test_metrics_account_for_every_row(cycle: Cycle) -> None:
    for prepared, _ in prepared_and_simulated(cycle):
        metrics = prepared.metrics
        reasons = ("older", "gaps", "newer", "known_positives", "unlabelled")
        unused = sum(metrics[f"rows_{reason}"] for reason in reasons)
        used = sum(metrics[f"{name}_rows"] for name in ("train", "validation", "holdout"))
        came = metrics["rows_read"] + metrics["rows_earlier"]
        assert came == metrics["quarantined"] + unused + used
        assert f"{unused:,.0f} in no split ({metrics['rows_older']:,.0f} older" in prepared.out
    assert cycle.prepared.metrics["rows_earlier"] > 0


def test_every_rejected_row_is_kept_with_its_reason(cycle: Cycle) -> None:
    for prepared, simulated in prepared_and_simulated(cycle):
        rows = pd.read_parquet(f"{prepared.tags['dataset_uri'].removeprefix('file:')}/quarantine")
        counts = rows["_reason"].value_counts()
        for reason, count in counts.items():
            assert prepared.metrics[f"quarantined.{str(reason).replace(' ', '.')}"] == count
        assert len(rows) == prepared.metrics["quarantined"]
        assert rows["_file"].str.startswith(f"file:{simulated.tags['output']}/2019-").all()


def test_all_kinds_of_defects_were_planted(cycle: Cycle) -> None:
    assert all(cycle.first_simulated.metrics[f"planted.{kind}"] > 0 for kind in REASONS)


def test_only_new_files_of_a_grown_input_are_read(cycle: Cycle) -> None:
    first = cycle.first_prepared.run_id

    assert "all 20 files are read: there is no earlier version" in cycle.first_prepared.out
    assert f"6 of 26 files are read: {first} holds the others" in cycle.prepared.out
    assert "preprocess: 6 days computed, 20 reused" in cycle.prepared.err
    assert cycle.prepared.metrics["rows_read"] == cycle.simulated.metrics["rows"]
    assert cycle.prepared.tags["input.previous"] == cycle.first_prepared.tags["dataset_uri"]
    assert json.loads(cycle.prepared.tags["pinned"])["previous"] == first


def test_splits_are_logged_with_their_fingerprints(cycle: Cycle) -> None:
    tags, logged = cycle.prepared.tags, cycle.prepared.logged_data
    names = ("train", "validation", "holdout")

    assert logged == {f"fraud {name}": tags[f"fingerprint.{name}"] for name in names}
    assert len(set(logged.values())) == 3
    for name in names:
        rows = split_rows(tags["dataset_uri"], name)
        assert len(rows) == cycle.prepared.metrics[f"{name}_rows"]
        assert rows["tx_fraud"].sum() == cycle.prepared.metrics[f"{name}_positives"]
        assert f"{name} {len(rows):,} ({rows['tx_fraud'].sum():,} positives)" in cycle.prepared.out


@pytest.mark.usefixtures("store")
def test_artifacts_say_what_was_prepared(cycle: Cycle) -> None:
    uri = f"runs:/{cycle.prepared.run_id}"

    names = {file.path for file in list_artifacts(run_id=cycle.prepared.run_id)}
    assert names >= {"manifest.json", "profile.json", "classes.png", "defects.png", "data.html"}
    described = yaml.safe_load(load_text(f"{uri}/description.yaml"))
    assert described["label"]["delay"] == "2 days"
    assert list(described["columns"])[:2] == ["transaction_id", "tx_datetime"]
    files = json.loads(load_text(f"{uri}/input.json"))
    assert files == [path.as_uri().replace("///", "/") for path in sorted(cycle.raw.iterdir())]
    manifest = load_dict(f"{uri}/manifest.json")
    assert manifest["uri"] == cycle.data_uri
    assert len(manifest["days"]) == 26
    profile = load_dict(f"{uri}/profile.json")
    assert profile["rows"] == cycle.prepared.metrics["train_rows"]


@pytest.mark.usefixtures("store")
def test_repeated_in_its_cycle_it_is_reused(call: Call, cycle: Cycle) -> None:
    again = call("preprocess", dataset=cycle.description, pipeline_id=cycle.cycle_id)

    assert again.tags["reused_from"] == cycle.prepared.run_id
    assert again.tags["dataset_uri"] == cycle.data_uri
    assert again.metrics == cycle.prepared.metrics
    assert "preprocess: reused run" in again.out


@pytest.mark.usefixtures("store")
def test_too_many_rejected_rows_fail_and_leave_nothing(
    call: Call, cycle: Cycle, description: Callable[..., Path], tmp_path: Path
) -> None:
    refused = call(
        "preprocess",
        input=cycle.raw / "2019-08-2?.txt",
        dataset=description(quarantine={"max_share": 0.001}),
        data_root=tmp_path / "data",
    ).refusal

    assert "rows were rejected (" in refused
    assert "raise quarantine.max_share above 0.10%" in refused
    assert is_empty(tmp_path / "data")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"input": "/nowhere/raw"}, "/nowhere/raw holds no files"),
        ({"input": "{cycle}/*.pdf"}, "*.pdf holds no files"),
        ({"input": ","}, "names no files"),
        ({"input": "{cycle}/small.yaml"}, "small.yaml is of no kind that can be read"),
        ({"input": "{here}/nothing.txt"}, "the only file is empty"),
        ({"input": "{here}/header.txt"}, "no row of 1 file is valid"),
        ({"input": "{here}/other.parquet"}, "has no column transaction_id or tranaction_id"),
        ({"input": "{here}/text.parquet"}, "/text.parquet is not a parquet file"),
        (
            {"input": "{here}/other.txt"},
            "100.00% of 1 rows were rejected (malformed: 1, for example ",
        ),
        ({"input": "{here}/others.txt"}, "begins with rows of 2 fields (1,2), and the description"),
        ({"input": "{here}/list.json"}, "/list.json is not JSON"),
        ({"input": "runs:/0/input.json"}, "Run with id=0 not found"),
        ({"input": "s4://bucket/raw"}, "s4://bucket/raw cannot be reached"),
        ({"dataset": "frauds"}, "no data set description 'frauds': name one of drivers, fraud"),
        ({"dataset": ""}, "there is no data set description ''"),
        ({"dataset": "{here}/missing.yaml"}, "missing.yaml: No such file"),
        ({"dataset": "{here}/invalid.yaml"}, "write valid YAML"),
        ({"dataset": "{here}/empty.yaml"}, "empty.yaml is not a mapping"),
        ({"dataset": "{here}/leaking.yaml"}, "tx_fraud_scenario must not be a feature"),
        ({"previous": "0" * 32}, "previous='000"),
        ({"previous": "{train}"}, "did not write a data set"),
        ({"as_of": "2019-08-24"}, "shorter windows"),
    ],
)
def test_what_cannot_be_prepared_is_refused_in_one_line(
    call: Call,
    cycle: Cycle,
    tmp_path: Path,
    description: Callable[..., Path],
    told: dict[str, str],
    phrase: str,
) -> None:
    (tmp_path / "nothing.txt").touch()
    (tmp_path / "header.txt").write_text("# tranaction_id,tx_datetime\n")
    (tmp_path / "other.txt").write_text("1,2\n")
    (tmp_path / "others.txt").write_text("1,2\n3,4\n")
    (tmp_path / "text.parquet").write_text("no parquet")
    (tmp_path / "list.json").write_text("[")
    pd.DataFrame({"key": [1], "value": [2.0]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "invalid.yaml").write_text("name: [")
    (tmp_path / "empty.yaml").touch()
    leaking = description(features={"plain": ["tx_fraud_scenario"]}, slices=[])
    leaking.rename(tmp_path / "leaking.yaml")
    days = f"{cycle.raw}/2019-08-2[23].txt"
    standard = {"input": days, "dataset": str(cycle.description)}
    places = {"cycle": cycle.folder, "here": tmp_path, "train": cycle.trained.run_id}
    told = {name: value.format_map(places) for name, value in told.items()}

    refused = call("preprocess", data_root=tmp_path / "data", **standard | told).refusal

    assert phrase in refused
    assert is_empty(tmp_path / "data")


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize("told", [{"as_of": "soon"}, {"inputs": "/data"}, {"pipeline_id": "a'b"}])
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, told: dict[str, object]
) -> None:
    called = call("preprocess", **told)

    assert (called.code, called.run, called.out) == (2, None, "")


def test_note_shows_the_command_that_repeats_it(cycle: Cycle) -> None:
    run_id = cycle.prepared.run_id
    note = cycle.prepared.tags["mlflow.note.content"]

    assert f"mlflow run . --env-manager uv -e reproduce -P run_id={run_id}" in note
    assert f"-P input=runs:/{run_id}/input.json" in note
    assert f"-P dataset=runs:/{run_id}/description.yaml" in note
    assert f"-P data_root={cycle.folder}/data" in note
