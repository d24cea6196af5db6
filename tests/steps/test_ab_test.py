"""Two models on the rows that neither has seen: the verdict, and where it is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, load_dict, load_text
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from retraining import comparison, registry
from retraining import description as descriptions
from retraining.decision import Policy, decide
from tests.steps.conftest import small_description

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.conftest import Call, Called, Cycle

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]

PROMISED = [
    *("verdict", "reasons", "strategy", "metric", "effect_size", "ci_lower", "ci_upper"),
    *("pvalue", "alpha", "n_rows", "n_positives", "minimum_detectable_effect"),
]


def scores_of(called: Called) -> pd.DataFrame:
    return pd.read_parquet(download_artifacts(f"runs:/{called.run_id}/scores.parquet"))


def verdict_of(called: Called) -> dict[str, Any]:
    found: dict[str, Any] = load_dict(f"runs:/{called.run_id}/verdict.json")
    return found


def rows(n_rows: int = 1000, gain: float = 0.3) -> pd.DataFrame:
    """Scores of two models on rows of `n_rows / 4` units with weights; the second one is better."""
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, n_rows)
    noise = rng.normal(size=(2, n_rows))
    return pd.DataFrame(
        {
            "label": label,
            "champion": 1 / (1 + np.exp(noise[0] - label)),
            "challenger": 1 / (1 + np.exp(noise[0] - label * (1 + gain) + 0.1 * noise[1])),
            "weight": rng.integers(1, 4, n_rows).astype(float),
            "unit": [f"u{i // 4}" for i in range(n_rows)],
        }
    )


def test_verdict_is_that_of_the_logged_scores(cycle: Cycle) -> None:
    found, scores = verdict_of(cycle.tested), scores_of(cycle.tested)
    expected = decide(
        scores["label"].to_numpy(),
        scores["champion"].to_numpy(),
        scores["challenger"].to_numpy(),
        policy=descriptions.load(cycle.description).gate,
        unit=scores["unit"].to_numpy(),
    )

    assert set(PROMISED) <= set(found)
    told = json.loads(json.dumps(expected.to_mapping()))
    beside = {"cross_check", "guardrails", "slices", "opinions", "maturities", "ledger", "reasons"}
    beside |= {"alpha", "verdict", "minimum_detectable_effect", "rows_still_needed"}
    beside |= {"positives_still_needed"}
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


def test_a_test_is_charged_to_the_ledger_of_its_model_once(call: Call, cycle: Cycle) -> None:
    entries = registry.tests_of("fraud")
    assert len(entries) == 1
    assert entries[0].test == cycle.tested.tags["identity"]
    assert entries[0].alpha == verdict_of(cycle.tested)["alpha"]
    assert entries[0].fingerprint == cycle.prepared.tags["fingerprint.holdout"]
    assert verdict_of(cycle.tested)["ledger"]["n_tests"] == 0

    repeated = call("ab_test", pipeline_id="other", data=cycle.prepared.run_id)
    assert registry.tests_of("fraud")[0].alpha == entries[0].alpha
    other = call("ab_test", data=cycle.prepared.run_id, metric="brier")
    assert len(registry.tests_of("fraud")) > len(entries)
    assert verdict_of(other)["ledger"]["n_holdout_tests"] >= 1
    assert repeated.tags["verdict.binding"] == "true"


def test_without_register_nothing_is_charged_and_nothing_can_follow(
    call: Call, cycle: Cycle, aliases: Callable[[], dict[str, str]]
) -> None:
    made = call("ab_test", register="false")
    assert len(registry.tests_of("fraud")) == 1
    assert "verdict.binding" not in made.tags
    assert verdict_of(made)["ledger"] is None
    assert "without consequence" in call("promote", verdict_run=made.run_id).refusal
    assert aliases() == {"champion": "1", "challenger": "2"}


def test_a_holdout_that_was_looked_at_is_refused_where_only_fresh_ones_count(
    call: Call, cycle: Cycle, tmp_path: Path
) -> None:
    description = yaml.safe_load(cycle.description.read_text())
    description["gate"]["memory"] = "fresh_holdout_only"
    path = tmp_path / "strict.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    prepared = call("preprocess", dataset=path)
    refused = call("ab_test", data=prepared.run_id).refusal
    assert "was tested before" in refused
    assert "prepare a holdout of later days" in refused


def test_replay_judges_the_same_scores_without_spark(
    call: Call, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_spark(*_: object) -> None:
        raise AssertionError("Spark was asked for")

    monkeypatch.setattr("ab_test.open_session", no_spark)
    same = call("ab_test", replay=cycle.tested.run_id)
    first = verdict_of(cycle.tested)
    same_as_before = ("verdict", "alpha", "effect_size", "ci_lower", "ci_upper", "pvalue", "n_rows")
    for name in (*same_as_before, "slices", "maturities"):
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


def test_every_row_of_the_holdout_is_scored_by_both(cycle: Cycle) -> None:
    scores, metrics = scores_of(cycle.tested), cycle.tested.metrics
    holdout = pd.read_parquet(f"{cycle.data_uri.removeprefix('file:')}/splits/split=holdout")
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


def test_report_explains_and_the_note_tells_how_to_repeat(cycle: Cycle) -> None:
    command = f"mlflow run . -e reproduce -P run_id={cycle.tested.run_id}"
    report = load_text(f"runs:/{cycle.tested.run_id}/report.html")
    note = cycle.tested.tags["mlflow.note.content"]

    assert command in report
    assert "models:/fraud/1" in report
    assert cycle.tested.tags["fingerprint.holdout"] in report
    assert command in note
    assert "-P champion=models:/fraud/1 -P challenger=models:/fraud/2" in note
    assert f"-P data={cycle.prepared.run_id}" in note


def test_repeated_in_its_pipeline_it_is_reused(call: Call, cycle: Cycle) -> None:
    again = call("ab_test")

    assert again.tags["reused_from"] == cycle.tested.run_id
    assert again.tags["verdict"] == cycle.tested.tags["verdict"]
    assert again.metrics == cycle.tested.metrics


def test_rows_that_a_model_was_selected_on_are_left_out(call: Call, cycle: Cycle) -> None:
    """The older data set's holdout reaches into what the models were validated on."""
    older, newer = (
        called.tags["dataset_uri"].removeprefix("file:")
        for called in (cycle.first_prepared, cycle.prepared)
    )
    holdout = pd.read_parquet(f"{older}/splits/split=holdout")["transaction_id"]
    folders = [f"{newer}/splits/split={name}" for name in ("train", "validation")]
    seen = [pd.read_parquet(folder)["transaction_id"] for folder in folders]
    unseen = set(holdout) - set(pd.concat(seen))
    assert 0 < len(unseen) < len(holdout)

    made = call("ab_test", data=cycle.first_prepared.run_id, register="false")

    assert made.metrics["n_holdout"] == len(holdout)
    assert made.metrics["n_excluded"] == len(holdout) - len(unseen)
    assert made.metrics["n_rows"] == len(unseen)
    assert set(scores_of(made)["key"]) == unseen
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
    end = max(
        pd.read_parquet(
            f"{whole.tags['dataset_uri'].removeprefix('file:')}/splits/split=train"
        ).tx_datetime
    )
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
    assert registry.tests_of("late") == []
    assert "stays champion: verdict inconclusive" in call("promote", pipeline_id="past").out


