"""Move the alias `champion` if the verdict says so and the registry has not changed since.

Reads the verdict of an ab_test run. Before the move it checks that the champion is still the one
that was tested, and lets the challenger score some rows of the holdout. Writes on the version who
moved the alias, when and why; repeating it changes nothing. `--action rollback` gives the alias
back to the previous champion. `--action appoint` gives it to a version of a model that has lost its
champion, without a test: a person decides, and says why.

    mlflow run . --env-manager uv -e promote
    python steps/promote.py --verdict-run RUN_ID --dry-run true
    mlflow run . --env-manager uv -e promote -P action=rollback -P model_name=fraud
    python steps/promote.py --action appoint --model-name fraud --version 3 --reason "it served"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from retraining.cli import options
from retraining.cli.command import StepCommand, examples, open_run

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEXT = "next"


@click.command(cls=StepCommand, epilog=examples(__doc__))
@options.option(
    "--action",
    "promote: follow the verdict; rollback: return to the previous champion; "
    "appoint: make a version champion of a model that has none.",
    type=click.Choice(["promote", "rollback", "appoint"]),
    default="promote",
)
@options.option(
    "--verdict-run", "Id of the ab_test run to follow. Default: the ab_test run of the cycle."
)
@options.option(
    "--model-name",
    "Name of the registered model. Default: the model of the verdict; for a rollback, the model "
    "that was registered last.",
    type=options.Name(),
)
@options.option(
    "--version",
    "Number of the version to appoint, or `next` for the one that train registers next.",
)
@options.option("--reason", "Why this version is appointed, for the record.")
@options.option(
    "--max-age-days",
    "Refuse a verdict that is older than this many days.",
    type=click.FloatRange(min=0),
    default="30",
)
@options.option(
    "--dry-run", "true: say what would happen and move nothing.", type=click.BOOL, default="false"
)
@options.pipeline_id
@options.spark_master
def promote(
    *,
    action: str,
    verdict_run: str | None,
    model_name: str | None,
    version: str | None,
    reason: str | None,
    max_age_days: float,
    dry_run: bool,
    pipeline_id: str | None,
    spark_master: str | None,
) -> None:
    """Move the champion alias as a verdict says, or as a person does."""
    _check_options(action, version, {"model_name": model_name, "reason": reason})
    with open_run(pipeline_id) as run:
        from retraining.comparison import succession

        if version and model_name and reason:
            move = succession.appoint(
                run, name=model_name, number=version, reason=reason, dry_run=dry_run
            )
        elif action == "rollback":
            move = succession.roll_back(run, model_name=model_name, dry_run=dry_run)
        else:
            move = succession.follow_verdict(
                run,
                verdict_run=verdict_run,
                model_name=model_name,
                max_age_days=max_age_days,
                dry_run=dry_run,
                spark_master=spark_master,
            )
        run.write(move)


def _check_options(action: str, version: str | None, more: Mapping[str, str | None]) -> None:
    if action != "appoint":
        if version or more["reason"]:
            raise click.UsageError(f"version and reason belong to appoint, not to {action}")
        return
    if missing := [name for name, value in {"version": version, **more}.items() if not value]:
        raise click.UsageError(f"action=appoint also needs {', '.join(missing)}")
    if version and version != _NEXT and not re.fullmatch(r"\d{1,9}", version):
        raise click.BadParameter(
            f"{version!r} is neither the number of a version nor {_NEXT}", param_hint="version"
        )


if __name__ == "__main__":
    promote()
