"""Two models on the rows that neither has seen: the verdict, and where it is written."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from retraining.description import reading as descriptions
from retraining.gate.decision import decide
from retraining.tracking import champions, registry
from retraining.tracking.cycle import Cycle as Chained
from tests.prepared import split_rows
from tests.small import small_description
from tests.steps.calling import scores_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.calling import Call, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

PROMISED = [
    *("verdict", "reasons", "strategy", "metric", "effect_size", "ci_lower", "ci_upper"),
    *("pvalue", "alpha", "n_rows", "n_positives", "minimum_detectable_effect"),
]


def test_verdict_is_that_of_the_logged_scores(cycle: Cycle) -> None:
    found, scores = verdict_of(cycle.tested), scores_of(cycle.tested)
    expected = decide(
        scores["label"].to_numpy(),
        scores["champion"].to_numpy(),
        scores["challenger"].to_numpy(),
        policy=descriptions.load(cycle.description).gate,
        unit=scores["unit"].to_numpy(),
        period=scores["day"].to_numpy(),
    )

    assert set(PROMISED) <= set(found)
    told = json.loads(json.dumps(expected.to_mapping()))
    beside = {"cross_check", "guardrails", "slices", "opinions", "maturities", "ledger", "reasons"}
    beside |= {"alpha", "verdict", "minimum_detectable_effect", "rows_still_needed"}
    beside |= {"positives_still_needed", "periods_still_needed", "plan"}
    assert {k: v for k, v in found.items() if k not in beside} == {
        k: v for k, v in told.items() if k not in beside
    }
    assert cycle.tested.tags["verdict"] == found["verdict"]
    assert cycle.tested.tags["verdict.reasons"] == " ".join(found["reasons"])
    assert cycle.tested.metrics["effect_size"] == expected.effect_size
    assert cycle.tested.metrics["pvalue"] == expected.pvalue
    assert found["cross_check"]["n_rows"] == len(scores)
    assert {part["name"] for part in found["slices"]} == {"is_weekend=0", "is_weekend=1"}
    assert next(view["n_rows"] for view in found["maturities"]) == len(scores)


def test_a_challenger_that_is_worse_on_validation_is_tested_only_if_asked(
    call: Call, cycle: Cycle, aliases: Callable[[], dict[str, str]]
) -> None:
    """The two versions in exchanged roles: the tuned one is better on validation."""
    exchanged = {"champion": "models:/fraud/2", "challenger": "models:/fraud/1"}
    skipped = call("ab_test", **exchanged)
    alphas = {entry.test: entry.alpha for entry in registry.tests_of("fraud")}

    assert skipped.tags["verdict"] == "inconclusive"
    assert "ab_test with worse_on_validation=test would test it" in skipped.tags["verdict.reasons"]
    for role, fitted in (("champion", cycle.tuned), ("challenger", cycle.trained)):
        expected = fitted.metrics["auroc"]
        assert skipped.metrics[f"validation_{role}"] == pytest.approx(expected, rel=1e-9)
    assert skipped.metrics["validation_effect_size"] < 0
    assert "scores_uri" not in skipped.tags
    assert alphas[skipped.tags["identity"]] == 0.0
    refused = call("promote", verdict_run=skipped.run_id)
    assert "version 1 stays champion: verdict inconclusive" in refused.out
    assert aliases() == {"champion": "1", "challenger": "2"}
    assert skipped.run is not None
    assert refused.run is not None
    shown = Chained("c", {"ab_test": skipped.run, "promote": refused.run}).table
    assert "nan" not in shown
    assert "report" not in shown

    tested = call("ab_test", worse_on_validation="test", **exchanged)
    assert verdict_of(tested)["effect_size"] == -verdict_of(cycle.tested)["effect_size"]
    assert json.loads(tested.tags["verdict.charge"])["alpha"] > 0


@pytest.mark.parametrize("most", [1_000_000, 900])
def test_the_report_compares_both_on_the_validation_rows_or_some_of_them(
    call: Call, cycle: Cycle, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("retraining.comparison.scores.VALIDATION_ROWS", most)
    n_rows = int(cycle.prepared.metrics["validation_rows"])
    report = load_text(f"runs:/{call('ab_test', register='false').run_id}/report.html")
    compared = re.search(r"on the validation rows.*? on ([\d,]+) rows", report, re.DOTALL)
    assert compared
    found = int(compared[1].replace(",", ""))
    assert found == n_rows if most > n_rows else abs(found - most) < 3 * np.sqrt(most)


def test_replay_judges_the_same_scores_without_spark(
    call: Call, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy's alpha is kept beside what the ledger left of it."""

    def no_spark(*_: object) -> None:
        raise AssertionError("Spark was asked for")

    monkeypatch.setattr("retraining.spark.session.open_session", no_spark)
    same = call("ab_test", replay=cycle.tested.run_id)
    first = verdict_of(cycle.tested)
    same_as_before = ("verdict", "alpha", "effect_size", "ci_lower", "ci_upper", "pvalue", "n_rows")
    assert first["alpha"] < 0.05  # what the ledger left; slices and guardrails keep the policy's
    for name in (*same_as_before, "slices", "guardrails", "maturities"):
        assert verdict_of(same)[name] == first[name]
    assert same.tags["scores_uri"] == f"runs:/{cycle.tested.run_id}/scores.parquet"
    assert "verdict.binding" not in same.tags
    assert len(registry.tests_of("fraud")) == 1

    strict = verdict_of(call("ab_test", replay=same.run_id, alpha=0.001, metric="auprc"))
    assert (strict["alpha"], strict["metric"], strict["strategy"]) == (0.001, "auprc", "influence")
    weekend = verdict_of(call("ab_test", replay=cycle.tested.run_id, slice="is_weekend=1"))
    (part,) = (part for part in first["slices"] if part["name"] == "is_weekend=1")
    assert weekend["n_rows"] == part["n_rows"]
    legacy = call("ab_test", replay=cycle.tested.run_id, strategy="subsample_ttest")
    assert verdict_of(legacy)["verdict"] != "promote"
    assert {"pvalue_ttest", "p_shapiro_init", "p_shapiro_tuned"} <= set(legacy.metrics)
    kept = {file.path for file in MlflowClient().list_artifacts(legacy.run_id)}
    assert {"scores_init.csv", "scores_tuned.csv"} <= kept


