"""Spark ML pipelines built from a data set description; a fit is the same on every cluster."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pyspark.errors import IllegalArgumentException
from pyspark.ml import PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import functions as F

from retraining.data.columns import is_positive
from retraining.data.splitting.splits import check_classes
from retraining.description.names import FEATURES, LABEL
from retraining.errors import RetrainingError, reason
from retraining.models import vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.ml.base import Estimator
    from pyspark.sql import DataFrame

    from retraining.description.document import Description

WEIGHT = "_weight"

# A fit adds up one partial sum per partition, in the order in which they finish. Two of them give
# the same total in either order, so with up to twice this many rows a fit is repeatable to the last
# bit; with more rows, sums may differ in the last digits from run to run, on any cluster.
ROWS_PER_PARTITION = 500_000

_ESTIMATORS: dict[str, Any] = {
    "DecisionTreeClassifier": DecisionTreeClassifier,
    "GBTClassifier": GBTClassifier,
    "LogisticRegression": LogisticRegression,
    "RandomForestClassifier": RandomForestClassifier,
}
_SHOWN_PARAMETERS = (
    "elasticNetParam",
    "featureSubsetStrategy",
    "impurity",
    "maxBins",
    "maxDepth",
    "maxIter",
    "minInstancesPerNode",
    "numTrees",
    "regParam",
    "stepSize",
    "subsamplingRate",
)


class ClassWeights(NamedTuple):
    """Weight of a row by its class, computed from the training rows alone."""

    negative: float
    positive: float


def class_weights(description: Description, n_rows: float, n_positives: float) -> ClassWeights:
    """Weights of the classes: 1, or such that both classes have the same total weight.

    Args:
        description: Says which.
        n_rows: What the training rows count for: their number, or the sum of their weights.
        n_positives: The same of the positives.

    Raises:
        RetrainingError: If the training rows hold only one class.
    """
    check_classes(n_rows, n_positives)
    if description.class_weights == "none":
        return ClassWeights(1.0, 1.0)
    return ClassWeights(n_rows / (2 * (n_rows - n_positives)), n_rows / (2 * n_positives))


def prepare(
    frame: DataFrame, description: Description, weights: ClassWeights, n_rows: int
) -> DataFrame:
    """Add label and weight, and order the rows so that a fit on them is repeatable.

    The weight is that of the row's class, times its own if the description names a column for it.

    Bagging and the sums of a fit depend on the partition and the order of the rows. Here both are
    determined by the row keys and the number of rows, not by files, cores or the cluster.
    """
    partitions = max(2, math.ceil(n_rows / ROWS_PER_PARTITION))
    label = is_positive(description.label)
    weight = F.when(label, weights.positive).otherwise(weights.negative)
    if description.weight is not None:
        weight = weight * F.col(description.weight)
    return (
        frame.withColumn(LABEL, label.cast("double"))
        .withColumn(WEIGHT, weight)
        .repartition(partitions, *description.key_columns)
        .sortWithinPartitions(*description.key_columns)
    )


def estimator(name: str, parameters: Mapping[str, object], seed: int) -> Estimator[Any]:
    """A classifier by its Spark name.

    Raises:
        RetrainingError: If it has no such parameter or does not accept the value.
    """
    classifier = _ESTIMATORS[name](labelCol=LABEL, featuresCol=FEATURES, weightCol=WEIGHT)
    given = dict(parameters)
    if classifier.hasParam("seed"):
        given["seed"] = seed
    for key, value in given.items():
        if not classifier.hasParam(key):
            allowed = ", ".join(sorted(p.name for p in classifier.params))
            raise RetrainingError(f"{name} has no parameter {key!r}", f"allowed: {allowed}")
        try:
            classifier.set(classifier.getParam(key), value)
        except (TypeError, ValueError) as error:
            raise RetrainingError(
                f"{name}: {key}={value!r}: {error}", "correct the value"
            ) from error
    return classifier  # type: ignore[no-any-return]


def is_linear(name: str) -> bool:
    """Whether the estimator needs one-hot categories."""
    return name == "LogisticRegression"


def fit(train: DataFrame, description: Description, classifier: Estimator[Any]) -> PipelineModel:
    """Fit encoder and classifier on rows from `prepare`; the result is one flat pipeline.

    Raises:
        RetrainingError: If Spark rejects the value of a parameter, which it checks only in a fit.
    """
    name = type(classifier).__name__
    encoding = vectors.fit(train, description, linear=is_linear(name))
    vectors.check_categories(encoding, classifier)
    try:
        return joined(encoding, classifier.fit(vectors.of_train(encoding, train, description)))
    except IllegalArgumentException as error:
        raise RetrainingError(
            f"{name}: {reason(error)}", "correct the parameters of the estimator"
        ) from error


def joined(encoding: PipelineModel, model: Any) -> PipelineModel:  # noqa: ANN401 (Spark's models)
    """One flat pipeline of the fitted encoder and the fitted classifier."""
    return PipelineModel(stages=[*encoding.stages, model])


def shown_parameters(model: PipelineModel) -> dict[str, str]:
    """Parameters of the classifier, read from the fitted stage, not from what was configured."""
    classifier: Any = model.stages[-1]
    return {
        name: str(classifier.getOrDefault(name))
        for name in _SHOWN_PARAMETERS
        if classifier.hasParam(name) and classifier.isDefined(name)
    }


def importances(model: PipelineModel) -> dict[str, float]:
    """The share of each feature column in what the classifier makes of them, the largest first.

    Of trees it is Spark's `featureImportances`, of a linear model on scaled features the absolute
    coefficient; categories of one column are added up. Empty where coefficients have other units.
    """
    fitted: list[Any] = list(model.stages)
    *encoding, classifier = fitted
    if hasattr(classifier, "featureImportances"):
        amounts = classifier.featureImportances.toArray()
    elif isinstance(encoding[-1], VectorAssembler):
        return {}
    else:
        amounts = np.abs(classifier.coefficients.toArray())
    names = vectors.slots(encoding)
    total = float(np.sum(amounts)) or 1.0
    shares: dict[str, float] = dict.fromkeys(names, 0.0)
    for name, value in zip(names, amounts, strict=True):
        shares[name] += float(value) / total
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def fitted_parameters(model: PipelineModel, description: Description) -> dict[str, str]:
    """Parameters to log."""
    return {
        "input_columns": str(list(description.file_columns)),
        "target": description.label.column,
        "features": str(list(description.feature_columns)),
        **shown_parameters(model),
        **{f"stage_{i}": type(stage).__name__ for i, stage in enumerate(model.stages)},
    }
