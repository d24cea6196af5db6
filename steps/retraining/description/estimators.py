"""The parameters of Spark's classifiers, as far as a description may set them.

A typing error is found when a description is read, without Spark and before any data are. A test
compares the names, types and ranges with those of Spark.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retraining.description.document import Description
    from retraining.description.search import EstimatorName, Space

LINEAR: Final = ("LogisticRegression",)

# One-hot encoding makes a coefficient of each value: far more than this are no categories.
MOST_ONE_HOT: Final = 10_000

_TYPES: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_MOST_INT: Final = 2**31 - 1


class Parameter(NamedTuple):
    """The values of a parameter.

    Attributes:
        type: int, float, bool or str.
        low: The least number.
        high: The greatest number.
        open_low: Whether `low` itself is too low.
        open_high: Whether `high` itself is too high.
        other: A number outside the range that is accepted too.
        pattern: Of a text in lower case.
    """

    type: type
    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False
    other: int | None = None
    pattern: str = ""

    def complaint(self, value: bool | float | str) -> str:  # noqa: FBT001 (a value, no switch)
        """What is wrong with a value; an empty text if nothing is."""
        return "" if self._fits(value) else f"{value!r}, allowed: {self.allowed}"

    @property
    def allowed(self) -> str:
        """The values in words."""
        if self.type is str:
            return self.pattern.replace("|", ", ")
        low = "" if self.low == float("-inf") else f"{'above' if self.open_low else 'from'} "
        bounded = self.high not in (float("inf"), _MOST_INT)
        high = f"{'below' if self.open_high else 'to'} " if bounded else ""
        parts = [
            _TYPES[self.type],
            low and f"{low}{self.low:g}",
            high and f"{high}{self.high:g}",
            "" if self.other is None else f"or {self.other}",
        ]
        return " ".join(part for part in parts if part)

    def _fits(self, value: bool | float | str) -> bool:  # noqa: FBT001 (a value, no switch)
        if isinstance(value, bool):
            return self.type is bool
        if isinstance(value, str):
            return self.type is str and re.fullmatch(self.pattern, value.lower()) is not None
        if self.type not in (int, float) or (self.type is int and value != int(value)):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return (above and below) or value == self.other


def _whole(low: int, high: int = _MOST_INT, other: int | None = None) -> Parameter:
    return Parameter(int, low, high, other=other)


_SHARE: Final = Parameter(float, 0, 1, open_low=True)
_SUBSETS: Final = Parameter(
    str, pattern=r"auto|all|onethird|sqrt|log2|[1-9]\d*|0?\.\d*[1-9]\d*|1\.0*"
)
_TREE: Final = {
    "cacheNodeIds": Parameter(bool),
    "checkpointInterval": _whole(1, other=-1),
    "maxBins": _whole(2),
    "maxDepth": _whole(0, 30),
    "maxMemoryInMB": _whole(0),
    "minInfoGain": Parameter(float, 0),
    "minInstancesPerNode": _whole(1),
    "minWeightFractionPerNode": Parameter(float, 0, 0.5, open_high=True),
}
_CLASSES: Final = Parameter(str, pattern="entropy|gini")

PARAMETERS: Final[Mapping[EstimatorName, Mapping[str, Parameter]]] = {
    "DecisionTreeClassifier": {**_TREE, "impurity": _CLASSES},
    "RandomForestClassifier": {
        **_TREE,
        "impurity": _CLASSES,
        "bootstrap": Parameter(bool),
        "featureSubsetStrategy": _SUBSETS,
        "numTrees": _whole(1),
        "subsamplingRate": _SHARE,
    },
    "GBTClassifier": {
        **_TREE,
        "impurity": Parameter(str, pattern="variance"),
        "featureSubsetStrategy": _SUBSETS,
        "lossType": Parameter(str, pattern="logistic"),
        "maxIter": _whole(0),
        "stepSize": _SHARE,
        "subsamplingRate": _SHARE,
        "validationTol": Parameter(float, 0),
    },
    "LogisticRegression": {
        "aggregationDepth": _whole(2),
        "elasticNetParam": Parameter(float, 0, 1),
        "family": Parameter(str, pattern="auto|binomial"),
        "fitIntercept": Parameter(bool),
        "maxBlockSizeInMB": Parameter(float, 0),
        "maxIter": _whole(0),
        "regParam": Parameter(float, 0),
        "standardization": Parameter(bool),
        "threshold": Parameter(float, 0, 1),
        "tol": Parameter(float, 0),
    },
}


def find_problems(description: Description) -> Iterator[tuple[str, str]]:
    """Yield the key and the complaint of each parameter that its estimator does not take."""
    baseline = description.estimator
    for name, value in baseline.parameters.items():
        complaint = _unknown(baseline.name, name)
        if not complaint:
            complaint = PARAMETERS[baseline.name][name].complaint(value)
        if complaint:
            yield f"estimator.parameters.{name}", complaint
    for estimator, spaces in description.search.estimators.items():
        for name, space in spaces.items():
            key = f"search.estimators.{estimator}.{name}"
            if complaint := _unknown(estimator, name):
                yield key, complaint
            else:
                complaints = (text for text in _space(PARAMETERS[estimator][name], space) if text)
                yield from ((f"{key}.{space.kind}", text) for text in complaints)


def category_limits(description: Description) -> dict[str, int]:
    """How many values of a categorical feature each estimator can take, and where that is stated.

    Trees keep one more bin, for values that were not in train.
    """
    baseline = description.estimator
    found = {}
    if baseline.name in LINEAR:
        found[f"one-hot encoding ({baseline.name})"] = MOST_ONE_HOT
    else:
        bins = int(baseline.parameters.get("maxBins", 32))
        found[f"estimator.parameters.maxBins={bins}"] = bins - 1
    for name, spaces in description.search.estimators.items():
        if name in LINEAR:
            found[f"one-hot encoding ({name})"] = MOST_ONE_HOT
        else:
            bins = int(min(spaces["maxBins"].ends)) if "maxBins" in spaces else 32
            found[f"search.estimators.{name}.maxBins={bins}"] = bins - 1
    return found


def _unknown(estimator: EstimatorName, name: str) -> str:
    known = PARAMETERS[estimator]
    if name in known:
        return ""
    if name == "seed":
        return f"{estimator} takes its seed from the option --seed, allowed: {', '.join(known)}"
    by_lower = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    guess = f" (did you mean {by_lower[near[0]]}?)" if near else ""
    return f"{estimator} has no parameter {name!r}{guess}, allowed: {', '.join(known)}"


def _space(parameter: Parameter, space: Space) -> Iterator[str]:
    """Yield what is wrong with the values that a space proposes at its ends, or in a choice."""
    discrete = space.choice is not None
    if not discrete and parameter.type in (bool, str):
        yield f"proposes numbers, allowed: a choice of {parameter.allowed}"
    elif parameter.type is int and space.kind in ("uniform", "loguniform"):
        yield "proposes fractions, allowed: quniform, randint or choice for a whole number"
    elif parameter.type is int and space.quniform and space.quniform[2] != int(space.quniform[2]):
        yield f"step {space.quniform[2]} makes fractions, allowed: a whole number"
    else:
        yield from map(parameter.complaint, space.ends)
