"""The table of metrics: which it has, and that its numbers are those of the comparison."""

from __future__ import annotations

from scipy import special

from retraining.report.metric_table import SHOWN, compare_metrics
from retraining.statistics.comparing import compare_rows
from retraining.statistics.metrics import METRICS
from tests.drawing import draw_rows


def test_the_table_has_the_numbers_of_the_comparison() -> None:
    rows = draw_rows(500, lift=0.3)
    table = compare_metrics(rows, 0.9)
    assert [line.name for line in table] == list(SHOWN)
    for line in table:
        result = compare_rows(rows, METRICS[line.name], confidence_level=0.9)
        assert (line.champion, line.challenger) == (result.champion, result.challenger)
        ends = (result.effect_size, result.ci_lower, result.ci_upper)
        assert (line.effect_size, line.ci_lower, line.ci_upper) == ends


def test_scores_that_are_no_probabilities_have_the_metrics_of_order_only() -> None:
    rows = draw_rows(500)
    logits = rows._replace(scores=(rows.scores[0], special.logit(rows.scores[1])))
    assert [line.name for line in compare_metrics(logits, 0.95)] == ["auroc", "auprc"]
