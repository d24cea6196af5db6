"""Whether the gate can distinguish a worse model from a better one on the rows at hand.

Before a verdict is believed, the comparison must answer questions whose answers are known. The
champion compared with itself has no effect. Two models are derived from the champion: in a random
part of the rows, one knows the label and the other its opposite. They differ by every metric,
however good or bad the champion is: the better one must win and the worse one must lose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.gate.power import shortfalls
from retraining.gate.verdict import Guardrail
from retraining.gate.wording import number, percent
from retraining.statistics.comparing import compare_rows
from retraining.statistics.slicing import part

if TYPE_CHECKING:
    from retraining.gate.policy import Policy
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Rows

PLANTED: Final = 0.3  # share of the rows in which one model knows the label, the other its opposite
MINIMUM_ROWS: Final = 50  # of each class; enough for every metric to detect the planted difference
MAXIMUM_ROWS: Final = 1_000_000  # bounds the time; far fewer rows show the planted difference


def self_test(rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator) -> Guardrail:
    """A guardrail that fails if the comparison gives a wrong answer where the truth is known.

    More than `MAXIMUM_ROWS` rows are thinned to every k-th row of each class. With fewer than
    `MINIMUM_ROWS` rows of a class the status is "unknown".

    Args:
        rows: As compared; only the champion's scores are used.
        policy: Its metric and confidence_level are used.
        test_alpha: The alpha of this test: the policy's, or what the ledger left.
        rng: Chooses the rows in which the models know the label or its opposite.
    """
    if shortfalls(rows, MINIMUM_ROWS):
        return Guardrail("self_test", "unknown", "There are too few rows to test the gate itself.")
    metric = policy.chosen_metric
    # Not by periods: a few uneven ones would find no difference, however large.
    some, every = _thin(rows._replace(totals=None, period=None))
    champion = some.scores[0]
    planted = _plant(some, metric, rng)
    questions = (
        some._replace(scores=(champion, champion)),
        planted,
        planted._replace(scores=planted.scores[::-1]),
    )
    same, lift, loss = (
        compare_rows(question, metric, confidence_level=policy.confidence_level)
        for question in questions
    )
    wrong = []
    if same.effect_size != 0 or same.pvalue < test_alpha:
        wrong.append(f"the champion compared with itself has {_figures(same)}")
    if not (lift.ci_lower > 0 and lift.pvalue < 1 - policy.confidence_level):
        wrong.append(f"a model built to be better does not win: {_figures(lift)}")
    if not loss.ci_upper < 0 or loss.pvalue < test_alpha:
        wrong.append(f"a model built to be worse does not lose: {_figures(loss)}")
    where = f"On {every}" if every else "On these rows"
    if wrong:
        sentence = f"{where} the gate is wrong where the truth is known: {'; '.join(wrong)}."
        return Guardrail("self_test", "failed", sentence)
    return Guardrail(
        "self_test",
        "passed",
        f"{where} the champion compared with itself has no effect. Of two models derived from it, "
        f"which know the label or its opposite in {percent(PLANTED)} of the rows, the better one "
        f"wins ({_figures(lift)}) and the worse one loses ({_figures(loss)}).",
    )


def _thin(rows: Rows) -> tuple[Rows, str]:
    """Every k-th row of each class, and a text that says so, empty for k = 1 (all rows)."""
    step = -(-rows.label.size // MAXIMUM_ROWS)
    if step == 1:
        return rows, ""
    by_class = np.argsort(~rows.label, kind="stable")
    some = part(rows, by_class[::step])
    return some, f"{some.label.size:,} of {rows.label.size:,} rows"


def _plant(rows: Rows, metric: Metric, rng: np.random.Generator) -> Rows:
    """The champion's rows, scored by one model that is planted to be worse and one to be better.

    Single rows are chosen at random. A few cells may hold nearly all rows of a class, so each cell
    is split in two instead, as a random choice among its rows would do on average.
    """
    champion = rows.scores[0]
    ends = (0.0, 1.0)
    if not metric.of_probabilities:  # ranks, so that there is room below and above any score
        distinct, codes = np.unique(champion, return_inverse=True)
        champion, ends = codes.astype(np.float64), (-1.0, float(distinct.size))
    rows = rows._replace(scores=(champion,))
    if rows.are_cells:
        rows, known = _split(rows)
    else:
        known = rng.random(rows.label.size) < PLANTED
    return rows._replace(
        scores=tuple(
            np.where(known, np.where(rows.label == right, ends[1], ends[0]), rows.scores[0])
            for right in (False, True)
        )
    )


def _split(cells: Rows) -> tuple[Rows, Bools]:
    """Every cell as two: one with the planted share of its rows, one with the others."""
    n_cells = cells.label.size
    doubled = part(cells, np.tile(np.arange(n_cells), 2))
    share = np.repeat((PLANTED, 1 - PLANTED), n_cells)
    split = doubled._replace(
        weight=doubled.weight * share,
        square=doubled.squares * share,
        size=doubled.sizes * share,
    )
    return split, np.arange(2 * n_cells) < n_cells


def _figures(result: PairedResult) -> str:
    return f"effect {number(result.effect_size)}, p-value {number(result.pvalue)}"
