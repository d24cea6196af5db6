"""Whether the gate can tell a worse model from a better one on the rows at hand.

Before a verdict is believed, the comparison is asked two questions whose answers are known. The
champion against itself has no effect. And two models made from the champion, of which one knows
the label of a random part of the rows and the other its opposite, differ by every metric, however
good or bad the champion is: the worse must be found worse, the better must win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retraining.gate.power import shortfalls
from retraining.gate.verdict import Guardrail
from retraining.gate.wording import number, percent
from retraining.statistics.paired import compare_rows
from retraining.statistics.slicing import part

if TYPE_CHECKING:
    from retraining.gate.policy import Policy
    from retraining.statistics.inference import PairedResult
    from retraining.statistics.metrics import Metric
    from retraining.statistics.rows import Bools, Rows

PLANTED: Final = 0.3  # share of the rows in which the two models know the label or its opposite
MINIMUM_ROWS: Final = 50  # of each class; in so many, what is planted is found by every metric
MAXIMUM_ROWS: Final = 1_000_000  # bounds the time; the planted effect is plain in far fewer


def self_test(rows: Rows, policy: Policy, test_alpha: float, rng: np.random.Generator) -> Guardrail:
    """A guardrail that fails where the comparison gives a wrong answer to a known question.

    More than `MAXIMUM_ROWS` rows are thinned to every k-th of each class. Fewer than
    `MINIMUM_ROWS` of a class cannot answer: "unknown".

    Args:
        rows: As compared; only the champion's scores are used.
        policy: Its metric and confidence_level count.
        test_alpha: The alpha of this test.
        rng: Chooses the rows in which something is planted.
    """
    if shortfalls(rows, MINIMUM_ROWS):
        return Guardrail("self_test", "unknown", "There are too few rows to test the gate itself.")
    metric = policy.chosen_metric
    some, every = _thin(rows)
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
        wrong.append(f"the champion against itself has {_found(same)}")
    if not (lift.ci_lower > 0 and lift.pvalue < 1 - policy.confidence_level):
        wrong.append(f"a model planted to be better is not found better: {_found(lift)}")
    if not loss.ci_upper < 0 or loss.pvalue < test_alpha:
        wrong.append(f"a model planted to be worse is not found worse: {_found(loss)}")
    where = f"On {every}" if every else "On these rows"
    if wrong:
        sentence = f"{where} the gate errs where the truth is known: {'; '.join(wrong)}."
        return Guardrail("self_test", "failed", sentence)
    return Guardrail(
        "self_test",
        "passed",
        f"{where} the champion against itself has no effect, and of two models made from it that "
        f"know the label or its opposite in {percent(PLANTED)} of the rows, the better wins "
        f"({_found(lift)}) and the worse loses ({_found(loss)}).",
    )


def _thin(rows: Rows) -> tuple[Rows, str]:
    """Every k-th row of each class, and how to say so; all rows and nothing to say for k = 1."""
    step = -(-rows.label.size // MAXIMUM_ROWS)
    if step == 1:
        return rows, ""
    by_class = np.argsort(~rows.label, kind="stable")
    some = part(rows, by_class[::step])
    return some, f"{some.label.size:,} of {rows.label.size:,} rows"


def _plant(rows: Rows, metric: Metric, rng: np.random.Generator) -> Rows:
    """The champion's rows, scored by one model that is planted to be worse and one to be better.

    Single rows are chosen at random. A few cells may hold nearly all rows of a class, so each cell
    is split in two instead: what a random choice of its rows gives on average.
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
    """Every cell as one of the planted share of its rows and one of the others."""
    n_cells = cells.label.size
    doubled = part(cells, np.tile(np.arange(n_cells), 2))
    share = np.repeat((PLANTED, 1 - PLANTED), n_cells)
    split = doubled._replace(
        weight=doubled.weight * share,
        square=doubled.squares * share,
        size=doubled.sizes * share,
    )
    return split, np.arange(2 * n_cells) < n_cells


def _found(result: PairedResult) -> str:
    return f"effect {number(result.effect_size)}, p-value {number(result.pvalue)}"
