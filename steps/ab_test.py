"""Compare challenger and champion on the same unseen rows, and say what follows.

Reads the split `holdout` of a prepared data set and two registered models (default: the two
aliases), or a table of scores. Logs the verdict with its reasons (`verdict.json`, tag `verdict`),
the scores and an HTML report; tags both versions. It moves no alias: that is `promote`.

    mlflow run . -e ab_test
    python steps/ab_test.py --champion models:/fraud/3 --challenger models:/fraud/5
    spark-submit steps/ab_test.py --scores scores.parquet --metric log_loss
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import mlflow
import numpy as np

from retraining import comparison, decision, inputs, lineage, models, options, registry, report
from retraining.errors import RetrainingError
from retraining.metrics import METRICS
from retraining.session import open_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

    from retraining.comparison import Comparison
    from retraining.models import Registered

_SHARE = options.Optional(click.FloatRange(0, 1, min_open=True, max_open=True))
_MODEL = "Model URI. Empty: the alias of that name."


@click.command(cls=options.StepCommand)
@options.data
@options.model_name
@options.option("--champion", _MODEL, type=options.STRING)
@options.option("--challenger", _MODEL, type=options.STRING)
@options.option(
    "--scores",
    "Parquet with label, champion, challenger[, weight, unit]: compared instead of models.",
    type=options.STRING,
)
@options.option(
    "--metric", "Empty: as described.", type=options.Optional(click.Choice(sorted(METRICS)))
)
@options.option(
    "--strategy",
    "Empty: as described; with another metric than auroc, paired_bootstrap.",
    type=options.Optional(click.Choice(["delong", "paired_bootstrap"])),
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
    "Tag both versions with the verdict. false: the registry stays untouched.",
    type=click.BOOL,
    default="true",
)
@options.seed
@options.pipeline_id
@options.spark_master
def ab_test(**parameters: object) -> None:
    """Test whether the challenger is better than the champion."""
    if parameters["scores"] and any(parameters[name] for name in ("data", *comparison.ROLES)):
        raise click.BadParameter(
            "is compared by itself: give no data, champion or challenger", param_hint="scores"
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
    register: bool,
    seed: int,
    spark_master: str | None,
    **policy: Any,  # noqa: ANN401 (what the caller said of the gate)
) -> None:
    """Score, decide, log; the result line goes to `run.summary`."""
    run.pin(register="false")
    overrides = {key: policy[key] for key in ("metric", "strategy", "alpha", "min_effect_size")}
    with open_session("ab_test", spark_master) as spark:
        if scores:
            run.use("scores", scores)
            table = comparison.read_scores(spark, scores)
            chosen = _policy(decision.Policy(), overrides)
            facts: dict[str, str] = {"scores": scores}
            versions: dict[str, Registered] = {}
        else:
            found = _score_models(run, spark, data, model_name, champion, challenger, overrides)
            if found is None:
                return
            table, chosen, facts, versions = found
    verdict = _decide(table, chosen, seed)
    _log(run, table, verdict, facts)
    if register:
        _tag_versions(versions, run.run_id, verdict.verdict)
    run.summary = (
        f"{verdict.verdict}: {verdict.metric} {verdict.champion:.4f} -> {verdict.challenger:.4f}, "
        f"effect {verdict.effect_size:+.4f} [{verdict.ci_lower:+.4f}, {verdict.ci_upper:+.4f}], "
        f"p {verdict.pvalue:.4g}, {verdict.n_rows:,} rows, {verdict.n_positives:,} positives"
    )


def _score_models(
    run: lineage.StepRun,
    spark: SparkSession,
    data: str | None,
    model_name: str | None,
    champion: str | None,
    challenger: str | None,
    overrides: Mapping[str, Any],
) -> tuple[Comparison, decision.Policy, dict[str, str], dict[str, Registered]] | None:
    prepared = inputs.find_data(run, data)
    manifest = prepared.read(spark)
    description = manifest.describe()
    policy = _policy(description.gate, overrides)
    name = model_name or description.name
    uris = {
        "champion": champion or f"models:/{name}@{registry.CHAMPION}",
        "challenger": challenger or f"models:/{name}@{registry.CHALLENGER}",
    }
    exact = {role: registry.exact_uri(uri) for role, uri in uris.items()}
    if exact["champion"] == exact["challenger"]:
        raise RetrainingError(
            f"champion and challenger are both {exact['champion']}",
            "run tune to get a challenger, or name another model",
        )
    for role, uri in exact.items():
        run.use(role, uri, registry.version_at(uri).run_id)
    run.pin(**exact)
    split = manifest.splits["holdout"]
    mlflow.set_tag("fingerprint.holdout", split.fingerprint)
    if run.reuse({"data": prepared.uri, **exact}):
        return None
    lineage.log_data(
        f"{description.name} holdout", split.uri, split.fingerprint, description, context="holdout"
    )
    versions = {role: models.load(uri) for role, uri in exact.items()}
    options.progress(f"ab_test: both models score {split.n_rows:,} rows of the holdout")
    table = comparison.score_holdout(
        spark, manifest, description, versions["champion"], versions["challenger"]
    )
    facts = {
        **exact,
        "holdout": f"{split.start or 'hash'} to {split.end or 'split'}, {split.uri}",
        "fingerprint of the holdout": split.fingerprint,
        "rows excluded because a model was trained on them": f"{table.n_excluded:,}",
    }
    mlflow.set_tag("model_name", versions["champion"].version.name)
    return table, policy, facts, versions


def _policy(base: decision.Policy, overrides: Mapping[str, Any]) -> decision.Policy:
    told = {key: value for key, value in overrides.items() if value is not None}
    metric = told.get("metric", base.metric)
    if "strategy" not in told and base.strategy == "delong" and metric != "auroc":
        told["strategy"] = "paired_bootstrap"
    return replace(base, **told)


def _decide(table: Comparison, policy: decision.Policy, seed: int) -> decision.Verdict:
    rows = table.table
    return decision.decide(
        rows["label"].to_numpy(),
        rows["champion"].to_numpy(),
        rows["challenger"].to_numpy(),
        policy=policy,
        weight=rows["weight"].to_numpy() if "weight" in rows else None,
        unit=rows["unit"].to_numpy() if "unit" in rows else None,
        rng=np.random.default_rng(seed),
    )


def _log(
    run: lineage.StepRun,
    table: Comparison,
    verdict: decision.Verdict,
    facts: Mapping[str, str],
) -> None:
    numbers = verdict.to_mapping()
    mlflow.log_text(json.dumps(numbers, indent=2), "verdict.json")
    measured = {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}
    counts = {"n_holdout": table.n_holdout, "n_excluded": table.n_excluded}
    values = comparison.metric_values(table.table)
    mlflow.log_metrics({**measured, **counts, **values, **table.unit_precision})
    mlflow.set_tags({"verdict": verdict.verdict, "verdict.reasons": " ".join(verdict.reasons)})
    rows = table.table
    html = report.render(
        verdict,
        *(rows[name].to_numpy() for name in ("label", *comparison.ROLES)),
        facts={**facts, "reproduce": f"mlflow run . -e reproduce -P run_id={run.run_id}"},
        weight=rows["weight"].to_numpy() if "weight" in rows else None,
    )
    mlflow.log_text(html, "report.html")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        table.table.to_parquet(path, index=False, compression="zstd")
        mlflow.log_artifact(str(path))


def _tag_versions(versions: Mapping[str, Registered], run_id: str, verdict: str) -> None:
    for role, registered in versions.items():
        registry.tag(
            registered.version,
            {"ab_test.role": role, "ab_test.verdict": verdict, "ab_test.run_id": run_id},
        )


if __name__ == "__main__":
    ab_test()
