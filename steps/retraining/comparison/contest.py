"""What is compared, by which policy, and what the gate is given of it."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from retraining.comparison import evidence
from retraining.comparison.columns import ROLES
from retraining.description.reading import read_policy
from retraining.statistics.checks import OneClassError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

    from retraining.comparison.charges import Charge
    from retraining.comparison.contenders import Contenders
    from retraining.comparison.scores import Comparison
    from retraining.gate.campaign import Standing
    from retraining.gate.decision import Evidence
    from retraining.gate.policy import Policy

    OpenSpark = Callable[..., SparkSession]

FACTS = "facts.json"  # of a run: what its report says of models and data


class Contest(NamedTuple):
    """What is compared, by which policy, and what the report says of it.

    Attributes:
        comparison: The scores.
        policy: What must be shown.
        facts: Text by title, for the report.
        names: What to call champion and challenger.
        contenders: The two versions; None where scores were read.
        charge: None where nothing may follow from the test.
        test_alpha: Alpha of the test itself; None for what the ledger left, or the policy's.
        looked: Tags of the run whose scores are judged again: which model, and which holdout.
        standing: Of the campaign whose next look this is; None for a test that is made once.
    """

    comparison: Comparison
    policy: Policy
    facts: Mapping[str, str]
    names: tuple[str, str] = ROLES
    contenders: Contenders | None = None
    charge: Charge | None = None
    test_alpha: float | None = None
    looked: Mapping[str, str] = MappingProxyType({})
    standing: Standing | None = None


class Untested(NamedTuple):
    """Two models that are not tested, at no cost of alpha.

    Attributes:
        contenders: The two versions; None where scores were read.
        charge: The reserved test; None where nothing may follow from it.
        reason: Why, in full sentences.
        numbers: Metrics by name.
    """

    contenders: Contenders | None
    charge: Charge | None
    reason: str
    numbers: Mapping[str, float]


def gather(contest: Contest, only: str | None) -> Evidence | Untested:
    """What the gate judges; rows of one class are no failure, but nothing is tested on them.

    Args:
        contest: What is compared.
        only: A slice, as `evidence.gather` takes it.
    """
    of = contest.comparison
    try:
        return evidence.gather(of, contest.policy, only)
    except OneClassError as found:
        which, needed = found.missing.removesuffix("s"), contest.policy.minimum_positives
        reason = (
            f"None of the {found.n_rows:,} rows is a {which}, and at least {needed:,} must be: "
            "more rows are needed."
        )
        numbers = {"n_rows": found.n_rows, "n_holdout": of.n_holdout, "n_excluded": of.n_excluded}
        return Untested(contest.contenders, contest.charge, reason, numbers)


def choose_policy(base: Policy, overrides: Mapping[str, Any]) -> Policy:
    """The policy with the caller's overrides.

    Raises:
        RetrainingError: A value is out of range, or the strategy does not serve the metric.
    """
    metric = overrides.get("metric", base.metric)
    secondary = {name: margin for name, margin in base.secondary.items() if name != metric}
    return read_policy({**dataclasses.asdict(base), "secondary": secondary, **overrides})