def test_in_a_cycle_that_is_named_its_own_challenger_is_tested(call: Call, cycle: Cycle) -> None:
    """Another cycle has given the alias to a version of its own meanwhile."""
    third = MlflowClient().create_model_version("fraud", "models:/fraud/1", cycle.trained.run_id)
    registry.challenge(third)

    own = call("ab_test", pipeline_id=cycle.pipeline_id)
    newest = call("ab_test", seed=8)

    assert own.tags["reused_from"] == cycle.tested.run_id
    assert newest.tags["input.challenger"] == f"models:/fraud/{third.version}"


def test_after_its_promotion_a_cycle_finds_the_test_that_was_made(call: Call, cycle: Cycle) -> None:
    record = {"why": f"verdict of run {cycle.tested.run_id}"}
    registry.promote("fraud", "2", seen="1", record=record)

    again = call("ab_test", pipeline_id=cycle.pipeline_id)

    assert again.tags["reused_from"] == cycle.tested.run_id


def test_table_of_scores_is_compared_by_weight_and_unit(call: Call, tmp_path: Path) -> None:
    table = rows().assign(claim=range(1000))
    table.to_parquet(tmp_path / "scores.parquet")
    made = call("ab_test", scores=tmp_path / "scores.parquet", alpha=0.01)
    expected = decide(
        *(table[name].to_numpy() for name in ("label", "champion", "challenger")),
        policy=Policy(alpha=0.01),
        weight=table["weight"].to_numpy(),
        unit=table["unit"].to_numpy(),
    ).to_mapping()

    found = verdict_of(made)
    assert found["verdict"] == expected["verdict"] == "promote"
    for name in ("effect_size", "ci_lower", "ci_upper", "pvalue", "champion", "challenger"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9)
    counts = ("n_rows", "n_positives", "n_units", "alpha", "strategy")
    assert {name: found[name] for name in counts} == {name: expected[name] for name in counts}
    auroc = roc_auc_score(table["label"], table["champion"], sample_weight=table["weight"])
    assert made.metrics["champion_auroc"] == pytest.approx(auroc, rel=1e-12)
    assert len(scores_of(made)) == len(table)
    report = load_text(f"runs:/{made.run_id}/report.html")
    assert "<dt>columns with too many values for slices</dt><dd>claim</dd>" in report
    assert "report.html" in {file.path for file in MlflowClient().list_artifacts(made.run_id)}


