"""Tables of scores of any two models: what is asked of them, and the verdict on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from sklearn.metrics import roc_auc_score

from retraining.gate.decision import decide
from retraining.gate.policy import Policy
from tests.steps.calling import scores_of, verdict_of

if TYPE_CHECKING:
    from tests.steps.calling import Call

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("store")]


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
    monkeypatch.setattr("retraining.comparison.scores.EXACT_ROWS", 100)
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
        ({"label": 2}, "label is neither 0 nor 1 in 1 row, such as 2"),
        ({"label": np.nan}, "label is neither 0 nor 1 in 1 row"),
        ({"champion": np.nan}, "champion is not finite in 1 row"),
        ({"challenger": np.inf}, "challenger is not finite in 1 row"),
        ({"weight": -1.0}, "weight is neither 0 nor between 1e-50 and 1e50 in 1 row"),
        ({"weight": np.nan}, "weight is neither 0 nor between 1e-50 and 1e50 in 1 row"),
        ({"unit": None}, "unit is missing in 1 row"),
        ({"champion": "high"}, "champion has the type string: give numbers"),
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
    elif value == "no rows":
        table = table[:0]
    elif value == "high":
        table[name] = "high"
    else:
        table[name] = [value, *table[name][1:]]
    table.to_parquet(tmp_path / "scores.parquet")

    assert phrase in call("ab_test", scores=tmp_path / "scores.parquet").refusal


def test_rows_of_one_class_are_no_failure(call: Call, tmp_path: Path) -> None:
    """A quiet week: nothing is tested, and what is missing is said."""
    table = rows(400).assign(city=["a", "b"] * 200)
    table.loc[table["city"] == "b", "label"] = 0
    path = tmp_path / "scores.parquet"
    table.to_parquet(path)
    made = call("ab_test", scores=path, slice="city=b")
    assert made.tags["verdict"] == "inconclusive"
    assert made.tags["verdict.reasons"].startswith("None of the 200 rows is a positive, and at ")
    assert made.metrics["n_rows"] == 200
    assert "None of the 200 rows" in call("ab_test", scores=path, slice="city=b", plan=True).refusal
    table.assign(label=1).to_parquet(path)
    made = call("ab_test", scores=path)
    assert made.tags["verdict.reasons"].startswith("None of the 400 rows is a negative, and at ")


def test_kept_scores_that_were_damaged_are_not_compared_again(call: Call, tmp_path: Path) -> None:
    rows(400).to_parquet(tmp_path / "scores.parquet")
    made = call("ab_test", scores=tmp_path / "scores.parquet")
    assert made.run is not None
    kept = Path(str(made.run.info.artifact_uri).removeprefix("file://"), "scores.parquet")
    for name, expected in {
        "scores.parquet": "have changed since they were stored",
        "policy.json": "policy.json is damaged",
    }.items():
        stored = kept.with_name(name)
        content = stored.read_bytes()
        stored.write_bytes(content[: len(content) // 2])
        assert expected in call("ab_test", replay=made.run_id, metric="brier").refusal
        stored.write_bytes(content)
    again = call("ab_test", replay=made.run_id, metric="brier")
    # What the first report says of models and data.
    assert "unknown for a table of scores" in load_text(f"runs:/{again.run_id}/report.html")