def test_each_version_is_asked_of_the_registry_once(call: Call, asked: list[str]) -> None:
    assert call("ab_test", register="false").tags["verdict"]

    assert asked == ["fraud champion", "fraud challenger"]


def test_every_row_of_the_holdout_is_scored_by_both(cycle: Cycle) -> None:
    scores, metrics = scores_of(cycle.tested), cycle.tested.metrics
    holdout = split_rows(cycle.data_uri, "holdout")
    labels = holdout.set_index("transaction_id")["tx_fraud"].sort_index()

    assert scores["key"].tolist() == labels.index.tolist()
    assert scores["label"].tolist() == labels.tolist()
    assert set(scores) >= {"champion", "challenger", "unit", "day"}
    assert (metrics["n_holdout"], metrics["n_excluded"]) == (len(holdout), 0)
    assert metrics["n_rows"] == len(holdout)
    assert cycle.tested.tags["fingerprint.holdout"] == cycle.prepared.tags["fingerprint.holdout"]
    assert list(cycle.tested.logged_data) == ["fraud holdout"]


def test_metrics_of_both_models_are_those_of_scikit_learn(cycle: Cycle) -> None:
    scores, metrics = scores_of(cycle.tested), cycle.tested.metrics
    for role in ("champion", "challenger"):
        values = scores["label"], scores[role]
        assert metrics[f"{role}_auroc"] == pytest.approx(roc_auc_score(*values), rel=1e-12)
        expected = average_precision_score(*values)
        assert metrics[f"{role}_auprc"] == pytest.approx(expected, rel=1e-12)
        assert metrics[f"{role}_log_loss"] == pytest.approx(log_loss(*values), rel=1e-12)
        assert {f"{role}_brier", f"{role}_f1", f"{role}_precision_at_100"} <= set(metrics)


