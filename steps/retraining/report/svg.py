"""Figures as inline SVG whose colours follow the page, light or dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH: Final = 4.6  # inches, 442 px: text stays legible when a telephone shrinks the picture
HEIGHT: Final = 3.2
# Each colour is replaced in the SVG by this custom property of the page.
INK, QUIET, GRID, CHAMPION, CHALLENGER = "#010101", "#020202", "#030303", "#040404", "#050505"
COLOURS: Final = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
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
    "axes.edgecolor": GRID,
    "axes.labelcolor": QUIET,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.color": GRID,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
}


def new_figure(height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes; call it inside `mpl.rc_context(STYLE)`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def to_svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an element of the page: own ids, no namespace, no fixed size, no metadata.

    Args:
        figure: Drawn inside `mpl.rc_context(STYLE)`.
        name: Unique among the pictures of the page.
        alternative: A description of the picture for readers who cannot see it.
    """
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
