"""Pictures of a verdict: the effect, how certain it is, and the alpha that tests have used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from markupsafe import Markup

from retraining.gate import power
from retraining.gate.wording import number, percent
from retraining.report import svg
from retraining.report.svg import CHALLENGER, CHAMPION, GRID, INK, QUIET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from retraining.gate.spending import Spending
    from retraining.gate.verdict import CrossCheck, Verdict
    from retraining.statistics.rows import Floats

BINS: Final = 40
STRIP: Final = Markup(
    '<svg class="strip" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
)
UPRIGHT: Final = ("data", "axes fraction")
LEVEL: Final = ("axes fraction", "data")
DASHED: Final = (0, (3, 2))
DAY: Final = 10  # letters of a date in ISO 8601


class Scale(NamedTuple):
    """An axis that the strips of one table share.

    Attributes:
        low: Value at the left end.
        high: Value at the right end.
        required: The required effect.
    """

    low: float
    high: float
    required: float

    def at(self, value: float) -> str:
        """Per cent of the width."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.1f}"


def find_scale(values: Iterable[float], required: float) -> Scale:
    """The axis that holds zero, the required effect and all values that are numbers."""
    seen = [0.0, required, *(value for value in values if math.isfinite(value))]
    low, high = min(seen), max(seen)
    margin = 0.05 * (high - low) or 1e-3
    return Scale(low - margin, high + margin, required)


def draw_strip(effect: float, lower: float, upper: float, scale: Scale) -> Markup:
    """An interval in a table cell, hidden from screen readers: its numbers are next to it."""
    lines = [("zero", f"M{scale.at(0.0)} 0v20"), ("required", f"M{scale.at(scale.required)} 0v20")]
    if math.isfinite(lower) and math.isfinite(upper):
        lines.append(("bar", f"M{scale.at(lower)} 10H{scale.at(upper)}"))
    if math.isfinite(effect):
        lines.append(("dot", f"M{scale.at(effect)} 10h0"))
    paths = Markup().join(Markup('<path class="{}" d="{}"/>').format(*line) for line in lines)
    return STRIP.format(paths)


@mpl.rc_context(svg.STYLE)
def draw_effect(verdict: Verdict) -> Markup:
    """The effect and its interval, also by bootstrap, against zero and the required effect."""
    drawn: list[tuple[str, Verdict | CrossCheck, str]] = [(verdict.strategy, verdict, INK)]
    if verdict.cross_check:
        drawn.append(("cross-check", verdict.cross_check, QUIET))
    figure, axes = svg.new_figure(height=1.05 + 0.4 * len(drawn))
    seen, texts = [], []
    for place, (name, result, colour) in enumerate(drawn):
        ends = (result.ci_lower, result.ci_upper)
        known = all(math.isfinite(end) for end in ends)
        if known:
            axes.plot(ends, [-place, -place], color=colour, linewidth=4, solid_capstyle="butt")
        axes.plot([result.effect_size], [-place], "o", color=colour, markersize=8)
        seen += [result.effect_size, *(ends if known else ())]
        interval = f"{number(ends[0])} to {number(ends[1])}" if known else "unknown"
        texts.append(f"{name}: effect {number(result.effect_size)}, interval {interval}")
    scale = find_scale(seen, verdict.min_effect_size)
    axes.set_xlim(scale.low, scale.high)
    axes.set_ylim(0.6 - len(drawn), 0.75)
    axes.set_yticks(range(0, -len(drawn), -1), [name for name, _, _ in drawn])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    axes.axvspan(verdict.min_effect_size, scale.high, color=CHALLENGER, alpha=0.12, linewidth=0)
    _mark(axes, verdict)
    axes.set_xlabel(f"{verdict.metric}: challenger worse  ←   effect   →  challenger better")
    return svg.to_svg(
        figure,
        "effect",
        f"{'; '.join(texts)}. Drawn against zero and the required effect "
        f"{number(verdict.min_effect_size)}.",
    )


@mpl.rc_context(svg.STYLE)
def draw_distribution(verdict: Verdict, effects: Floats) -> Markup | None:
    """How often each effect occurred in the bootstrap; None where all were the same."""
    effects = effects[np.isfinite(effects)]
    if effects.size < BINS or np.ptp(effects) == 0:
        return None
    figure, axes = svg.new_figure()
    width = float(np.ptp(effects)) / BINS
    # The required effect lies between two bars, so that each is of one colour.
    first = np.floor((np.min(effects) - verdict.min_effect_size) / width)
    edges = verdict.min_effect_size + width * (first + np.arange(BINS + 2))
    counts, _ = np.histogram(effects, bins=edges)
    middles = (edges[1:] + edges[:-1]) / 2
    enough = middles > verdict.min_effect_size
    for side, colour in ((~enough, CHAMPION), (enough, CHALLENGER)):
        axes.bar(middles[side], counts[side] / effects.size, 0.9 * width, color=colour)
    axes.set_ylim(0, 1.05 * float(np.max(counts)) / effects.size)
    scale = find_scale(edges, verdict.min_effect_size)
    axes.set_xlim(scale.low, scale.high)
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    _mark(axes, verdict)
    axes.set(xlabel="effect in the resample", ylabel="share of the resamples")
    above = float(np.mean(effects > verdict.min_effect_size))
    return svg.to_svg(
        figure,
        "distribution",
        f"Histogram of the effect in {effects.size:,} resamples of the rows: {percent(above)} of "
        f"them exceed the required effect {number(verdict.min_effect_size)}; the middle one is "
        f"{number(float(np.median(effects)))}.",
    )


