"""Compare challenger and champion on the same unseen rows, and say what follows.

Reads the split `holdout` of a prepared data set and two registered models (default: the two
aliases), a table of scores, or the scores that an earlier run kept. Logs the verdict with its
reasons (`verdict.json`, tag `verdict`), the policy, the scores and an HTML report; tags both
versions and charges the test to the model's ledger. It moves no alias: that is `promote`.

    mlflow run . -e ab_test
    python steps/ab_test.py --champion models:/fraud/3 --challenger models:/fraud/5
    spark-submit steps/ab_test.py --scores scores.parquet --metric log_loss
    mlflow run . -e ab_test -P replay=RUN_ID -P alpha=0.01
"""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import mlflow
import numpy as np
import pandas as pd

from retraining.cli import options
from retraining.cli.command import StepCommand, examples
from retraining.comparison import contenders, evidence
from retraining.comparison.scores import ROLES
from retraining.gate import decision
from retraining.report import page, summary
from retraining.spark.session import open_session
from retraining.tracking import lineage, registry

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.comparison.contenders import Contest
    from retraining.comparison.scores import Comparison
    from retraining.gate.verdict import Verdict

# Names of the library, which takes a second to import; a test holds them equal.
METRICS = ("auroc", "auprc", "log_loss", "brier", "f1", "recall_at_capacity", "expected_cost")
UNSOUND = ("subsample_ttest", "disjoint_split", "interval_overlap")
STRATEGIES = ("delong", "influence", "paired_bootstrap", "nadeau_bengio", *UNSOUND)


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.data
@options.model_name
@options.option("--champion", "Model URI. Default: the version with the alias champion.")
@options.option(
    "--challenger",
    "Model URI. Default: if a cycle is given, the version that its tune run registered; else the "
    "version with the alias challenger.",
)
@options.option(
    "--scores",
    "Parquet file to compare instead of two models, with columns label, champion, challenger, "
    "and optionally weight, unit, day and slice columns.",
)
@options.option(
    "--replay",
    "Id of an ab_test run whose scores are compared again, under the policy given here. "
    "Nothing is promoted on the result.",
)
@options.option(
    "--slice",
    "Compare only rows with COLUMN=VALUE. Nothing is promoted on the result. Default: all rows.",
)
@options.option(
    "--metric",
    "Metric to compare by. Default: gate.metric of the description.",
    type=click.Choice(METRICS),
)
@options.option(
    "--strategy",
    "Decision rule. Default: gate.strategy of the description, or influence if that does not "
    f"serve the metric. {', '.join(UNSOUND)} are for comparison only: nothing is promoted on them.",
    type=click.Choice(STRATEGIES),
)
@options.alpha
@options.option(
    "--min-effect-size",
    "Gain in the metric that a promotion must exceed. "
    "Default: gate.min_effect_size of the description.",
    type=click.FloatRange(min=0),
)
@options.option(
    "--register",
    "Whether to tag both versions with the verdict and charge the test to the ledger, so that "
    "promote can follow it. false: leave the registry unchanged.",
    type=click.BOOL,
    default="true",
)
@options.seed
@options.pipeline_id
@options.spark_master
def ab_test(**parameters: object) -> None:
    """Test whether the challenger is better than the champion."""
    sources = ("scores", "replay")
    for name in sources:
        others = ("data", *ROLES, *sources)
        if parameters[name] and any(parameters[other] for other in others if other != name):
            raise click.BadParameter(
                "is compared by itself: give no data, models, scores or replay beside it",
                param_hint=name,
            )
    with lineage.open_step("ab_test", parameters) as run:
        compare(run, **parameters)  # type: ignore[arg-type]
        click.echo(f"ab_test: {run.summary}")


