"""What a data set holds, as one HTML file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl

from retraining.report import svg
from retraining.report.templates import open_templates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

_TICKS: Final = 4  # days that can be read below a picture on a telephone
_BARS: Final = 120  # of more days, several become one bar


@dataclass(frozen=True)
class ShownColumn:
    """A column of the training rows, as texts.

    Attributes:
        name: Its name.
        use: Which part it has: label, key, feature, none.
        type: Of its values.
        missing: How many rows lack a value.
        distinct: About how many different values.
        range: The smallest and the largest value, or an example.
        relation: How well it orders rows by the label, by itself.
        is_suspicious: Whether it may hold the label itself.
    """

    name: str
    use: str
    type: str
    missing: str
    distinct: str
    range: str
    relation: str
    is_suspicious: bool


@dataclass(frozen=True)
class ShownReason:
    """Rows that were rejected for one reason, and values that led to it."""

    reason: str
    n_rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class ShownData:
    """What the page of a data set shows.

    Attributes:
        name: Of the data set.
        summary: The description's own.
        findings: What a reader should look at.
        account: Numbers of rows by what became of them.
        splits: Rows, positives and days of each split, by its name.
        rejected: Rejected rows by reason.
        columns: Of the training rows.
        days: Rows and positives by day, or by split, for each split.
        notes: How numbers were made.
        facts: Where the data come from: text by title.
    """

    name: str
    summary: str
    findings: tuple[str, ...]
    account: Mapping[str, int]
    splits: Mapping[str, tuple[int, int, str]]
    rejected: tuple[ShownReason, ...]
    columns: tuple[ShownColumn, ...]
    days: Mapping[str, Mapping[str, tuple[int, int]]]
    notes: tuple[str, ...]
    facts: Mapping[str, str]


def render(data: ShownData) -> str:
    """One HTML page, identical to the byte for the same data."""
    template = open_templates().get_template("data.html.j2")
    return template.render(data=data, pictures=_draw(data))


class _Bar(NamedTuple):
    """Some days, or a split."""

    name: str
    n_rows: int
    n_positives: int
    is_holdout: bool


def _draw(data: ShownData) -> dict[str, Markup]:
    bars = _bars(data)
    shares = [100 * bar.n_positives / max(bar.n_rows, 1) for bar in bars]
    return {
        "rows": _draw_bars(bars, [bar.n_rows for bar in bars], "rows"),
        "positives": _draw_bars(bars, shares, "positive, %"),
    }


def _bars(data: ShownData) -> list[_Bar]:
    """A bar for each day, or for several of many; a day of two splits is one of the later split."""
    bars: dict[str, _Bar] = {}
    for split, days in data.days.items():
        for day, (n_rows, n_positives) in days.items():
            _, rows, positives, _ = bars.get(day, _Bar(day, 0, 0, is_holdout=False))
            bars[day] = _Bar(day, rows + n_rows, positives + n_positives, split == "holdout")
    ordered = list(bars.values()) if list(bars) == list(data.days) else sorted(bars.values())
    step = -(-len(ordered) // _BARS)
    return [_sum(ordered[first : first + step]) for first in range(0, len(ordered), step or 1)]


def _sum(bars: Sequence[_Bar]) -> _Bar:
    first = bars[0]
    return first._replace(
        n_rows=sum(bar.n_rows for bar in bars), n_positives=sum(bar.n_positives for bar in bars)
    )


def _draw_bars(bars: Sequence[_Bar], heights: Sequence[float], what: str) -> Markup:
    with mpl.rc_context(svg.STYLE):
        figure, axes = svg.new_figure()
        colours = [svg.CHALLENGER if bar.is_holdout else svg.CHAMPION for bar in bars]
        axes.bar(range(len(bars)), heights, color=colours)
        ticks = range(0, len(bars), max(1, -(-len(bars) // _TICKS)))
        axes.set_xticks(ticks, [bars[index].name for index in ticks])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(what)
        name = what.partition(",")[0]
        return svg.to_svg(figure, name, f"Bars: {what}, by day or split.")
