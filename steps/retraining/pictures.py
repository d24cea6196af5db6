"""Pictures of a comparison as inline SVG whose colours follow the page, light or dark."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from retraining.rows import Bools, Floats, Rows
    from retraining.verdict import Verdict

POINTS: Final = 400  # of a thinned curve: finer than a pixel of the picture
BINS: Final = 40
SIZE: Final = (4.4, 3.3)  # inches: 422 px wide, so that text stays legible on a telephone
# Each colour stands for a custom property of the page, which replaces it in the SVG.
INK, GRID, CHAMPION, CHALLENGER = "#010101", "#020202", "#030303", "#040404"
COLOURS: Final = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    CHAMPION: "var(--champion)",
    CHALLENGER: "var(--challenger)",
}
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.frameon": False,
}


@mpl.rc_context(STYLE)
def draw_effect(verdict: Verdict) -> Markup:
    """The effect and its interval on a line with zero and the required effect."""
    figure, axes = _figure(height=1.7)
    ends = [verdict.ci_lower, verdict.ci_upper]
    known = all(math.isfinite(end) for end in ends)
    if known:
        axes.plot(ends, [0, 0], color=CHALLENGER, linewidth=4, solid_capstyle="butt")
    axes.plot([verdict.effect_size], [0], "o", color=CHALLENGER, markersize=9)
    axes.axvline(0, color=INK, linewidth=1)
    axes.axvline(verdict.min_effect_size, color=CHAMPION, linewidth=1.5, linestyle="--")
    seen = [0.0, verdict.effect_size, verdict.min_effect_size, *(ends if known else ())]
    margin = 0.12 * (max(seen) - min(seen)) or 1e-3
    axes.set_xlim(min(seen) - margin, max(seen) + margin)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    axes.set_xlabel(f"{verdict.metric}: challenger worse  ←   effect   →  challenger better")
    interval = f"from {ends[0]:.4g} to {ends[1]:.4g}" if known else "unknown"
    return _svg(
        figure,
        "effect",
        f"Effect {verdict.effect_size:.4g}, interval {interval}, drawn against zero (solid line) "
        f"and the required effect {verdict.min_effect_size:.4g} (dashed line).",
    )


@mpl.rc_context(STYLE)
def draw_roc(rows: Rows, names: tuple[str, str]) -> Markup:
    """Both ROC curves."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    for score, name, look in _models(rows, names):
        hits, alarms = _curve(rows, score)
        fallout, recall = _thin(alarms / alarms[-1], hits / hits[-1])
        axes.plot(fallout, recall, label=name, **look)
    axes.set(xlabel="share of class 0 above the threshold", ylabel="share of class 1 above it")
    axes.legend(loc="lower right")
    return _svg(
        figure, "roc", f"ROC curves of {names[0]} and {names[1]}; the diagonal is guessing."
    )


@mpl.rc_context(STYLE)
def draw_precision_recall(rows: Rows, names: tuple[str, str]) -> Markup:
    """Both precision-recall curves, and the share of class 1 that guessing would reach."""
    figure, axes = _figure()
    share = float(np.sum(rows.weight[rows.label]) / np.sum(rows.weight))
    axes.axhline(share, color=GRID, linewidth=1)
    for score, name, look in _models(rows, names):
        hits, alarms = (values[1:] for values in _curve(rows, score))
        recall, precision = _thin(hits / hits[-1], hits / (hits + alarms))
        axes.plot(recall, precision, label=name, drawstyle="steps-pre", **look)
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    axes.legend(loc="best")
    return _svg(
        figure,
        "pr",
        f"Precision against recall of {names[0]} and {names[1]}; guessing has the precision "
        f"{share:.4g}.",
    )


@mpl.rc_context(STYLE)
def draw_scores(rows: Rows, names: tuple[str, str]) -> tuple[Markup, Markup]:
    """How the scores of each class are spread, a picture a model."""
    first, second = (
        _draw_histogram(rows, score, name, look["color"])
        for score, name, look in _models(rows, names)
    )
    return first, second


def _draw_histogram(rows: Rows, score: Floats, name: str, colour: str) -> Markup:
    figure, axes = _figure()
    within = np.min(score) >= 0 and np.max(score) <= 1
    span = (0.0, 1.0) if within else (float(np.min(score)), float(np.max(score)))
    for side, text, ink in ((~rows.label, "class 0", INK), (rows.label, "class 1", colour)):
        share, edges = np.histogram(score[side], bins=BINS, range=span, weights=rows.weight[side])
        filled = ink == colour
        axes.stairs(
            share / np.sum(share),
            edges,
            fill=filled,
            alpha=0.6 if filled else 1,
            color=ink,
            label=text,
        )
    axes.set(xlabel=f"score of {name}", ylabel="share of the class")
    axes.legend(loc="best")
    return _svg(
        figure,
        "champion" if colour == CHAMPION else "challenger",
        f"Histograms of the scores of class 0 and class 1 by {name}: the further apart, the better "
        "it separates the classes.",
    )


def _figure(height: float = SIZE[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    return figure, figure.subplots()


def _models(rows: Rows, names: tuple[str, str]) -> list[tuple[Floats, str, dict[str, Any]]]:
    looks = ({"color": CHAMPION, "linestyle": "--"}, {"color": CHALLENGER, "linestyle": "-"})
    return [
        (score, name, {"linewidth": 1.6, **look})
        for score, name, look in zip(rows.scores, names, looks, strict=True)
    ]


def _curve(rows: Rows, score: Floats) -> tuple[Floats, Floats]:
    """Weight of class 1 and of class 0 at or above every distinct score, from none to all."""
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


def _svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an element of the page: own ids, no namespace, no fixed size, no metadata."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    opening, inner = text[text.index("<svg") :].split(">", 1)
    view = opening[opening.index("viewBox") :].split('"')[1]
    inner = re.sub(r"<style.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<[^>]*>", lambda tag: _adapt(tag.group(), name), inner)
    head = Markup('<svg role="img" aria-label="{}" viewBox="{}">').format(alternative, view)
    return head + Markup(inner)  # noqa: S704  matplotlib has escaped every text in it


def _adapt(tag: str, name: str) -> str:
    tag = re.sub(r"(\bid=\"|\"#|url\(#)", rf"\g<1>{name}-", tag)
    tag = re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)
    tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)  # a hundredth of a point is invisible
    for colour, variable in COLOURS.items():
        tag = tag.replace(colour, variable)
    return tag
