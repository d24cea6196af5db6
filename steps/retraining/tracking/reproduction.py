"""Whether a run and its repetition are the same, and how to repeat one."""

from __future__ import annotations

import filecmp
import json
import math
from typing import TYPE_CHECKING, NamedTuple

from mlflow.projects.utils import load_project

from retraining.tracking import runs, tags

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Run

# A cluster adds up partial sums in the order in which tasks finish, so the last digits of a metric
# may differ. A different model or different rows differ by far more.
RELATIVE_TOLERANCE = 1e-9

_COMPARED_TAGS = (tags.OUTCOME, tags.VERDICT)  # reasons also tell what the ledger left


class Difference(NamedTuple):
    """One value that differs between a run and its repetition."""

    step: str
    kind: str
    name: str
    before: str
    after: str


def parameters(original: Run, folder: str) -> dict[str, str]:
    """What to tell the entry point again: what it was told, and its inputs pinned."""
    step = original.data.tags[tags.STEP]
    project = load_project(folder)  # type: ignore[no-untyped-call]
    accepted = project.get_entry_point(step).parameters
    told = {k: v for k, v in runs.told_parameters(original, accepted).items() if v}
    pinned: dict[str, str] = json.loads(original.data.tags.get(tags.PINNED, "{}"))
    return told | pinned


def env_manager(folder: str, root: Path, recorded: str | None) -> str:
    """This Python if the commit states the same environment, else what made the original."""
    stated = ["conda.yaml", "constraints.txt"]
    same, _, _ = filecmp.cmpfiles(folder, root, stated, shallow=False)
    return "local" if same == stated else (recorded or "uv")


def compare(original: Run, again: Run) -> list[Difference]:
    """Compare parameters that were not pinned, fingerprints, outcomes and metrics.

    Metrics are the same within a relative tolerance of 1e-9; durations are not compared.
    """
    step = original.data.tags[tags.STEP]
    pinned = {"pipeline_id", *json.loads(original.data.tags.get(tags.PINNED, "{}"))}
    found = []
    for kind, old, new in (
        ("parameter", original.data.params, again.data.params),
        ("tag", _compared_tags(original), _compared_tags(again)),
        ("metric", original.data.metrics, again.data.metrics),
    ):
        for name in sorted({*old, *new} - (pinned if kind == "parameter" else set())):
            before, after = old.get(name), new.get(name)
            if not name.startswith("duration") and not _same(before, after):
                found.append(Difference(step, kind, name, str(before), str(after)))
    return found


def table(differences: list[Difference]) -> str:
    """The differences as text, one a line; empty if there are none."""
    return "".join(f"{d.step}: {d.kind} {d.name}: {d.before} -> {d.after}\n" for d in differences)


def _compared_tags(run: Run) -> dict[str, str]:
    return {
        name: value
        for name, value in run.data.tags.items()
        if name in _COMPARED_TAGS or name.startswith(tags.FINGERPRINT)
    }


def _same(before: object, after: object) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        close = math.isclose(before, after, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
        return close or (math.isnan(before) and math.isnan(after))
    return before == after
