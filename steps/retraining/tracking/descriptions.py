"""From the name of a data set description to its content, without MLflow where possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retraining.errors import RetrainingError
from retraining.tracking.checkout import ROOT

if TYPE_CHECKING:
    from retraining.description.document import Description

DESCRIPTIONS = ROOT / "steps" / "datasets"
SUFFIXES = (".yaml", ".yml")  # of a path; anything else is a name


def read_description(source: str) -> Description:
    """Read a description by its name in steps/datasets, by its path, or from a run's artifacts.

    Raises:
        RetrainingError: If there is none, or it is not valid.
    """
    from retraining.description import reading

    if source.startswith("runs:/"):
        from retraining.tracking import inputs

        return reading.load(inputs.download(source))
    if source.endswith(SUFFIXES):
        return reading.load(source)
    path = DESCRIPTIONS / f"{source}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in DESCRIPTIONS.glob("*.yaml")))
        raise RetrainingError(
            f"there is no data set description {source!r}",
            f"name one of {names}, or the path of a .yaml file",
        )
    return reading.load(path)