def compare(
    run: lineage.StepRun,
    *,
    data: str | None,
    model_name: str | None,
    champion: str | None,
    challenger: str | None,
    scores: str | None,
    replay: str | None,
    slice: str | None,  # noqa: A002 (the parameter's name)
    register: bool,
    seed: int,
    spark_master: str | None,
    **policy: Any,  # noqa: ANN401 (what the caller said of the gate)
) -> None:
    """Score, decide, log; the result line goes to `run.summary`."""
    run.pin(register="false")
    overrides = {key: policy[key] for key in ("metric", "strategy", "alpha", "min_effect_size")}
    with ExitStack() as stack:

        def spark(*paths: str) -> SparkSession:
            return stack.enter_context(open_session("ab_test", spark_master, paths))

        if replay:
            found: Contest | None = contenders.of_replay(run, spark, replay, overrides)
        elif scores:
            found = contenders.of_scores(run, spark, scores, overrides)
        else:
            told = (data, model_name, champion, challenger)
            binding = register and not slice
            found = contenders.of_models(run, spark, *told, overrides, binding=binding)
        if found is None:
            return
        if not found.comparison.n_rows:
            _conclude_nothing(run, found)
            return
        judged = evidence.gather(found.comparison, found.policy, slice)
    judgement = decision.judge(
        judged, found.policy, ledger=found.spending, rng=np.random.default_rng(seed)
    )
    if slice:
        found.facts["slice"] = slice
    _log(run, found, judged, judgement)
    if register:
        _record(run, found, judgement.verdict)
    run.summary = summary.line(judgement.verdict, found.names)


def _conclude_nothing(run: lineage.StepRun, found: Contest) -> None:
    """Say that no row is left to compare on: a cycle of the past has met a later champion."""
    n_holdout = found.comparison.n_holdout
    reason = f"All {n_holdout:,} rows of the holdout were used to train one of the models."
    mlflow.log_metrics({"n_rows": 0, "n_holdout": n_holdout, "n_excluded": n_holdout})
    mlflow.set_tags({"verdict": "inconclusive", "verdict.reasons": reason})
    if found.test is not None:
        mlflow.set_tag("verdict.binding", "true")
    run.summary = f"{' against '.join(reversed(found.names))}: inconclusive. {reason}"


def _log(
    run: lineage.StepRun,
    found: Contest,
    judged: decision.Evidence,
    judgement: decision.Judgement,
) -> None:
    verdict, table = judgement.verdict, found.comparison
    numbers = verdict.to_mapping()
    mlflow.log_dict(numbers, "verdict.json")
    # With the alpha that the ledger left, so that a replay asks the same.
    used = dataclasses.replace(found.policy, alpha=verdict.alpha)
    mlflow.log_dict(dataclasses.asdict(used), "policy.json")
    measured = {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}
    counts = {"n_holdout": table.n_holdout, "n_excluded": table.n_excluded}
    values = evidence.metric_values(judged)
    values |= {f"{role}_{verdict.metric}": getattr(verdict, role) for role in ROLES}
    mlflow.log_metrics(
        {**measured, **counts, **values, **table.unit_precision, **judgement.measured}
    )
    html = page.render(
        verdict,
        judged.rows,
        effects=judgement.effects if judgement.effects.size else None,
        facts=found.facts,
        commands={
            "Make the same comparison again, from the same code, data and models": (
                f"mlflow run . -e reproduce -P run_id={run.run_id}"
            ),
            "Judge the same scores by another policy": (
                f"mlflow run . -e ab_test -P replay={run.run_id} -P alpha=0.01"
            ),
        },
        names=found.names,
    )
    mlflow.log_text(html, "report.html")
    run.details = summary.markdown(verdict, found.facts, found.names)
    for name, columns in judgement.tables.items():
        mlflow.log_text(pd.DataFrame(columns).to_csv(index=False), name)
    mlflow.set_tags(
        {
            "verdict": verdict.verdict,
            "verdict.reasons": " ".join(verdict.reasons),
            "scores_uri": _keep_scores(run, table),
            **{f"compared.{r}": n for r, n in zip(ROLES, found.names, strict=True)},
        }
    )


def _keep_scores(run: lineage.StepRun, table: Comparison) -> str:
    """Keep the scores on the run, unless they are kept elsewhere already."""
    if not isinstance(table.scores, pd.DataFrame) or table.uri:
        return table.uri
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        table.scores.to_parquet(path, index=False, compression="zstd")
        mlflow.log_artifact(str(path))
    return f"runs:/{run.run_id}/scores.parquet"


def _record(run: lineage.StepRun, found: Contest, verdict: Verdict) -> None:
    """Tag both versions, charge the ledger, and only then let promote follow the verdict."""
    for role, registered in found.versions.items():
        registry.tag(
            registered.version,
            {
                "ab_test.role": role,
                "ab_test.verdict": verdict.verdict,
                "ab_test.run_id": run.run_id,
            },
        )
    if found.test is not None:
        charged = found.test._replace(alpha=verdict.alpha)
        registry.record_test(found.versions["champion"].version.name, charged)
        mlflow.set_tag("verdict.binding", "true")


if __name__ == "__main__":
    ab_test()