def test_both_versions_are_tagged_and_no_alias_moves(
    cycle: Cycle, aliases: Callable[[], dict[str, str]]
) -> None:
    for role, number in (("champion", "1"), ("challenger", "2")):
        assert cycle.tested.tags[f"input.{role}"] == f"models:/fraud/{number}"
        tags = MlflowClient().get_model_version("fraud", number).tags
        assert tags["ab_test.role"] == role
        assert tags["ab_test.verdict"] == cycle.tested.tags["verdict"]
        assert tags["ab_test.run_id"] == cycle.tested.run_id
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_report_and_note_show_how_to_repeat_the_comparison(cycle: Cycle) -> None:
    command = f"mlflow run . --env-manager uv -e reproduce -P run_id={cycle.tested.run_id}"
    report = load_text(f"runs:/{cycle.tested.run_id}/report.html")
    note = cycle.tested.tags["mlflow.note.content"]

    assert command in report
    assert "models:/fraud/1" in report
    assert cycle.tested.tags["fingerprint.holdout"] in report
    assert command in note
    assert "-P champion=models:/fraud/1 -P challenger=models:/fraud/2" in note
    assert f"-P data={cycle.prepared.run_id}" in note


def test_repeated_in_its_cycle_it_is_reused(call: Call, cycle: Cycle) -> None:
    again = call("ab_test")

    assert again.tags["reused_from"] == cycle.tested.run_id
    assert again.tags["verdict"] == cycle.tested.tags["verdict"]
    assert again.metrics == cycle.tested.metrics


def test_rows_that_a_model_was_selected_on_are_left_out(call: Call, cycle: Cycle) -> None:
    """The older data set's holdout reaches into what the models were validated on."""
    older, newer = (called.tags["dataset_uri"] for called in (cycle.first_prepared, cycle.prepared))
    holdout = split_rows(older, "holdout")["transaction_id"]
    train, validation = (
        set(split_rows(newer, name)["transaction_id"]) for name in ("train", "validation")
    )
    unseen = set(holdout) - train - validation
    assert 0 < len(unseen) < len(holdout)

    made = call("ab_test", data=cycle.first_prepared.run_id, register="false")

    assert made.metrics["n_holdout"] == len(holdout)
    assert made.metrics["n_excluded"] == len(holdout) - len(unseen)
    assert made.metrics["n_rows"] == len(unseen)
    assert set(scores_of(made)["key"]) == unseen
    # Both were trained on all of the older validation rows, so that these say nothing.
    assert set(split_rows(older, "validation")["transaction_id"]) <= train
    assert "validation rows" not in load_text(f"runs:/{made.run_id}/report.html")
    tags = MlflowClient().get_model_version("fraud", "2").tags
    assert tags["ab_test.run_id"] == cycle.tested.run_id


def test_a_cycle_of_the_past_that_meets_a_later_champion_is_inconclusive(
    call: Call, cycle: Cycle
) -> None:
    """Models that were fitted on all of the days have seen the holdout of some of them."""
    days = {"train": "5 days", "gap": "1 day", "validation": "1 day", "holdout": "2 days"}
    mapping = small_description()
    mapping["label"]["delay"] = "1 day"
    mapping["features"]["rolling"][1]["delay"] = "1 day"
    mapping["split"] = {"by": "time", **days}
    short = cycle.folder / "short.yaml"
    short.write_text(yaml.safe_dump(mapping, sort_keys=False))
    whole = call("preprocess", dataset=short, input=cycle.raw, pipeline_id="whole")
    end = max(split_rows(whole.tags["dataset_uri"], "train").tx_datetime)
    call("train", pipeline_id="whole", model_name="late")
    past = call(
        "preprocess", dataset=short, input=cycle.raw, pipeline_id="past", as_of=f"{end:%Y-%m-%d}"
    )
    call("tune", pipeline_id="past", model_name="late")

    tested = call("ab_test", pipeline_id="past", model_name="late")

    assert tested.tags["verdict"] == "inconclusive"
    rows = past.metrics["holdout_rows"]
    assert f"All {rows:,.0f} rows of the holdout were used to train" in tested.out
    assert tested.metrics["n_excluded"] == rows
    assert [entry.alpha for entry in registry.tests_of("late")] == [0.0]
    assert "stays champion: verdict inconclusive" in call("promote", pipeline_id="past").out


