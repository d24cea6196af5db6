"""What a comparison writes: on its run, and in the registry."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd

from retraining.comparison import endings, evidence
from retraining.comparison.columns import ROLES
from retraining.comparison.contest import FACTS
from retraining.digests import digest_of_files
from retraining.report import page, summary
from retraining.tracking import commands, registry, tags
from retraining.tracking.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retraining.comparison.charges import Charge
    from retraining.comparison.contenders import Contenders
    from retraining.comparison.contest import Contest, Untested
    from retraining.comparison.scores import Comparison
    from retraining.gate.decision import Decision, Evidence
    from retraining.gate.fields import Outcome
    from retraining.gate.policy import Policy
    from retraining.gate.verdict import Verdict


@dataclass(frozen=True)
class Compared(Result):
    """What came out of a comparison.

    Attributes:
        names: What to call champion and challenger.
        contenders: The two versions; None where scores were read.
        outcome: The verdict.
        reasons: Why, in sentences.
        line: Outcome and numbers in one line.
        numbers: Metrics by name.
        scores_uri: Where the scores are kept; "" where there are none.
        scores_digest: Of the files there.
        report: Markdown.
        charge: What the test costs; None where nothing may follow from it.
        looked: Tags of the run whose scores were judged again.
        campaign: Where the campaign stands, in few words; "" where there is none.
    """

    names: tuple[str, str]
    contenders: Contenders | None
    outcome: Outcome
    reasons: str
    line: str
    numbers: Mapping[str, float]
    scores_uri: str = ""
    scores_digest: str = ""
    report: str = ""
    charge: Charge | None = None
    looked: Mapping[str, str] = field(default_factory=dict)
    campaign: str = ""

    @property
    def summary(self) -> str:
        """Outcome and numbers in one line."""
        return self.line

    @property
    def details(self) -> str:
        """The report in Markdown."""
        return self.report

    @property
    def metrics(self) -> Mapping[str, float]:
        """All numbers."""
        return self.numbers

    @property
    def tags(self) -> Mapping[str, str]:
        """The verdict, what was compared, and whether promote may follow."""
        named = {
            tags.VERDICT: self.outcome,
            tags.REASONS: self.reasons,
            **{tags.COMPARED + r: n for r, n in zip(ROLES, self.names, strict=True)},
        }
        if self.scores_uri:
            named[tags.SCORES_URI] = self.scores_uri
        if self.scores_digest:
            named[f"{tags.FILES}scores"] = self.scores_digest
        if self.contenders:
            named[tags.MODEL_NAME] = self.contenders.champion.name
        if self.campaign:
            named[tags.CAMPAIGN] = self.campaign
        named |= self.looked
        if self.charge:
            named |= {tags.BINDING: tags.TRUE, tags.CHARGE: self.charge.entry.write()}
        return named


def untested(found: Untested) -> Compared:
    """What is written where two models were not tested; the ledger keeps a test without alpha."""
    charge = found.charge and found.charge.drop()
    names = found.contenders.names if found.contenders else ROLES
    return Compared(
        names,
        found.contenders,
        outcome="inconclusive",
        reasons=found.reason,
        line=f"{' against '.join(reversed(names))}: inconclusive. {found.reason}",
        numbers=found.numbers,
        charge=charge,
    )


def log(run_id: str, contest: Contest, judged: Evidence, decision: Decision) -> Compared:
    """Log the artifacts of a comparison on the active run: verdict, policy, report and scores.

    Args:
        run_id: Id of that run.
        contest: What was compared.
        judged: The rows that were judged.
        decision: What the gate decided.
    """
    verdict = decision.verdict
    mlflow.log_dict(verdict.to_mapping(), "verdict.json")
    mlflow.log_dict(dataclasses.asdict(contest.policy), "policy.json")
    mlflow.log_dict(dict(contest.facts), FACTS)
    html = page.render(
        verdict,
        judged.rows,
        effects=decision.effects if decision.effects.size else None,
        facts=contest.facts,
        commands={
            "Make the same comparison again, from the same code, data and models": (
                commands.show("reproduce", {"run_id": run_id})
            ),
            "Judge the same scores by another policy": (
                commands.show("ab_test", {"replay": run_id, "alpha": "0.01"})
            ),
        },
        names=contest.names,
    )
    mlflow.log_text(html, "report.html")
    for name, columns in decision.tables.items():
        mlflow.log_text(pd.DataFrame(columns).to_csv(index=False), name)
    scores_uri, scores_digest = _keep_scores(run_id, contest.comparison)
    return Compared(
        contest.names,
        contest.contenders,
        outcome=verdict.verdict,
        reasons=" ".join(verdict.reasons),
        line=summary.line(verdict, contest.names),
        numbers=numbers(contest.comparison, judged, decision, contest.policy),
        scores_uri=scores_uri,
        scores_digest=scores_digest,
        report=summary.markdown(verdict, contest.facts, contest.names),
        charge=_charge(contest.charge, verdict),
        looked=contest.looked,
        campaign=summary.standing(verdict),
    )


def _charge(reserved: Charge | None, verdict: Verdict) -> Charge | None:
    """What a test costs: nothing where rows or units were too few to decide on any effect."""
    if reserved is None:
        return None
    too_few = any(
        c.name == "minimum_positives" and c.status == "failed" for c in verdict.guardrails
    )
    if verdict.campaign:
        effect, error = verdict.effect_size, verdict.standard_error
        return reserved.judge(verdict.campaign, effect, error, costs=not too_few)
    return reserved.drop() if too_few else reserved


def numbers(
    comparison: Comparison, judged: Evidence, decision: Decision, policy: Policy
) -> dict[str, float]:
    """The metrics of a comparison: those of the verdict, of both models, and of the strategy."""
    verdict = decision.verdict
    decided = {k: float(v) for k, v in verdict.to_mapping().items() if isinstance(v, int | float)}
    primary = {f"{role}_{verdict.metric}": getattr(verdict, role) for role in ROLES}
    # The verdict has the exact value of the primary metric where the rows are cells; the rules of
    # earlier systems write what they measured under the names that those used, as champion_f1.
    taken = {*primary, *decision.measured}
    other = {k: v for k, v in evidence.metric_values(judged, policy).items() if k not in taken}
    return merge(
        {
            "the verdict": decided,
            "the holdout": {
                "n_holdout": comparison.n_holdout,
                "n_excluded": comparison.n_excluded,
            },
            "the primary metric": primary,
            "the other metrics": other,
            "the capacity": comparison.unit_precision,
            "the strategy": decision.measured,
        }
    )


def merge(sources: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The metrics of all sources.

    Raises:
        ValueError: If two of them write one metric.
    """
    writers: dict[str, str] = {}
    merged: dict[str, float] = {}
    for source, metrics in sources.items():
        for name, value in metrics.items():
            if name in merged:
                raise ValueError(f"metric {name!r} comes from {writers[name]} and from {source}")
            merged[name], writers[name] = value, source
    return merged


def write_registry(run_id: str, compared: Compared) -> None:
    """Tag both versions with a verdict that may be followed, and charge what the test used."""
    if compared.contenders is None or compared.charge is None:
        return
    compared.charge.settle()
    for role, version in compared.contenders._asdict().items():
        marks = {
            tags.TESTED_AS: role,
            tags.TESTED_VERDICT: compared.outcome,
            tags.TESTED_BY: run_id,
        }
        registry.tag(version, marks)
    endings.show(compared.charge.entry, compared.reasons)


def _keep_scores(run_id: str, comparison: Comparison) -> tuple[str, str]:
    """Keep the scores on the run, unless they are kept elsewhere already: where, and the digest."""
    if not isinstance(comparison.scores, pd.DataFrame) or comparison.uri:
        return comparison.uri, comparison.digest
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        comparison.scores.to_parquet(path, index=False, compression="zstd")
        mlflow.log_artifact(str(path))
        return f"runs:/{run_id}/scores.parquet", digest_of_files(path)
