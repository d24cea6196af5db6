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
from retraining.cli.command import StepCommand
from retraining.comparison import contenders, evidence
from retraining.comparison.scores import ROLES
from retraining.gate import decision
from retraining.gate.strategies import STRATEGIES
from retraining.report import page, summary
from retraining.spark.session import open_session
from retraining.statistics.metrics import METRICS
from retraining.tracking import lineage, registry

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from retraining.comparison.contenders import Contest
    from retraining.comparison.scores import Comparison
    from retraining.gate.verdict import Verdict

_SHARE = options.Optional(click.FloatRange(0, 1, min_open=True, max_open=True))


@click.command(cls=StepCommand)
@options.data
@options.model_name
@options.option("--champion", "Model URI. Empty: the alias champion.", type=options.STRING)
@options.option(
    "--challenger",
    "Model URI. Empty: what tune made in the cycle that is named, else the alias challenger.",
    type=options.STRING,
)
@options.option(
    "--scores",
    "Parquet with label, champion, challenger[, weight, unit, day, slice columns]: compared "
    "instead of models.",
    type=options.STRING,
)
@options.option(
    "--replay",
    "Id of an ab_test run: its scores are judged again, without scoring and without consequence.",
    type=options.STRING,
)
@options.option(
    "--slice", "COLUMN=VALUE: judge these rows alone. Empty: all rows.", type=options.STRING
)
@options.option(
    "--metric", "Empty: as described.", type=options.Optional(click.Choice(sorted(METRICS)))
)
@options.option(
    "--strategy",
    "Empty: as described; with another metric than auroc, influence. Rules of earlier systems "
    "say what they would do, but nothing is promoted on them: "
    + "; ".join(
        f"{name} promotes {strategy.false_promotion_rate.describe()}"
        for name, strategy in STRATEGIES.items()
        if not strategy.valid
    )
    + ".",
    type=options.Optional(click.Choice(list(STRATEGIES))),
)
@options.option(
    "--alpha", "Greatest chance of a false promotion. Empty: as described.", type=_SHARE
)
@options.option(
    "--min-effect-size",
    "Gain in the metric below which a promotion is not worth it. Empty: as described.",
    type=options.Optional(click.FLOAT),
)
@options.option(
    "--register",
    "Tag both versions with the verdict and charge the test to the ledger, so that promote may "
    "follow it. false: the registry stays untouched.",
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