def test_named_cycle_tests_its_own_challenger(call: Call, cycle: Cycle) -> None:
    """Another cycle has given the alias to a version of its own meanwhile."""
    third = MlflowClient().create_model_version("fraud", "models:/fraud/1", cycle.trained.run_id)
    registry.challenge(third)

    own = call("ab_test", pipeline_id=cycle.cycle_id)
    newest = call("ab_test", seed=8)

    assert own.tags["reused_from"] == cycle.tested.run_id
    assert newest.tags["input.challenger"] == f"models:/fraud/{third.version}"


def test_after_its_promotion_a_cycle_finds_the_test_that_was_made(call: Call, cycle: Cycle) -> None:
    how = champions.record(cycle.tested.run_id, f"verdict of run {cycle.tested.run_id}")
    champions.move("fraud", "2", seen="1", how=how)

    again = call("ab_test", pipeline_id=cycle.cycle_id)

    assert again.tags["reused_from"] == cycle.tested.run_id


def test_a_large_holdout_is_scored_into_a_folder_of_its_own(
    call: Call, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retraining.comparison.scores.EXACT_ROWS", 100)
    made = call("ab_test", register="false")
    exact, found = verdict_of(cycle.tested), verdict_of(made)
    kept = pd.read_parquet(made.tags["scores_uri"].removeprefix("file:"))
    scores = scores_of(cycle.tested)
    assert len(kept) == len(scores)
    assert sorted(kept["challenger"]) == sorted(scores["challenger"])
    assert abs(found["effect_size"] - exact["effect_size"]) <= found["error_bound"] + 1e-12
    assert found["n_units"] == exact["n_units"]
    assert made.metrics["champion_precision_at_100"] == pytest.approx(
        cycle.tested.metrics["champion_precision_at_100"]
    )
    looked = call("ab_test", scores=made.tags["scores_uri"])
    assert looked.tags["model_name"] == "fraud"
    assert looked.tags["fingerprint.holdout"] == made.tags["fingerprint.holdout"]


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"scores": "/nowhere.parquet"}, "scores='/nowhere.parquet' does not exist"),
        ({"scores": "{here}/text.parquet"}, "text.parquet is not a parquet file"),
        ({"scores": "{here}"}, "text.parquet is not a parquet file"),
        ({"champion": "models:/fraud/2"}, "champion and challenger are both models:/fraud/2"),
        ({"challenger": "models:/fraud@champion"}, "are both models:/fraud/1: run tune"),
        ({"model_name": "other"}, "the registry has no models:/other@champion: run train"),
        ({"challenger": "models:/fraud/9"}, "the registry has no models:/fraud/9"),
        ({"challenger": "fraud/2"}, "'fraud/2' is not the URI of a registered model"),
        ({"data": "/nowhere"}, "/nowhere is not a data set"),
        ({"pipeline_id": "p0"}, "no finished preprocess run in cycle 'p0'"),
        ({"alpha": "nan"}, "policy: alpha: nan"),
        ({"metric": "brier", "strategy": "delong"}, "strategy: 'delong' needs the metric auroc"),
        ({"replay": "0" * 32}, "replay='000"),
        ({"replay": "{prepared}"}, "kept no scores: give the id of a finished ab_test run"),
        ({"replay": "{tested}", "slice": "city=Oslo"}, "slice='city=Oslo'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    call: Call, cycle: Cycle, tmp_path: Path, told: dict[str, object], phrase: str
) -> None:
    (tmp_path / "text.parquet").write_text("no parquet")
    known = {"prepared": cycle.prepared.run_id, "tested": cycle.tested.run_id}
    told = {name: str(value).format(here=tmp_path, **known) for name, value in told.items()}

    called = call("ab_test", **told)

    assert phrase in called.refusal
    assert called.run is not None
    assert "verdict" not in called.run.data.tags


@pytest.mark.parametrize(
    "told",
    [
        {"alpha": 0},
        {"alpha": 0.7},
        {"min_effect_size": -1},
        {"metric": "auc"},
        {"scores": "a.parquet", "champion": "models:/fraud/1"},
        {"scores": "a.parquet", "data": "/data"},
        {"scores": "a.parquet", "replay": "0" * 32},
    ],
)
def test_wrong_parameter_exits_with_2_and_leaves_no_run(
    call: Call, told: dict[str, object]
) -> None:
    called = call("ab_test", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
