"""Verdicts of every kind as the gate makes them, with their rows, and a page of a data set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from retraining.gate.decision import Evidence, judge
from retraining.gate.policy import Policy
from retraining.gate.spending import Spending
from retraining.report.data_page import ShownColumn, ShownData, ShownReason
from retraining.statistics import slicing
from retraining.statistics.checks import check_rows

if TYPE_CHECKING:
    from retraining.gate.fields import Outcome
    from retraining.gate.verdict import Verdict
    from retraining.statistics.rows import Floats, Rows

NAMES: Final = ("fraud version 3", "fraud version 4")
FACTS: Final = {
    "champion": "models:/fraud/3",
    "challenger": "models:/fraud/4",
    "holdout": "2018-08-08 to 2018-08-14, data/fraud/6f1c9c7b/holdout",
    "fingerprint of the holdout": "c0a1e5d2c7f94b1788c2f1f2b8f5d3aa0b2f6f3f9c0a4f6a",
    "rows excluded because a model was trained on them": "0",
}
COMMANDS: Final = {
    "Make the same comparison again": "mlflow run . -e reproduce -P run_id=82cf4bbaed2a4985",
    "Judge the same scores by another policy": "mlflow run . -e ab_test -P replay=82cf4bbaed2a4985",
}
POLICY: Final = Policy(
    min_effect_size=0.002, secondary={"log_loss": 0.01}, memory="spending", n_resamples=500
)
LEDGER: Final = Spending(
    memory="spending",
    alpha=0.0243,
    n_tests=4,
    n_holdout_tests=0,
    spent=0.1107,
    budget=0.2,
    left=0.065,
    tests_per_year=26.0,
    per_test_false_promotions=1.3,
    champion_was_chosen_here=False,
    fresh_holdouts_possible=True,
    past=(
        ("2018-06-11T04:10:00+00:00", 0.0333),
        ("2018-06-25T04:12:31+00:00", 0.0300),
        ("2018-07-09T04:11:02+00:00", 0.0270),
        ("2018-07-30T04:09:47+00:00", 0.0204),
    ),
)
BANDS: Final = np.array(["below 50", "50 to 200", "above 200"])


class Sample(NamedTuple):
    """A verdict, its rows, and the effects in the resamples of its bootstrap."""

    verdict: Verdict
    rows: Rows
    effects: Floats


class _Gain(NamedTuple):
    """By how much the signal of the challenger is stronger, in each amount band, and its bias."""

    by_band: tuple[float, float, float]
    bias: float


_GAINS: Final[dict[Outcome, _Gain]] = {
    "promote": _Gain((0.2, 0.25, 0.2), 0.0),
    "keep_champion": _Gain((-0.2, -0.1, -0.2), 0.0),
    "inconclusive": _Gain((-0.3, 0.8, 0.8), 1.6),
}


@cache
def make_sample(outcome: Outcome) -> Sample:
    """A verdict of each kind; the inconclusive one is better over all and fails guardrails."""
    evidence = _make_evidence(_GAINS[outcome])
    found = judge(evidence, POLICY, ledger=LEDGER, rng=np.random.default_rng(0))
    assert found.verdict.verdict == outcome
    return Sample(found.verdict, evidence.rows, found.effects)


def _make_evidence(gain: _Gain, n_rows: int = 12_000) -> Evidence:
    """Scores that share most of their noise, with customers, slices and the age of labels."""
    rng = np.random.default_rng(1)
    label = rng.random(n_rows) < 0.04
    band = rng.choice(3, n_rows, p=(0.4, 0.56, 0.04))
    age = rng.integers(0, 21, n_rows)
    night = (rng.random(n_rows) < 0.3).astype(int)
    common = rng.normal(size=n_rows)
    champion, challenger = (
        1 / (1 + np.exp(3.9 - bias - 1.1 * (common + 0.45 * rng.normal(size=n_rows) + signal)))
        for signal, bias in (
            (1.3 * label, 0.0),
            ((1.3 + np.array(gain.by_band)[band]) * label, gain.bias),
        )
    )
    scores = {"champion": champion, "challenger": challenger}
    rows = check_rows(label, scores, unit=rng.integers(0, 3000, n_rows))
    return Evidence(
        rows,
        slices=slicing.take(rows, {"is_night": night, "amount_band": BANDS[band]}),
        maturities={days: slicing.part(rows, age >= days) for days in (0, 7, 14)},
    )


DATA: Final = ShownData(
    name="people",
    summary="Who fell ill.",
    findings=("glucose: its AUROC alone is 0.961.",),
    account={"read": 1000, "rejected": 40, "train": 600, "validation": 200, "holdout": 160},
    splits={"train": (600, 100, ""), "validation": (200, 30, ""), "holdout": (160, 28, "")},
    rejected=(ShownReason("unparseable age", 30, ("abc", "x<y")), ShownReason("malformed", 10, ())),
    columns=(
        ShownColumn(
            "glucose",
            "feature",
            "double",
            "2.5%",
            "312",
            "50 to 199",
            "0.961, higher is positive",
            is_suspicious=True,
        ),
        ShownColumn(
            "city_of_birth", "not used", "string", "none", "9", "", "", is_suspicious=False
        ),
    ),
    days={"train": {"train": (600, 100)}, "holdout": {"holdout": (160, 28)}},
    notes=("Numbers of values are approximate.",),
    facts={"data": "s3a://bucket/people/0123", "fingerprint": "0" * 32},
)
