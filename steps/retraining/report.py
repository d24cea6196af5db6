"""A verdict as one HTML file that explains itself and needs no network."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from retraining import pictures
from retraining.reasons import number, percent
from retraining.rows import check_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from retraining.verdict import Verdict

HEADLINES: Final = {
    "promote": "Promote the {challenger}: it is better than the {champion} by more than is "
    "required, and chance is an unlikely explanation.",
    "keep_champion": "Keep the {champion}: the {challenger} is not better by as much as is "
    "required.",
    "inconclusive": "No decision: these rows cannot tell whether the {challenger} is better, so "
    "the {champion} stays.",
}
METRICS_IN_WORDS: Final = {
    "auroc": "the chance that a row of class 1 gets a higher score than a row of class 0; 0.5 is "
    "guessing, 1 is perfect",
    "auprc": "the average precision: how pure the highest scores are, averaged over all rows of "
    "class 1; 1 is perfect",
    "log_loss": "how surprising the true labels are under the predicted probabilities; 0 is "
    "perfect and smaller is better",
    "brier": "the mean squared distance of the probability from the truth; 0 is perfect and "
    "smaller is better",
    "f1": "the balance of precision and recall when class 1 is predicted above 0.5; 1 is perfect",
}


def render(
    verdict: Verdict,
    label: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    *,
    facts: Mapping[str, str],
    names: tuple[str, str] = ("champion", "challenger"),
    links: Mapping[str, str] | None = None,
    weight: npt.ArrayLike | None = None,
) -> str:
    """One HTML page: verdict, pictures, every number with its meaning, and where it came from.

    The page holds its pictures, asks for nothing over the network, and is the same to the byte
    for the same arguments. Curves are thinned to some hundred points, whatever the rows.

    Args:
        verdict: What was decided on these rows.
        label: 0 or 1, shape (n,).
        champion: Score of the champion, shape (n,).
        challenger: Score of the challenger, shape (n,).
        facts: What the reader must know to trust and repeat the comparison: text by title.
        names: What to call champion and challenger, for example with their versions.
        links: Address by text; addresses that are not http, https or relative appear as text.
        weight: Non-negative, shape (n,).

    Raises:
        RetrainingError: The rows do not pass `retraining.rows.check_rows`.
    """
    rows = check_rows(label, {"champion": champion, "challenger": challenger}, weight=weight)
    template = _environment().get_template("report.html.j2")
    return template.render(
        verdict=verdict,
        headline=HEADLINES[verdict.verdict].format(champion=names[0], challenger=names[1]),
        names=names,
        metric_in_words=METRICS_IN_WORDS[verdict.metric],
        effect=pictures.draw_effect(verdict),
        roc=pictures.draw_roc(rows, names),
        precision_recall=pictures.draw_precision_recall(rows, names),
        scores=pictures.draw_scores(rows, names),
        prevalence=float(np.mean(rows.label)),
        facts=facts,
        links=[(text, address, _is_safe(address)) for text, address in (links or {}).items()],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=percent)
    return environment


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else number(value)


def _is_safe(address: str) -> bool:
    """Whether a link cannot run code: of the web, or without a scheme."""
    return re.match(r"https?://", address) is not None or ":" not in address
