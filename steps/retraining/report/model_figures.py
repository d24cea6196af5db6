"""Curves of two models over the same rows: how they rank the rows, and their calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from retraining.gate.wording import number
from retraining.report import svg
from retraining.report.svg import CHALLENGER, CHAMPION, QUIET
from retraining.statistics.calibration import expected_calibration_error, reliability

if TYPE_CHECKING:
    import numpy.typing as npt
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from retraining.statistics.rows import Bools, Floats, Rows

POINTS: Final = 400  # of a thinned curve: finer than a pixel of the picture
BINS: Final = 40
LEAST: Final = 1e-4  # scores nearer to 0 or 1 share the last bin
TICKS: Final = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


@mpl.rc_context(svg.STYLE)
def draw_ranking(rows: Rows, names: tuple[str, str]) -> tuple[Markup, Markup]:
    """ROC and precision-recall curves of both models, thinned; each model is sorted once."""
    roc, roc_axes = svg.new_figure()
    pr, pr_axes = svg.new_figure()
    share = float(np.sum(rows.weight[rows.label]) / np.sum(rows.weight))
    roc_axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1)
    pr_axes.axhline(share, color=QUIET, linewidth=1)
    for score, name, look in _models(rows, names):
        hits, alarms = _curve(rows, score)
        roc_axes.plot(*_thin(alarms / alarms[-1], hits / hits[-1]), label=name, **look)
        hits, alarms = hits[1:], alarms[1:]
        recall, precision = _thin(hits / hits[-1], hits / (hits + alarms))
        pr_axes.plot(recall, precision, label=name, drawstyle="steps-pre", **look)
    roc_axes.set(xlabel="share of negatives reported", ylabel="share of positives reported")
    pr_axes.set(xlabel="recall", ylabel="precision", ylim=(-0.02, 1.05))
    for axes in (roc_axes, pr_axes):
        axes.set_xlim(-0.02, 1.02)
        axes.legend(loc="best")
    both = f"{names[0]} and {names[1]}"
    return (
        svg.to_svg(roc, "roc", f"ROC curves of {both}; the diagonal is guessing."),
        svg.to_svg(
            pr,
            "pr",
            f"Precision against recall of {both}; guessing has the precision {number(share)}.",
        ),
    )


@mpl.rc_context(svg.STYLE)
def draw_reliability(rows: Rows, names: tuple[str, str]) -> Markup | None:
    """Observed shares against predicted probabilities; None if a score is not a probability."""
    if not all(rows.are_probabilities):
        return None
    figure, axes = svg.new_figure()
    highest, errors = 0.0, []
    for score, name, look in _models(rows, names):
        curve = reliability(rows.label, score, rows.weight)
        error = number(expected_calibration_error(curve))
        axes.plot(
            curve.predicted,
            curve.observed,
            label=f"{name}, ECE {error}",
            marker="o",
            markersize=4,
            **look,
        )
        highest = max(highest, float(np.max(curve.predicted)), float(np.max(curve.observed)))
        errors.append(f"{name} {error}")
    axes.plot([0, highest], [0, highest], color=QUIET, linewidth=1)
    axes.set(xlabel="predicted probability", ylabel="share of positives")
    axes.legend(loc="upper left")
    return svg.to_svg(
        figure,
        "reliability",
        "Reliability curves: the share of positives against the predicted probability, in rows "
        f"with similar scores. Expected calibration error: {', '.join(errors)}.",
    )


@mpl.rc_context(svg.STYLE)
def draw_scores(rows: Rows, names: tuple[str, str]) -> Markup:
    """The distribution of the scores in each class, one model above the other on one axis."""
    probable = all(rows.are_probabilities)
    places = [_log_odds(score) if probable else score for score in rows.scores]
    span = float(min(map(np.min, places))), float(max(map(np.max, places)))
    figure = Figure(figsize=(svg.WIDTH, svg.HEIGHT), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    models = _models(rows, names)
    for axes, place, (_, name, look) in zip((upper, lower), places, models, strict=True):
        _draw_histogram(axes, rows, place, span, look["color"])
        axes.set_title(name, loc="left", fontsize=9)
    if probable:
        ticks = [tick for tick in TICKS if span[0] <= float(_log_odds(tick)) <= span[1]]
        lower.set_xticks([float(_log_odds(tick)) for tick in ticks], [f"{t:g}" for t in ticks])
    lower.set_xlabel("score")
    return svg.to_svg(
        figure,
        "scores",
        f"Histograms of the scores of negatives and positives by {names[0]} and by {names[1]}: the "
        "further apart they are, the better a model separates the classes.",
    )


def _log_odds(score: npt.ArrayLike) -> Floats:
    """Log odds, a scale that does not squeeze small probabilities into one corner."""
    inside = np.clip(score, LEAST, 1 - LEAST)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _draw_histogram(
    axes: Axes, rows: Rows, place: Floats, span: tuple[float, float], colour: str
) -> None:
    for side, text, ink in ((~rows.label, "negatives", QUIET), (rows.label, "positives", colour)):
        share, edges = np.histogram(place[side], bins=BINS, range=span, weights=rows.weight[side])
        filled = ink == colour
        axes.stairs(
            share / np.sum(share),
            edges,
            fill=filled,
            alpha=0.55 if filled else 1,
            color=ink,
            label=text,
        )
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="best")


def _models(rows: Rows, names: tuple[str, str]) -> list[tuple[Floats, str, dict[str, Any]]]:
    looks: tuple[dict[str, Any], ...] = (
        {"color": CHAMPION, "linestyle": (0, (4, 1.5))},
        {"color": CHALLENGER},
    )
    return [
        (score, name, {"linewidth": 1.8, **look})
        for score, name, look in zip(rows.scores, names, looks, strict=True)
    ]


def _curve(rows: Rows, score: Floats) -> tuple[Floats, Floats]:
    """Weight of positives and of negatives at or above every distinct score, from none to all."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), order.size - 1]

    def above(side: Bools) -> Floats:
        sums: Floats = np.r_[0.0, np.cumsum((rows.weight * side)[order])[ends]]
        return sums

    return above(rows.label), above(~rows.label)


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The points nearest to equal steps along the curve, both ends included."""
    length = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], POINTS)))
    kept = np.unique(np.r_[0, np.minimum(kept, x.size - 1), x.size - 1])
    return x[kept], y[kept]
