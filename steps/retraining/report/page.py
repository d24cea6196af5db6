"""A verdict as one HTML file that explains its terms and needs no network."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from retraining.gate.wording import align
from retraining.report import effect_figures, model_figures, summary
from retraining.report.glossary import TERMS, meaning
from retraining.report.metric_table import compare_metrics
from retraining.report.templates import open_templates, show, with_minus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment
    from markupsafe import Markup

    from retraining.gate.campaign import Campaign
    from retraining.gate.campaign_plan import PlannedRule
    from retraining.gate.spending import Spending
    from retraining.gate.verdict import Verdict
    from retraining.statistics.rows import Floats, Rows

SLICES_ON_PAGE: Final = 100  # the page stays small; verdict.json holds all


class Interval(Protocol):
    """An effect with an interval, drawn as a strip: a slice, an opinion, a maturity."""

    @property
    def effect_size(self) -> float:
        """The effect."""

    @property
    def ci_lower(self) -> float:
        """Lower end of its interval."""

    @property
    def ci_upper(self) -> float:
        """Upper end."""


Item = TypeVar("Item", bound=Interval)


def render(
    verdict: Verdict,
    rows: Rows,
    *,
    facts: Mapping[str, str],
    effects: Floats | None = None,
    commands: Mapping[str, str] | None = None,
    names: tuple[str, str] = ("champion", "challenger"),
) -> str:
    """One HTML page: verdict, pictures, every number with its meaning, and the origin of the data.

    The page contains its pictures, loads nothing over the network, and is identical to the byte
    for the same arguments. Curves and tables are thinned, so that the page stays small however
    many rows there are.

    Args:
        verdict: The verdict on these rows.
        rows: Labels and both scores, of single rows or of cells.
        facts: What the reader must know to trust the comparison: text by title.
        effects: In the resamples of the bootstrap, shape (n_resamples,), NaN where one lacks a
            class; None leaves their picture out.
        commands: How to repeat the comparison: command by purpose.
        names: What to call champion and challenger, for example with their versions.
    """
    required = verdict.min_effect_size
    judged, too_small = summary.sort_slices(verdict)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            verdict=verdict,
            names=names,
            headline=summary.headline(verdict, names),
            statuses=Counter(item.status for item in verdict.guardrails),
            numbers=_numbers(verdict),
            ledger_numbers=_numbers_of(verdict.ledger, "ledger"),
            campaign_numbers=_numbers_of(verdict.campaign, "campaign"),
            standing=summary.standing(verdict),
            plan=_plan(verdict),
            pictures=_draw(verdict, rows, effects, names),
            metrics=compare_metrics(rows, verdict.confidence_level),
            slices=_with_strips(judged[:SLICES_ON_PAGE], required),
            n_slices_left_out=max(0, len(judged) - SLICES_ON_PAGE),
            too_small=too_small,
            maturities=_with_strips(verdict.maturities, required),
            opinions=_with_strips(verdict.opinions, required),
            facts=facts,
            commands=commands or {},
            terms={name: text for name, text in TERMS.items() if "." not in name},
            most=SLICES_ON_PAGE,
        )
    )


def _draw(
    verdict: Verdict, rows: Rows, effects: Floats | None, names: tuple[str, str]
) -> dict[str, Markup | None]:
    names = summary.shorten_name(names[0]), summary.shorten_name(names[1])
    ledger = verdict.ledger
    roc, precision_recall = model_figures.draw_ranking(rows, names)
    return {
        "effect": effect_figures.draw_effect(verdict),
        "distribution": None
        if effects is None
        else effect_figures.draw_distribution(verdict, effects),
        "power": None if verdict.campaign else effect_figures.draw_power(verdict),
        "campaign": effect_figures.draw_campaign(verdict) if verdict.campaign else None,
        "roc": roc,
        "precision_recall": precision_recall,
        "reliability": model_figures.draw_reliability(rows, names),
        "scores": model_figures.draw_scores(rows, names),
        # Of a single test there is nothing to see.
        "ledger": effect_figures.draw_ledger(ledger) if ledger and ledger.past else None,
    }


def _with_strips(items: Sequence[Item], required: float) -> list[tuple[Item, Markup]]:
    ends = [value for item in items for value in (item.effect_size, item.ci_lower, item.ci_upper)]
    scale = effect_figures.find_scale(ends, required)
    return [
        (item, effect_figures.draw_strip(item.effect_size, item.ci_lower, item.ci_upper, scale))
        for item in items
    ]


def _numbers(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every single value, and of the bootstrap's."""
    parts = {name for name, value in vars(verdict).items() if isinstance(value, tuple)}
    parts |= {"cross_check", "ledger", "campaign"}
    shown = [
        (field.name, show(getattr(verdict, field.name), field.name), meaning(field.name))
        for field in dataclasses.fields(verdict)
        if field.name not in parts
    ]
    shown = [(name, text, TERMS[text] if name == "metric" else said) for name, text, said in shown]
    if verdict.cross_check:
        shown += [
            (f"cross_check.{name}", show(value, name), meaning(name, "cross_check"))
            for name, value in vars(verdict.cross_check).items()
            if name not in ("champion", "challenger", "n_rows", "n_positives")
        ]
    return shown


def _numbers_of(record: Spending | Campaign | None, part: str) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every single value of a part of the verdict."""
    return [
        (name, show(value, name), meaning(name, part))
        for name, value in (vars(record) if record else {}).items()
        if not isinstance(value, tuple)
    ]


def _plan(verdict: Verdict) -> list[tuple[float, list[PlannedRule]]]:
    """The ways of testing by the gain that they would find."""
    gains = dict.fromkeys(rule.gain for rule in verdict.plan)
    return [(gain, [rule for rule in verdict.plan if rule.gain == gain]) for gain in gains]


def _planned(rule: PlannedRule) -> str:
    """How often a gain is found, and after how many tests or looks in half of the cases."""
    half = f", 50% within {rule.half_found}" if rule.half_found else ""
    return f"{100 * rule.found:.0f}% within {rule.n_looks}{half}"


def _align(item: Interval) -> list[str]:
    """Effect and ends of its interval with true minus signs."""
    texts = align(item.effect_size, item.ci_lower, item.ci_upper)
    return [with_minus(text) for text in texts]


def _environment() -> Environment:
    environment = open_templates()
    environment.filters.update(align=_align, planned=_planned)
    environment.globals.update(meaning=meaning)
    return environment