@pytest.mark.parametrize("metric", ["auroc", "log_loss"])
def test_more_rows_than_the_driver_takes_are_counted_by_spark(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    table = rows(4000).assign(city=np.arange(4000) % 2)
    table.to_parquet(tmp_path / "scores.parquet")
    exact = verdict_of(call("ab_test", scores=tmp_path / "scores.parquet", metric=metric))
    monkeypatch.setattr(comparison, "EXACT_ROWS", 100)
    made = call("ab_test", scores=tmp_path / "scores.parquet", metric=metric)
    found = verdict_of(made)
    assert found["verdict"] == exact["verdict"]
    assert abs(found["effect_size"] - exact["effect_size"]) <= found["error_bound"] + 1e-8
    assert found["standard_error"] == pytest.approx(exact["standard_error"], rel=0.02)
    for name in ("n_rows", "n_positives", "n_units"):
        assert found[name] == exact[name]
    assert {part["name"] for part in found["slices"]} == {"city=0", "city=1"}
    assert made.tags["scores_uri"] == str(tmp_path / "scores.parquet")

    again = call("ab_test", replay=made.run_id, slice="city=1", metric=metric)
    (part,) = (part for part in exact["slices"] if part["name"] == "city=1")
    assert verdict_of(again)["n_rows"] == part["n_rows"]
    assert verdict_of(again)["effect_size"] == pytest.approx(part["effect_size"], abs=1e-3)
    refused = call("ab_test", replay=made.run_id, strategy="subsample_ttest").refusal
    assert "draws single rows, and these were put into cells" in refused
    assert "names no slice" in call("ab_test", replay=made.run_id, slice="town=1").refusal


def test_a_large_holdout_is_scored_into_a_folder_of_its_own(
    call: Call, cycle: Cycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "EXACT_ROWS", 100)
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


def test_order_of_the_rows_decides_nothing(call: Call, tmp_path: Path) -> None:
    table = rows(400).drop(columns="unit")
    found = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.parquet"
        table.sample(frac=1, random_state=seed).to_parquet(path)
        found.append(verdict_of(call("ab_test", scores=path, metric="brier")))

    assert found[0] == found[1]
    assert (found[0]["metric"], found[0]["strategy"]) == ("brier", "influence")


def test_scores_need_not_be_probabilities_for_auroc(call: Call, tmp_path: Path) -> None:
    table = rows()[["label", "champion", "challenger"]]
    table[["champion", "challenger"]] *= 100
    table.to_parquet(tmp_path / "margins.parquet")

    made = call("ab_test", scores=tmp_path / "margins.parquet")

    assert made.tags["verdict"] == "promote"
    assert {"champion_auroc", "challenger_auprc"} <= set(made.metrics)
    assert "champion_log_loss" not in made.metrics
    refused = call("ab_test", scores=tmp_path / "margins.parquet", metric="log_loss").refusal
    assert "champion is outside [0, 1] in" in refused


def test_equal_scores_keep_the_champion(call: Call, tmp_path: Path) -> None:
    table = rows()
    table["challenger"] = table["champion"]
    table.to_parquet(tmp_path / "scores.parquet")

    made = call("ab_test", scores=tmp_path / "scores.parquet")

    assert made.tags["verdict"] == "keep_champion"
    assert made.metrics["effect_size"] == 0


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"challenger": None}, "has no column challenger: it has label, champion, weight, unit"),
        ({"label": 2}, "label is neither 0 nor 1 in 1 rows, first 2 in row"),
        ({"label": np.nan}, "label is neither 0 nor 1 in 1 rows"),
        ({"champion": np.nan}, "champion is not finite in 1 rows"),
        ({"challenger": np.inf}, "challenger is not finite in 1 rows"),
        ({"weight": -1.0}, "weight is negative or not finite in 1 rows"),
        ({"weight": np.nan}, "weight is negative or not finite in 1 rows"),
        ({"unit": None}, "unit is missing in 1 rows"),
        ({"champion": "high"}, "champion is not numeric"),
        ({"label": "all 0"}, "label holds no row of class 1"),
        ({"label": "no rows"}, "has no rows: give a table with rows"),
    ],
)
def test_bad_tables_of_scores_are_refused_in_one_line(
    call: Call, tmp_path: Path, change: dict[str, object], phrase: str
) -> None:
    table = rows(200)
    ((name, value),) = change.items()
    if value is None and name != "unit":
        table = table.drop(columns=name)
    elif value == "all 0":
        table[name] = 0
    elif value == "no rows":
        table = table[:0]
    elif value == "high":
        table[name] = "high"
    else:
        table[name] = [value, *table[name][1:]]
    table.to_parquet(tmp_path / "scores.parquet")

    assert phrase in call("ab_test", scores=tmp_path / "scores.parquet").refusal


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({"scores": "/nowhere.parquet"}, "scores='/nowhere.parquet' does not exist"),
        ({"scores": "{here}/text.parquet"}, "cannot be read ("),
        ({"scores": "{here}"}, "cannot be read ("),
        ({"champion": "models:/fraud/2"}, "champion and challenger are both models:/fraud/2"),
        ({"challenger": "models:/fraud@champion"}, "are both models:/fraud/1: run tune"),
        ({"model_name": "other"}, "the registry has no models:/other@champion: run train"),
        ({"challenger": "models:/fraud/9"}, "the registry has no models:/fraud/9"),
        ({"challenger": "fraud/2"}, "'fraud/2' names no registered model"),
        ({"data": "/nowhere"}, "/nowhere is no data set"),
        ({"pipeline_id": "p0"}, "no finished preprocess run in pipeline 'p0'"),
        ({"alpha": 0.7}, "policy alpha is 0.7"),
        ({"alpha": "nan"}, "policy alpha is nan"),
        ({"min_effect_size": -1}, "policy min_effect_size is -1.0"),
        ({"metric": "brier", "strategy": "delong"}, "strategy delong needs auroc"),
        ({"replay": "0" * 32}, "is no run of sqlite"),
        ({"replay": "{prepared}"}, "kept no scores: give the id of a finished ab_test run"),
        ({"replay": "{tested}", "slice": "city=Oslo"}, "slice='city=Oslo' is none of these rows"),
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
        {"metric": "auc"},
        {"scores": "a.parquet", "champion": "models:/fraud/1"},
        {"scores": "a.parquet", "data": "/data"},
        {"scores": "a.parquet", "replay": "0" * 32},
    ],
)
def test_a_wrong_parameter_ends_with_two_and_leaves_no_run(
    call: Call, told: dict[str, object]
) -> None:
    called = call("ab_test", **told)

    assert (called.code, called.run, called.out) == (2, None, "")
