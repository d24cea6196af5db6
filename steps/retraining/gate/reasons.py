"""A verdict in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from retraining.gate.looks import LEAST
from retraining.gate.power import largest_gain
from retraining.gate.verdict import UNDECIDABLE
from retraining.gate.wording import number, percent

if TYPE_CHECKING:
    from retraining.gate.campaign import Campaign
    from retraining.gate.spending import Spending
    from retraining.gate.verdict import Verdict


def explain_verdict(verdict: Verdict, *, unsound: str = "") -> tuple[str, ...]:
    """Full sentences: the result, what follows from it, and what more rows would change.

    Args:
        verdict: Everything but its reasons.
        unsound: Why nothing is promoted on this strategy; empty for a valid one.
    """
    sentences = [_effect(verdict), *_dependence(verdict)]
    if verdict.ledger is not None:
        sentences += [_budget(verdict, verdict.ledger), *_holdout(verdict.ledger)]
    if verdict.campaign is not None:
        sentences.append(_campaign(verdict.campaign))
    failed = [check for check in verdict.guardrails if check.status == "failed"]
    against = [check.sentence for check in failed] + ([unsound] if unsound else [])
    believed = not {check.name for check in failed} & set(UNDECIDABLE)
    if verdict.verdict == "promote":
        sentences += [_significance(verdict), *_unknown(verdict)]
    elif verdict.verdict == "keep_champion":
        sentences.append(
            "The whole interval lies at or below the required effect of "
            f"{number(verdict.min_effect_size)}."
        )
    elif verdict.pvalue < verdict.alpha and believed:
        sentences += [_significance(verdict), "Even so, the challenger is not promoted.", *against]
    else:
        sentences += against or [_doubt(verdict)]
        sentences.append(_detectable(verdict))
        if verdict.campaign is None:
            sentences += _rows_needed(verdict, believed=believed)
    if verdict.campaign is not None:
        sentences += _prospect(verdict, verdict.campaign)
    return tuple(sentences)


def _effect(verdict: Verdict) -> str:
    models = (
        f"The {verdict.metric} of the challenger is {number(verdict.challenger)}, "
        f"that of the champion {number(verdict.champion)}"
    )
    if verdict.standard_error == 0 and verdict.effect_size == 0:
        return f"{models}: by {verdict.metric}, the two models treat every row alike."
    favoured = "challenger" if verdict.effect_size > 0 else "champion"
    favour = f", in favour of the {favoured}," if verdict.effect_size else ""
    interval = f"{number(verdict.ci_lower)} to {number(verdict.ci_upper)}"
    for_all = " (for all looks together)" if verdict.campaign else ""
    return (
        f"{models}: an effect of {number(verdict.effect_size)}{favour} "
        f"with a {percent(verdict.confidence_level)} interval{for_all} of {interval}."
    )


def _dependence(verdict: Verdict) -> list[str]:
    """What the rows are worth where they may depend on each other."""
    parts = []
    if verdict.n_units is not None and verdict.effective_units is not None:
        parts.append(f"{verdict.n_units:,} units, worth {verdict.effective_units:,.0f} equal ones")
    if verdict.n_periods is not None:
        shared = "which shows nothing of what such rows share"
        if verdict.period_ratio is not None:
            shared = f"which multiply the variance of the effect by {verdict.period_ratio:.2f}"
        parts.append(f"{_periods(verdict, verdict.n_periods)}, {shared}")
    return [f"The rows come from {', and from '.join(parts)}."] if parts else []


def _periods(verdict: Verdict, count: int, more: str = "") -> str:
    shown = f"{count:,}{more}"
    plural = "" if count == 1 else "s"
    if verdict.period in ("day", "week"):  # of yearly data, only one day a year has rows
        return f"{shown} {verdict.period}{plural}{' with rows' if more else ''}"
    named = verdict.period and verdict.period != "none"
    return f"{shown} value{plural} of {verdict.period}" if named else f"{shown} period{plural}"


def _budget(verdict: Verdict, ledger: Spending) -> str:
    what, may = "test", number(verdict.alpha)
    if verdict.campaign:
        what, may = "campaign", number(verdict.campaign.alpha)
    year = f"{number(ledger.tests_per_year)} tests a year"
    cost = number(ledger.per_test_false_promotions)
    if ledger.budget is None:
        return (
            f"This {what} may use {may}, as every {what} may: with {year}, "
            f"{cost} false promotions a year are to be expected."
        )
    budget = f"the yearly budget of {number(ledger.budget)} for false promotions"
    tests = f"{ledger.n_tests} tests" if ledger.n_tests > 1 else "One test"
    past = (
        f"{tests} of this model in the last 365 days used {number(ledger.spent)} of {budget}"
        if ledger.n_tests
        else f"This is the first test of this model in 365 days, with {budget}"
    )
    too_few = any(
        c.name == "minimum_positives" and c.status == "failed" for c in verdict.guardrails
    )
    if too_few and not verdict.campaign:
        return f"{past}; this one, which cannot decide whatever the effect, uses nothing."
    if ledger.alpha <= LEAST:
        return f"{past}; nothing is left, and nothing can be promoted until they are a year old."
    return (
        f"{past}; with {year} this {what} may use {may} (the policy's alpha for "
        f"every {what} would mean {cost} false promotions a year)."
    )


def _campaign(campaign: Campaign) -> str:
    """Which look this is, and what it may use."""
    spending = campaign.spending.replace("_", "-")
    return (
        f"This is look {campaign.look} of {campaign.n_looks} of these two models, on all rows so "
        f"far; the looks up to this one may use {number(campaign.spent)} of the campaign's "
        f"{number(campaign.alpha)} ({spending})."
    )


def _prospect(verdict: Verdict, campaign: Campaign) -> list[str]:
    """What becomes of the campaign."""
    corrected = (
        "Allowing for the looks, the effect is as likely above as below "
        f"{number(campaign.median_unbiased_effect)} (median-unbiased)."
    )
    if math.isnan(campaign.median_unbiased_effect):
        corrected = "The effect cannot be corrected for the looks."
    if campaign.state == "promoted":
        return [corrected]
    if campaign.state == "no_gain":
        return [f"The campaign ends with look {campaign.look}.", corrected]
    if campaign.state == "last_look":
        return ["This was the last look: the question stays open for good.", corrected]
    if campaign.state == "futile":
        return [
            f"The campaign ends with look {campaign.look}: even if the true effect were the "
            f"detectable one, the looks that are left would find it in {percent(campaign.chance)} "
            "only.",
            corrected,
        ]
    if verdict.pvalue < verdict.alpha:
        return []  # a guardrail stops the promotion, and nobody knows for how long
    if campaign.looks_still_needed is None:
        left = campaign.n_looks - campaign.look
        return [
            f"If the observed effect stays, the {left} looks that are left will not decide."
            if left > 1
            else "If the observed effect stays, the one look that is left will not decide."
        ]
    more, plural = campaign.looks_still_needed, "s" * (campaign.looks_still_needed != 1)
    days, rows = verdict.periods_still_needed, verdict.rows_still_needed
    about = f", about {rows:,} more rows" if rows else ""
    during = f" from {_periods(verdict, days, ' more')}" if days else ""
    return [f"If the observed effect stays, {more} more look{plural} will decide{about}{during}."]


def _holdout(ledger: Spending) -> list[str]:
    """What it means that rows were tested before."""
    sentences = []
    if ledger.champion_was_chosen_here:
        sentences.append(
            "The champion was chosen on some of these rows, which flatter it: the challenger is at "
            "a disadvantage here."
        )
    if ledger.n_holdout_tests and not ledger.fresh_holdouts_possible:
        sentences.append(
            f"With {number(ledger.tests_per_year)} tests a year no holdout of this kind can be "
            "fresh."
        )
    return sentences


def _significance(verdict: Verdict) -> str:
    return (
        f"If the true effect were at most {number(verdict.min_effect_size)}, an effect this large "
        f"would occur with probability {number(verdict.pvalue)}, below this {_step(verdict)}'s "
        f"alpha of {number(verdict.alpha)}."
    )


def _step(verdict: Verdict) -> str:
    return "look" if verdict.campaign else "test"


def _unknown(verdict: Verdict) -> list[str]:
    return [check.sentence for check in verdict.guardrails if check.status == "unknown"]


def _doubt(verdict: Verdict) -> str:
    return (
        f"The p-value {number(verdict.pvalue)} is not below this {_step(verdict)}'s alpha of "
        f"{number(verdict.alpha)}, and the interval reaches above the required effect of "
        f"{number(verdict.min_effect_size)}: these rows can neither show nor rule out "
        "that the challenger is better."
    )


def _detectable(verdict: Verdict) -> str:
    if math.isnan(verdict.minimum_detectable_effect) or not verdict.standard_error:
        return "The standard error and the minimum detectable effect cannot be estimated."
    if verdict.minimum_detectable_effect > largest_gain(verdict.metric, verdict.champion):
        return (
            f"These rows are too few to find any gain in {verdict.metric}: even a perfect "
            f"challenger would be promoted in less than {percent(verdict.power)} of such "
            f"{'campaigns' if verdict.campaign else 'tests'}."
        )
    return (
        f"The minimum detectable effect is {number(verdict.minimum_detectable_effect)}: a "
        "challenger that is better by this much would be promoted in "
        f"{percent(verdict.power)} of such {'campaigns' if verdict.campaign else 'tests'}."
    )


def _rows_needed(verdict: Verdict, *, believed: bool) -> list[str]:
    """How many more rows would decide; nothing where another sentence says why that is unknown."""
    if verdict.rows_still_needed is None:
        if not believed or math.isnan(verdict.standard_error):
            return []
        return [
            "The observed effect is too close to the required one to estimate how many more rows "
            "would be enough for a decision."
        ]
    positives = verdict.positives_still_needed
    among = "" if positives is None else f", {positives:,} of them positives"
    periods = verdict.periods_still_needed
    during = "" if periods is None else f", from {_periods(verdict, periods, ' more')}"
    comma = "," if among or during else ""
    return [
        f"About {verdict.rows_still_needed:,} more rows of the same kind{among}{during}{comma} "
        "would be enough for a decision if the true effect is as large as the observed one."
    ]
