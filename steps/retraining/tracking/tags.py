"""Every tag that the steps write: on runs, on model versions and on registered models.

The sentence under a name says on what the tag is set and what its value means;
`docs/reference/tags.md` is made from it. Names that end in a dot begin the names of a group. Tags
that MLflow itself defines have their names in `mlflow.utils.mlflow_tags`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP: Final = "step"
"""Run, version: the entry point of MLproject that ran; `trial` for the trials of a search."""

CYCLE_ID: Final = "cycle_id"
"""Run, version: the cycle that the run belongs to (the parameter `pipeline_id`)."""

IDENTITY: Final = "identity"
"""Run, version: digest of entry point, parameters, inputs and code; equal runs are reused."""

REUSED_FROM: Final = "reused_from"
"""Run: id of the earlier run whose results this run reuses; absent where the step did its work."""

REPRODUCES: Final = "reproduces"
"""Run: id of the run that this run repeats for `reproduce`."""

PINNED: Final = "pinned"
"""Run: the parameters (JSON object) that make a repetition read exactly what this run read."""

INPUT: Final = "input."
"""Run: one tag for each input that the step used, for example `input.data`, `input.champion`."""

FINGERPRINT: Final = "fingerprint."
"""Run, version: digest of the rows of a split, of raw files or of scores, by their name."""

FILES: Final = "files."
"""Run, version: digest of stored files (`files.model`, `files.scores`), compared when they are
read."""

HOLDOUT: Final = "holdout."
"""Run: `holdout.start` and `holdout.end`, the time of the rows that `ab_test` compared by."""

FAILURE: Final = "failure"
"""Run: why the step or the trial failed, in one line."""

SUMMARY: Final = "result.summary"
"""Run: the result of the step in one line."""

OUTCOME: Final = "result.outcome"
"""Run: what `promote` did: `promoted`, `kept`, `rolled_back` or `appointed`."""

COMPARISON: Final = "result.comparison"
"""Run: `identical`, or how many differences `reproduce` found."""

DATASET: Final = "dataset"
"""Run: name of the data set description that `preprocess` worked by, or that `describe` wrote."""

DATASET_URI: Final = "dataset_uri"
"""Run: folder of the data set that `preprocess` wrote."""

DATA_ROOT: Final = "data_root"
"""Run: folder under which `preprocess` keeps its data sets."""

PREPARATION_DIGEST: Final = "preparation_digest"
"""Run: digest of what decides rows and features in the description; equal ones share their days."""

LEAKS: Final = "possible_leaks"
"""Run: features that by themselves order the training rows of `preprocess` so well (AUROC above
0.95) that they may hold the label itself; absent where there is none."""

DESCRIPTION_DIGEST: Final = "description_digest"
"""Run, version: digest of the whole data set description."""

OUTPUT: Final = "output"
"""Run: folder to which `simulate` wrote its days, or file that `describe` wrote."""

PREDICTIONS_URI: Final = "predictions_uri"
"""Run: folder to which `predict` wrote its scores."""

SCORES_URI: Final = "scores_uri"
"""Run: where the scores that `ab_test` compared are kept."""

REGISTERED: Final = "registered"
"""Run: `true` if the step registered its model."""

MODEL_NAME: Final = "model_name"
"""Run: the registered model that the step made, tested (the champion's), moved or scored with."""

MODEL_VERSION: Final = "model_version"
"""Run: the version that the step registered."""

CHALLENGER_VERSION: Final = "challenger_version"
"""Run: the version that challenges in the cycle of a `tune` run: its own, or another one whose
campaign goes on, or that is better."""

CHAMPION_ON_VALIDATION: Final = "champion_on_validation"
"""Run: the champion's metric on the validation rows of a `tune` run: `auroc 0.7559 of
models:/fraud/1`."""

TRAINED_UNTIL: Final = "trained_until"
"""Version: the end of the data that the model was trained and selected on; empty without time."""

VERDICT: Final = "verdict"
"""Run: `promote`, `keep_champion` or `inconclusive`; set by `ab_test`, repeated by `main`."""

REASONS: Final = "verdict.reasons"
"""Run: the reasons of the verdict, in sentences."""

BINDING: Final = "verdict.binding"
"""Run: `true` if `promote` may follow the verdict: the test is charged to the model's ledger."""

CHARGE: Final = "verdict.charge"
"""Run: the entry (JSON) that the test has in the ledger of its model."""

COMPARED: Final = "compared."
"""Run: what reports call the two models: `compared.champion` and `compared.challenger`."""

SEARCH_KEY: Final = "search_key"
"""Run: digest of what every trial of a search depends on; a search takes over equal trials."""

CANDIDATE: Final = "candidate"
"""Run: number, estimator and parameters of a trial."""

CODE_DIGEST: Final = "code.digest"
"""Run: digest of the files that steps run from."""

CODE_DIRTY: Final = "code.dirty"
"""Run: `true` if those files differ from the commit, or nobody can tell."""

PYTHON: Final = "version.python"
"""Run: the version of Python."""

MLFLOW: Final = "version.mlflow"
"""Run: the version of MLflow."""

PYSPARK: Final = "version.pyspark"
"""Run: the version of PySpark."""

TESTED_AS: Final = "ab_test.role"
"""Version: what it was in its newest test: `champion` or `challenger`."""

TESTED_VERDICT: Final = "ab_test.verdict"
"""Version: the verdict of its newest test."""

TESTED_BY: Final = "ab_test.run_id"
"""Version: id of the `ab_test` run of its newest test."""

CAMPAIGN: Final = "campaign"
"""Run, version: where a campaign stands, for example `2 of 8 against version 1: open`."""

WAITS: Final = "challenger.waits"
"""Version: `true` while it waits for a campaign: that of another version goes on, or its own was
ended by a move of the champion."""

MOVED_AT: Final = "champion.moved_at"
"""Version: when it became champion last (ISO 8601, UTC)."""

MOVED_BY: Final = "champion.moved_by"
"""Version: the user who made it champion last."""

MOVED_FROM: Final = "champion.moved_from"
"""Version: the version that was champion before it; empty if there was none."""

MOVED_TO: Final = "champion.moved_to"
"""Version: its own number, as the move named it."""

MOVED_RUN: Final = "champion.run_id"
"""Version: id of the run that made it champion last: of `promote`, or of `train` for the first."""

MOVED_WHY: Final = "champion.why"
"""Version: `verdict of run ID`, `rollback`, `first version`, or `appointed: REASON`."""

MOVING: Final = "champion.moving"
"""Version: why it is about to become champion; absent once it is, and `champion.why` says so."""

NEXT: Final = "champion.next"
"""Model: a person's decision (JSON) that the version that is registered next becomes champion."""

CHAIN_PARAMETERS: Final = "chain.parameters"
"""Run: what the cycle of a `main` run goes on with when it is continued (JSON)."""

CHAIN_STEPS: Final = "chain.steps"
"""Run: ids of the runs of the steps of a `main` run by entry point (JSON)."""

LEDGER: Final = "ab_test.test."
"""Model: one entry of the ledger (JSON) for each test that was charged to the model."""

TRUE: Final = "true"


def boolean(value: bool) -> str:  # noqa: FBT001 (a conversion)
    """The value of a tag that says yes or no."""
    return TRUE if value else "false"


def is_true(carried: Mapping[str, str], name: str, *, absent: bool = False) -> bool:
    """Whether a tag says yes; `absent` is the answer if the tag is not set."""
    return carried.get(name, boolean(absent)) == TRUE
