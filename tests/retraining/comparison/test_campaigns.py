"""Campaigns in the registry: which look comes next, and what it costs."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
import pytest

from retraining.comparison import campaigns, charges, endings
from retraining.comparison.columns import ScoreColumns
from retraining.comparison.scores import Comparison
from retraining.errors import RetrainingError
from retraining.gate.ledger import MOVED, HoldoutTest, LookEntry
from retraining.gate.looks import LEAST
from retraining.gate.policy import Policy
from retraining.tracking import registry, tags
from tests.retraining.comparison.looking import (
    DUE,
    NOW,
    POLICY,
    alphas,
    begin,
    finish,
    holdout,
    judge,
    look,
    pair,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.gate.fields import Outcome

pytestmark = pytest.mark.usefixtures("three_versions")


def test_the_looks_of_a_pair_share_the_alpha_that_the_first_one_reserved() -> None:
    stands = [look(name, week) for week, name in enumerate(("a", "b", "c"))]
    assert [found.look for found in stands] == [1, 2, 3]
    assert stands[0].spent < stands[1].spent < stands[2].spent < DUE
    assert alphas() == {"c": pytest.approx(DUE)}
    third = next(e for e in registry.tests_of("fraud") if e.test == "c")
    assert third.look is not None
    assert (third.look.number, third.look.state, third.look.campaign) == (3, "open", "a")
    assert third.look.effect == 1.0
    assert third.look.variance == pytest.approx(1e-4)
    assert third.start == holdout(2).start


def test_tests_of_others_find_the_alpha_of_a_campaign_taken() -> None:
    look("a", 0)
    other = begin("x", 1, who=pair(1, 3))[1]
    assert other.spending.n_tests == 1
    assert other.spending.spent == pytest.approx(DUE)
    left = POLICY.yearly_alpha - DUE
    assert other.spending.alpha == pytest.approx(left * 8 / POLICY.tests_per_year)


def test_a_look_that_was_killed_is_made_again_and_charged_once() -> None:
    look("a", 0)
    assert begin("killed", 1)[0].number == 2
    progress, _ = begin("next week", 2)
    assert progress.number == 2
    assert len(alphas()) == 1


def test_a_first_look_that_was_killed_leaves_its_alpha_to_the_next_one() -> None:
    begin("killed", 0)
    assert look("a", 1).look == 1
    assert alphas() == {"a": pytest.approx(DUE)}


@pytest.mark.parametrize("outcome", ["inconclusive", "promote"])
def test_a_look_that_was_killed_after_it_was_charged_is_made_again(outcome: Outcome) -> None:
    look("a", 0)
    with mlflow.start_run() as run:
        finish(begin("b", 1, run_id=run.info.run_id), 1.0, outcome)
        mlflow.end_run("KILLED")
    again = look("b", 1)
    assert again.look == 2
    assert alphas() == {"b": pytest.approx(DUE)}


def test_the_same_holdout_is_the_same_look() -> None:
    look("a", 0)
    look("b", 1)
    progress, _ = begin("b again", 1)
    assert progress.number == 2
    assert len(progress.standing.past) == 1


def test_of_two_looks_at_once_one_counts() -> None:
    look("a", 0)
    with mlflow.start_run() as first:
        one = begin("b", 1, run_id=first.info.run_id)
        with mlflow.start_run(nested=True) as second:
            other = begin("c", 2, run_id=second.info.run_id)
            assert one[0].number == other[0].number == 2
        finish(one, 1.0)
        with pytest.raises(RetrainingError, match=rf"run {first.info.run_id} has looked"):
            finish(other, 1.0)
    assert alphas() == {"b": pytest.approx(DUE)}
    assert begin("d", 3)[0].previous == first.info.run_id


def test_of_two_first_looks_at_once_one_counts() -> None:
    with mlflow.start_run() as first:
        found = campaigns.find(pair(), POLICY, holdout(0))
        assert found is not None
        begin("a", 0, run_id=first.info.run_id)
        test = HoldoutTest("b", NOW, "rows 0", NOW, NOW, "models:/fraud/1", "models:/fraud/2", 8)
        with pytest.raises(RetrainingError, match=rf"run {first.info.run_id} looks at"):
            charges.reserve("fraud", POLICY, test, LookEntry("b", found.number, 8, "other"))
    assert alphas() == {"a": pytest.approx(DUE)}


def test_a_first_look_that_was_taken_over_does_not_count() -> None:
    one = begin("a", 0)
    other = begin("b", 1)
    with pytest.raises(RetrainingError, match="has begun the campaign"):
        finish(one, 1.0)
    with mlflow.start_run():
        finish(other, 1.0)
    assert alphas() == {"b": pytest.approx(DUE)}


@pytest.mark.parametrize(
    ("z", "outcome", "state"),
    [(4.0, "promote", "promoted"), (-6.0, "keep_champion", "no_gain"), (-5.0, "", "futile")],
)
def test_a_campaign_that_its_result_ends_is_charged_all_but_what_it_could_still_promote(
    z: float, outcome: Outcome, state: str
) -> None:
    stands = look("a", 0, z, outcome or "inconclusive")
    assert stands.state == state
    assert alphas() == {"a": pytest.approx(DUE - stands.returned)}
    assert 0 <= stands.returned < DUE / 100
    assert begin("b", 1)[0].number == 1


def test_a_campaign_in_which_no_look_could_decide_costs_nothing() -> None:
    progress, charge = begin("a", 0)
    stands, _ = judge(progress, 0.0)
    last = dataclasses.replace(stands, state="last_look")
    assert charge.judge(stands, 0.0, math.nan, costs=False).entry.alpha == pytest.approx(DUE)
    assert charge.judge(last, 0.0, math.nan, costs=False).entry.alpha == LEAST


def test_another_policy_begins_another_campaign(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    look("a", 0)
    policy = dataclasses.replace(POLICY, min_effect_size=0.01)
    found = campaigns.find(pair(), policy, holdout(1))
    assert found is not None
    assert (found.number, found.campaign) == (1, "")
    assert "begins again: min_effect_size" in caplog.text


def test_a_single_test_and_a_split_by_hash_have_no_campaign() -> None:
    assert campaigns.find(pair(), Policy(), holdout(0)) is None
    timeless = holdout(0).model_copy(update={"start": None, "end": None})
    assert campaigns.find(pair(), POLICY, timeless) is None


def comparison(table: pd.DataFrame) -> Comparison:
    columns = ScoreColumns(key="key")
    return Comparison(table, columns, "", len(table), len(table), 0, {})


def table(keys: range, label: int = 0) -> pd.DataFrame:
    n = len(keys)
    scores = np.linspace(0.1, 0.9, n)
    return pd.DataFrame(
        {"key": list(keys), "label": [label] * n, "champion": scores, "challenger": scores}
    )


@pytest.mark.spark
@pytest.mark.parametrize("most", [10_000, 5])
def test_rows_of_all_looks_count_once_with_their_latest_label(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(campaigns, "EXACT_ROWS", most)
    kept = tmp_path / "scores.parquet"
    table(range(6)).to_parquet(kept)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(kept))
        mlflow.set_tag(tags.SCORES_URI, f"runs:/{run.info.run_id}/scores.parquet")
    progress = campaigns.Progress(previous=run.info.run_id)
    new = comparison(table(range(4, 8), label=1))
    both, n_new = campaigns.add_earlier(spark, progress, new, (tmp_path / "all").as_uri())
    scores = both.scores
    frame = scores if isinstance(scores, pd.DataFrame) else scores.toPandas()
    frame = frame.sort_values("key", ignore_index=True)
    assert (both.n_rows, n_new) == (8, 2)
    assert frame["key"].tolist() == list(range(8))
    assert frame["label"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.spark
def test_scores_that_are_gone_or_lack_a_column_are_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    with mlflow.start_run() as run:
        mlflow.set_tag(tags.SCORES_URI, (tmp_path / "gone").as_uri())
    progress = campaigns.Progress(previous=run.info.run_id)
    with pytest.raises(RetrainingError, match=rf"the scores of run {run.info.run_id} are gone"):
        campaigns.add_earlier(spark, progress, comparison(table(range(3))), "")
    table(range(3)).drop(columns="challenger").to_parquet(tmp_path / "gone")
    with pytest.raises(RetrainingError, match="lack challenger"):
        campaigns.add_earlier(spark, progress, comparison(table(range(3))), "")


def test_a_pair_whose_campaign_has_ended_begins_another_one_that_is_charged() -> None:
    for name, week, z in (("a", 0, 1.0), ("b", 1, 1.0), ("c", 2, -5.0)):
        ended = look(name, week, z)
    assert ended.state == "futile"
    spent = alphas()["c"]
    again = look("d", 3)
    assert again.look == 1
    left = POLICY.yearly_alpha - spent
    assert alphas() == {"c": spent, "d": pytest.approx(left * 8 / POLICY.tests_per_year)}
    assert look("e", 4).look == 2
    assert sum(alphas().values()) < 2 * DUE


def test_a_look_that_is_about_to_finish_keeps_a_second_one_from_counting() -> None:
    look("a", 0)
    with mlflow.start_run() as run:
        finish(begin("b", 1, run_id=run.info.run_id), 1.0)
        with mlflow.start_run(nested=True):
            late = begin("c", 2)
            with pytest.raises(RetrainingError, match=f"run {run.info.run_id} has looked"):
                finish(late, 1.0)


def test_a_past_look_is_the_same_look_wherever_the_campaign_stands() -> None:
    first, _ = look("a", 0), look("b", 1)
    assert first.look == 1
    found = campaigns.find(pair(), POLICY, holdout(0))
    assert found is not None
    assert (found.number, found.previous, found.ended) == (1, "", False)
    endings.end_campaigns("fraud", MOVED)
    found = campaigns.find(pair(), POLICY, holdout(1))
    assert found is not None
    assert (found.number, found.ended) == (2, True)
