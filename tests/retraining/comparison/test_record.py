"""What a comparison writes on its run: every metric from one source."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from mlflow.entities.model_registry import ModelVersion

from retraining.comparison import record
from retraining.comparison.columns import ScoreColumns
from retraining.comparison.contenders import Contenders
from retraining.comparison.contest import Untested
from retraining.comparison.scores import Comparison
from retraining.gate.decision import Evidence, judge
from retraining.gate.policy import Policy, Strategy
from retraining.gate.strategies import STRATEGIES
from retraining.report.metric_table import SHOWN
from retraining.statistics.checks import check_rows


def evidence(n_rows: int = 600) -> Evidence:
    """Scores of two models that share most of their noise."""
    rng = np.random.default_rng(1)
    label = rng.random(n_rows) < 0.3
    common = rng.normal(size=n_rows) + label
    scores = (1 / (1 + np.exp(-common - rng.normal(size=n_rows))) for _ in range(2))
    return Evidence(check_rows(label, dict(zip(("champion", "challenger"), scores, strict=True))))


def comparison(n_rows: int = 600) -> Comparison:
    """A holdout of ten more rows, with the precision at a capacity."""
    precision = {"champion_precision_at_100": 0.5, "challenger_precision_at_100": 0.6}
    return Comparison(pd.DataFrame(), ScoreColumns(), "", n_rows, n_rows + 10, 10, precision)


def test_metric_that_two_sources_write_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^metric 'b' comes from the first and from the third$"):
        record.merge({"the first": {"a": 1, "b": 2}, "the second": {"c": 3}, "the third": {"b": 2}})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sources_of_a_comparison_write_no_metric_twice(strategy: Strategy) -> None:
    policy = dataclasses.replace(Policy(), strategy=strategy, n_resamples=200)
    judged = evidence()
    decision = judge(judged, policy, rng=np.random.default_rng(0))

    numbers = record.numbers(comparison(), judged, decision, policy)

    assert {name: numbers[name] for name in decision.measured} == decision.measured
    assert {f"champion_{name}" for name in SHOWN} <= set(numbers)
    assert "champion_expected_cost" not in numbers  # nobody has said what a miss costs
    assert (numbers["n_holdout"], numbers["n_excluded"]) == (610, 10)
    assert numbers["challenger_precision_at_100"] == 0.6
    assert numbers["effect_size"] == decision.verdict.effect_size


def test_primary_metric_has_the_value_of_the_verdict() -> None:
    """The capacity of the policy is not that of the other metrics' default."""
    policy = Policy(metric="recall_at_capacity", strategy="influence", capacity=0.2)
    judged = evidence()
    decision = judge(judged, policy, rng=np.random.default_rng(0))

    numbers = record.numbers(comparison(), judged, decision, policy)

    assert numbers["champion_recall_at_capacity"] == decision.verdict.champion
    assert numbers["challenger_recall_at_capacity"] == decision.verdict.challenger


def test_models_that_were_not_tested_are_inconclusive() -> None:
    version = ModelVersion("m", "1", 0)
    found = Untested(Contenders(version, ModelVersion("m", "2", 0)), None, "Why.", {"n_rows": 0})
    compared = record.untested(found)

    assert compared.tags["verdict"] == "inconclusive"
    assert compared.tags["verdict.reasons"] == "Why."
    assert compared.summary == "m version 2 against m version 1: inconclusive. Why."
    assert compared.metrics == {"n_rows": 0}
    assert "verdict.binding" not in compared.tags
    assert "scores_uri" not in compared.tags
