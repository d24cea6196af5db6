"""Campaigns in the registry: which look comes next, what it costs, and what ends them."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from retraining.comparison import campaigns, charges, endings
from retraining.comparison.columns import ScoreColumns
from retraining.comparison.contenders import Contenders
from retraining.comparison.scores import Comparison
from retraining.data.manifest import StoredSplit
from retraining.errors import RetrainingError
from retraining.gate import campaign as gate
from retraining.gate.campaign import Standing
from retraining.gate.ledger import MOVED, REPLACED, HoldoutTest, LookEntry, charged
from retraining.gate.looks import LEAST
from retraining.gate.policy import CampaignRules, Policy
from retraining.statistics.inference import PairedResult
from retraining.tracking import registry, tags

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.comparison.campaigns import Progress
    from retraining.comparison.charges import Charge
    from retraining.gate.campaign import Campaign
    from retraining.gate.fields import Outcome
    from retraining.gate.looks import Look

NOW = datetime.now(UTC)
POLICY = Policy(campaign=CampaignRules(looks=8))
DUE = POLICY.yearly_alpha * 8 / POLICY.tests_per_year

pytestmark = pytest.mark.usefixtures("model")


@pytest.fixture
def model(tracking: str) -> str:
    """A registered model with three versions, the first of them champion."""
    client = MlflowClient()
    client.create_registered_model("fraud")
    for _ in range(3):
        client.create_model_version("fraud", "file:///nowhere")
    client.set_registered_model_alias("fraud", "champion", "1")
    return tracking


def pair(champion: int = 1, challenger: int = 2) -> Contenders:
    return Contenders(
        registry.version_of("fraud", champion), registry.version_of("fraud", challenger)
    )


def holdout(week: int) -> StoredSplit:
    end = NOW + timedelta(weeks=week)
    return StoredSplit(
        uri=f"week {week}",
        n_rows=1000,
        n_positives=100,
        fingerprint=f"rows {week}",
        start=end - timedelta(weeks=1),
        end=end,
    )


def begin(name: str, week: int, *, run_id: str = "", who: Contenders | None = None) -> Started:
    """What `contenders.charge` does, for a test of this name."""
    who = who or pair()
    progress = campaigns.find(who, POLICY, holdout(week))
    assert progress is not None
    rows = holdout(week)
    test = HoldoutTest(
        name,
        NOW + timedelta(weeks=week, seconds=len(name)),
        rows.fingerprint,
        rows.start,
        rows.end,
        who.uris["champion"],
        who.uris["challenger"],
        8,
        progress.campaign,
    )
    look = LookEntry(progress.campaign or name, progress.number, 8, run_id)
    charge = charges.reserve("fraud", POLICY, test, look)._replace(known=progress.known)
    if not progress.previous:
        progress = progress._replace(standing=Standing(charge.spending.alpha))
    return progress, charge


Started = tuple["Progress", "Charge"]


def judge(
    progress: Progress, z: float, outcome: Outcome = "inconclusive"
) -> tuple[Campaign, tuple[Look, ...]]:
    """A look that finds an effect of z standard errors."""
    number = progress.number
    error = 0.01 / math.sqrt(number)
    result = PairedResult(
        z * error, 0.8, 0.8 + z * error, error, 0.0, 0.0, 0.5, 1000 * number, 100 * number
    )
    judged = gate.judge_look(progress.standing, POLICY, result)
    return gate.conclude(progress.standing, judged, POLICY, outcome)


def finish(started: Started, z: float, outcome: Outcome = "inconclusive") -> Campaign:
    """Judge, settle, and log on the active run what the next look reads."""
    progress, charge = started
    stands, looks = judge(progress, z, outcome)
    charge.judge(stands, z, 0.01, costs=True).settle()
    written = {
        "campaign": dataclasses.asdict(stands),
        "looks": [
            {k: None if v != v else v for k, v in dataclasses.asdict(look).items()}
            for look in looks
        ],
    }
    mlflow.log_dict(written, "verdict.json")
    mlflow.log_dict(dataclasses.asdict(POLICY), "policy.json")
    return stands


def look(name: str, week: int, z: float = 1.0, outcome: Outcome = "inconclusive") -> Campaign:
    """A whole look in a run of its own."""
    with mlflow.start_run() as run:
        return finish(begin(name, week, run_id=run.info.run_id), z, outcome)


def alphas() -> dict[str, float]:
    """What counts in the ledger, by the name of the test."""
    return {entry.test: entry.alpha for entry in charged(registry.tests_of("fraud"))}


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


@pytest.mark.parametrize("why", [MOVED, REPLACED])
def test_a_campaign_that_others_end_is_charged_what_it_could_not_promote_any_more(why: str) -> None:
    stands = [look("a", 0), look("b", 1)][-1]
    endings.end_campaigns("fraud", why)
    assert alphas() == {"b": pytest.approx(DUE - stands.returnable)}
    progress, _ = begin("c", 2)
    assert (progress.campaign, progress.number) == ("", 1)
    tag = registry.version_of("fraud", 2).tags[tags.CAMPAIGN]
    assert tag == f"2 of 8 against version 1: {why}"
    waits = {tags.WAITS} & registry.version_of("fraud", 2).tags.keys()
    assert bool(waits) == (why == MOVED)


def test_the_campaign_of_the_new_challenger_goes_on_when_the_others_end() -> None:
    look("a", 0)
    endings.end_campaigns("fraud", REPLACED, but="models:/fraud/2")
    assert begin("b", 1)[0].number == 2


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


def test_the_page_of_the_challenger_shows_the_campaign_unless_somebody_wrote_there() -> None:
    for week, own in enumerate(("", "mine")):
        if own:
            registry.describe(registry.version_of("fraud", 2), own)
        look(f"look {week}", week)
        entry = charged(registry.tests_of("fraud"))[-1]
        endings.show(entry, "Because.")
    version = registry.version_of("fraud", 2)
    assert version.tags[tags.CAMPAIGN] == "2 of 8 against version 1: open"
    assert version.description == "mine"


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


def test_another_policy_charges_another_campaign() -> None:
    look("a", 0)
    first = look("b", 1)
    policy = dataclasses.replace(POLICY, min_effect_size=0.01)
    found = campaigns.find(pair(), policy, holdout(2))
    assert found is not None
    endings.end_campaign_of("fraud", "models:/fraud/1", "models:/fraud/2")
    assert alphas() == {"b": pytest.approx(DUE - first.returnable)}


def test_a_look_whose_campaign_is_ended_meanwhile_does_not_count() -> None:
    look("a", 0)
    with mlflow.start_run() as run:
        started = begin("b", 1, run_id=run.info.run_id)
        endings.end_campaigns("fraud", MOVED)
        with pytest.raises(RetrainingError, match=f"has ended meanwhile: {MOVED}"):
            finish(started, 9.0, "promote")
    assert set(alphas()) == {"a"}
    with mlflow.start_run():
        first = begin("c", 2)
        endings.end_campaigns("fraud", REPLACED)
        with pytest.raises(RetrainingError, match=f"has ended meanwhile: {REPLACED}"):
            finish(first, 1.0)


def test_a_promotion_is_refused_if_its_campaign_was_ended() -> None:
    with mlflow.start_run() as run:
        progress, charge = begin("a", 0, run_id=run.info.run_id)
        stands, _ = judge(progress, 9.0, "promote")
        settled = charge.judge(stands, 1.0, 0.01, costs=True)
        settled.settle()
        mlflow.set_tag(tags.CHARGE, settled.entry.write())
    test = mlflow.get_run(run.info.run_id)
    endings.refuse_ended("fraud", test)
    registry.record_test("fraud", settled.entry.ended(REPLACED, 0.01))
    with pytest.raises(RetrainingError, match="has ended meanwhile: replaced"):
        endings.refuse_ended("fraud", test)


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
