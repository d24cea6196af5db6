"""A verdict in short: one sentence, a line for a chat, and Markdown for the note of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from retraining.gate.strategies import UNSOUND
from retraining.gate.verdict import UNDECIDABLE
from retraining.gate.wording import align, number, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retraining.gate.verdict import Slice, Verdict

LONGEST_LINE: Final = 199
LONGEST_NAME: Final = 30
SLICES_IN_NOTE: Final = 10

_HEADLINES: Final = {
    "promote": "Promote {challenger}: it is better than {champion} by more than is required, and "
    "chance is an unlikely explanation.",
    "keep_champion": "Keep {champion}: {challenger} is not better by as much as is required.",
    "inconclusive": "No decision: these rows cannot show whether {challenger} is better, so "
    "{champion} stays.",
    "open": "No decision yet: {champion} stays, and {challenger} is tested again with the rows of "
    "the next cycle.",
    "ended": "No decision: all looks together cannot show that {challenger} is better, so "
    "{champion} stays for good.",
    "besides": "No decision: these rows cannot show whether {challenger} is better overall; "
    "in addition, {doubts}, so {champion} stays.",
    "doubted": "No promotion yet: {challenger} looks better, but {doubts}; {champion} stays until "
    "a person has checked this.",
    "support": "No decision: too few rows carry the result, so {champion} stays.",
    "minimum_positives": "No decision: there are too few rows to show whether {challenger} is "
    "better, so {champion} stays.",
    "self_test": "No decision: the gate failed its own check on these rows, so {champion} stays.",
    "unreliable": "No decision: the chosen rule is not reliable, so no promotion is based on it, "
    "and {champion} stays.",
}
_DOUBTS: Final = {
    "slices": "it is worse for some of the rows",
    "secondary": "it is not shown to be as good by another metric",
    "calibration": "its probabilities are less accurate",
    "leak": "the gain is too good to be believed",
    "scores": "its scores look broken",
}


def headline(verdict: Verdict, names: tuple[str, str]) -> str:
    """One sentence that needs no statistics: what to do, and why."""
    kind, failed = str(verdict.verdict), failed_guardrails(verdict)
    if verdict.verdict == "inconclusive":
        undecidable = [name for name in UNDECIDABLE if name in failed]
        if undecidable:
            kind = undecidable[0]
        elif verdict.strategy in UNSOUND:
            kind = "unreliable"
        elif verdict.campaign and not failed:
            kind = "open" if verdict.campaign.state == "open" else "ended"
        elif failed:
            kind = "doubted" if verdict.pvalue < verdict.alpha else "besides"
    champion, challenger = (f"the {n}" if n in ("champion", "challenger") else n for n in names)
    *most, last = (_DOUBTS.get(name, name) for name in failed or ("",))
    return _HEADLINES[kind].format(
        champion=champion,
        challenger=challenger,
        doubts=f"{', '.join(most)} and {last}" if most else last,
    )


def standing(verdict: Verdict) -> str:
    """Where the campaign stands, in few words; "" for a test that is made once."""
    campaign = verdict.campaign
    if campaign is None:
        return ""
    look = f"look {campaign.look} of {campaign.n_looks}"
    if campaign.state != "open":
        return f"{look}, the campaign ends"
    more = campaign.looks_still_needed
    stays = "not decided within it" if more is None else f"decided in about {more} more"
    return f"{look}; {stays} if the effect stays"


def failed_guardrails(verdict: Verdict) -> list[str]:
    """Names of the guardrails that stop a promotion."""
    return list(dict.fromkeys(item.name for item in verdict.guardrails if item.status == "failed"))


def sort_slices(verdict: Verdict) -> tuple[list[Slice], list[Slice]]:
    """The judged slices, the worst first, and those that are too small to judge alone."""
    too_small = [item for item in verdict.slices if item.status in ("too_small", "pooled")]
    judged = [item for item in verdict.slices if item.status in ("worse", "not_worse")]
    judged.sort(key=lambda item: (item.status != "worse", item.effect_size))
    return judged, too_small


def shorten_name(name: str) -> str:
    """At most 30 characters; the middle is left out, because the version is at the end."""
    name = " ".join(name.split())
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def line(verdict: Verdict, names: tuple[str, str] = ("champion", "challenger")) -> str:
    """One line of plain text, under 200 characters: the decision and its main numbers."""
    champion, challenger = map(shorten_name, names)
    effect, lower, upper = align(verdict.effect_size, verdict.ci_lower, verdict.ci_upper)
    text = (
        f"{verdict.verdict}: {challenger} against {champion}, {verdict.metric} "
        f"{verdict.champion:.4f} -> {verdict.challenger:.4f}, effect {effect} [{lower}, {upper}], "
        f"p {verdict.pvalue:.2g}, {verdict.n_rows:,} rows"
    )
    if verdict.campaign:
        text = f"{text}, {standing(verdict)}"
    failed = failed_guardrails(verdict)
    return _shorten(f"{text}, failed: {', '.join(failed)}" if failed else text, LONGEST_LINE)


def markdown(
    verdict: Verdict,
    facts: Mapping[str, str],
    names: tuple[str, str] = ("champion", "challenger"),
) -> str:
    """Verdict, reasons, numbers, guardrails and slices, on one page at most.

    Args:
        verdict: The verdict to describe.
        facts: What the reader must know to trust the comparison: text by title.
        names: What to call champion and challenger.
    """
    effect, lower, upper = align(verdict.effect_size, verdict.ci_lower, verdict.ci_upper)
    numbers = [
        (f"{verdict.metric} of {names[0]}", number(verdict.champion)),
        (f"{verdict.metric} of {names[1]}", number(verdict.challenger)),
        ("effect", effect),
        (f"{percent(verdict.confidence_level)} interval", f"{lower} to {upper}"),
        ("required effect", number(verdict.min_effect_size)),
        ("p-value", f"{number(verdict.pvalue)} (alpha {number(verdict.alpha)})"),
        ("rows", f"{verdict.n_rows:,}, {verdict.n_positives:,} positives"),
        *([("campaign", standing(verdict))] if verdict.campaign else []),
    ]
    parts = [
        f"**{verdict.verdict}**: {_escape(headline(verdict, names))}",
        "\n".join(f"- {_escape(reason)}" for reason in verdict.reasons),
        _table(("number", "value"), numbers),
    ]
    if verdict.guardrails:
        rows = [(item.name, item.status, item.sentence) for item in verdict.guardrails]
        parts.append(_table(("guardrail", "status", "result"), rows))
    if verdict.slices:
        parts.append(_slices(verdict))
    if facts:
        parts.append("\n".join(f"- {_escape(k)}: {_escape(v)}" for k, v in facts.items()))
    return "\n\n".join(parts) + "\n"


def _slices(verdict: Verdict) -> str:
    judged, too_small = sort_slices(verdict)
    rows = [
        (
            item.name,
            item.status,
            align(item.effect_size, item.ci_lower, item.ci_upper)[0],
            number(item.possible_loss),
        )
        for item in judged[:SLICES_IN_NOTE]
    ]
    left, small = len(judged) - len(rows), len(too_small)
    rest = [f"{left} that do better"] * bool(left) + [f"{small} too small to judge alone"] * bool(
        small
    )
    table = _table(("slice", "status", "effect", "loss not ruled out"), rows) if rows else ""
    return "\n\n".join(
        filter(None, (table, f"Slices not shown: {', '.join(rest)}." if rest else ""))
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escape(text: str) -> str:
    """One line that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