@mpl.rc_context(svg.STYLE)
def draw_power(verdict: Verdict) -> Markup | None:
    """The minimum detectable effect against the number of rows; None where it is unknown."""
    points = power.curve(
        verdict.n_rows,
        verdict.standard_error,
        alpha=verdict.alpha,
        power=verdict.power,
        min_effect_size=verdict.min_effect_size,
        degrees=verdict.degrees_of_freedom,
    )
    most = power.largest_gain(verdict.metric, verdict.champion)
    points = tuple(point for point in points if point.effect <= most)
    if not points or verdict.standard_error == 0:
        return None
    figure, axes = svg.new_figure()
    axes.semilogx(*zip(*points, strict=True), color=CHALLENGER, linewidth=1.8)
    at_hand = ""
    if verdict.minimum_detectable_effect <= most:
        axes.plot([verdict.n_rows], [verdict.minimum_detectable_effect], "o", color=CHALLENGER)
        at_hand = (
            f"{number(verdict.minimum_detectable_effect)} with the {verdict.n_rows:,} rows at hand "
            "(the dot), "
        )
    if verdict.effect_size > 0:
        axes.axhline(verdict.effect_size, color=INK, linewidth=1, linestyle=DASHED)
        _name(axes, (0.98, verdict.effect_size), "observed effect", "right", LEVEL)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=""))
    axes.set(xlabel="rows", ylabel="detectable effect")
    fewest, last = points[0], points[-1]
    return svg.to_svg(
        figure,
        "power",
        f"Curve of the minimum detectable effect: {number(fewest.effect)} with {fewest.rows:,} "
        f"rows, {at_hand}{number(last.effect)} with {last.rows:,}.",
    )


@mpl.rc_context(svg.STYLE)
def draw_campaign(verdict: Verdict) -> Markup:
    """The z-scores of the looks so far against the boundary, made and planned."""
    figure, axes = svg.new_figure()
    made = [look for look in verdict.looks if look.made]
    numbers = [look.look for look in verdict.looks]
    bounds = [look.bound for look in verdict.looks]
    axes.plot(numbers, bounds, color=CHAMPION, linewidth=1.5, drawstyle="steps-mid")
    axes.plot(numbers, bounds, "_", color=CHAMPION, markersize=12, markeredgewidth=2)
    axes.plot(
        [look.look for look in made],
        [look.z_score for look in made],
        "o-",
        color=CHALLENGER,
        linewidth=1.8,
        markersize=6,
    )
    axes.axhline(0, color=INK, linewidth=1)
    shown = [value for value in (*bounds, *(look.z_score for look in made)) if math.isfinite(value)]
    low, high = min([0.0, *shown]), max([2.0, *shown])
    axes.set_ylim(low - 0.5, high + 0.7)
    axes.set_xlim(0.5, max(numbers) + 0.5)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(8, integer=True))
    axes.set(xlabel="look", ylabel="effect in standard errors")
    if finite := [look for look in verdict.looks if math.isfinite(look.bound)]:
        _name(axes, (finite[0].look, finite[0].bound), "promotes", "left", ("data", "data"))
    path = ", ".join(number(look.z_score) for look in made)
    needed = ", ".join(number(bound) for bound in bounds)
    return svg.to_svg(
        figure,
        "campaign",
        f"The effect in standard errors at the looks so far: {path}. What promotes, at all looks: "
        f"{needed}.",
    )


@mpl.rc_context(svg.STYLE)
def draw_ledger(ledger: Spending) -> Markup:
    """Alpha of the earlier tests and of this one, and their sum against the budget."""
    figure, axes = svg.new_figure(height=2.4)
    alphas = [alpha for _, alpha in ledger.past] + [ledger.alpha]
    places = range(len(alphas))
    colours = [GRID] * len(ledger.past) + [CHALLENGER]
    axes.bar(places, alphas, 0.7, color=colours)
    axes.plot(places, np.cumsum(alphas), "o-", color=INK, linewidth=1.2, markersize=3)
    if ledger.budget is not None:
        axes.axhline(ledger.budget, color=CHAMPION, linewidth=1.2, linestyle=DASHED)
        _name(axes, (0, ledger.budget), "budget", "left", LEVEL)
    names = [time[:DAY] for time, _ in ledger.past] + ["this test"]
    shown = sorted({0, len(names) // 2, len(names) - 1}) if len(names) > 3 else places
    axes.set_xticks(list(shown), [names[place] for place in shown])
    axes.set_ylabel("alpha")
    axes.set_ylim(0, 1.15 * max(sum(alphas), ledger.budget or 0.0))
    axes.grid(visible=False, axis="x")
    budget = "" if ledger.budget is None else f" The budget is {number(ledger.budget)}."
    return svg.to_svg(
        figure,
        "ledger",
        f"Bars: alpha of {len(ledger.past)} earlier tests and of this one, {number(ledger.alpha)}. "
        f"Line: their sum, which reaches {number(sum(alphas))}.{budget}",
    )


def _mark(axes: Axes, verdict: Verdict) -> None:
    """Lines at zero and at the required effect, named at their upper end."""
    required = verdict.min_effect_size
    axes.axvline(0, color=INK, linewidth=1)
    _name(axes, (0, 1), "no difference", "right" if required else "center", UPRIGHT)
    if required:
        axes.axvline(required, color=INK, linewidth=1.2, linestyle=DASHED)
        _name(axes, (required, 1), "required", "left", UPRIGHT)


def _name(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    side: Literal["left", "center", "right"],
    coordinates: tuple[str, str],
) -> None:
    """A small text above a level line, or above the upper end of an upright one."""
    axes.annotate(
        text,
        place,
        xycoords=coordinates,
        xytext=(0, 3),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=8,
        color=QUIET,
    )
