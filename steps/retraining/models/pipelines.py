"""Spark ML pipelines as a data set description states them, fitted the same on any cluster."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.errors import IllegalArgumentException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    GBTClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from pyspark.ml.feature import (
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
    StringIndexer,
    VectorAssembler,
)
from pyspark.sql import functions as F

from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.ml.base import Estimator
    from pyspark.sql import DataFrame

    from retraining.description.document import Description

LABEL = "_label"
WEIGHT = "_weight"
FEATURES = "features"

# A fit adds up numbers in the order of its partitions. Two partial sums give the same total in
# either order, so up to twice this many rows a fit is repeatable to the last bit; beyond, sums may
# differ in the last digits from run to run, whatever the cluster.
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
    """Weight of a row by its class, from the label counts of the training rows alone."""

    negative: float
    positive: float


def class_weights(description: Description, n_rows: int, n_positives: int) -> ClassWeights:
    """Weights of the classes: 1, or so that both classes weigh the same in total.

    Raises:
        RetrainingError: If the training rows hold one class only.
    """
    if not 0 < n_positives < n_rows:
        raise RetrainingError(
            f"train has {n_positives} positives in {n_rows} rows",
            "widen the train window so that it holds both classes",
        )
    if description.class_weights == "none":
        return ClassWeights(1.0, 1.0)
    return ClassWeights(n_rows / (2 * (n_rows - n_positives)), n_rows / (2 * n_positives))


def prepare(
    frame: DataFrame, description: Description, weights: ClassWeights, n_rows: int
) -> DataFrame:
    """Rows ready for a fit: label and weight added, in partitions that depend on nothing else.

    Bagging and the sums of a fit depend on which row lies in which partition, in which order.
    Here that follows from the row key and the number of rows, not from files, cores or cluster.
    """
    partitions = max(2, math.ceil(n_rows / ROWS_PER_PARTITION))
    label = F.col(description.label.column) == F.lit(description.label.positive)
    return (
        frame.withColumn(LABEL, label.cast("double"))
        .withColumn(WEIGHT, F.when(label, weights.positive).otherwise(weights.negative))
        .repartition(partitions, description.row_key)
        .sortWithinPartitions(description.row_key)
    )


def encoder(description: Description, *, linear: bool) -> Pipeline:
    """The stages from feature columns to one vector.

    Args:
        description: Names the features and the scaler.
        linear: One-hot encode categories, whose indices mean nothing to a linear model.
    """
    features = description.features
    stages: list[Any] = []
    encoded: dict[str, str] = {}
    for column in features.categorical:
        index = f"{column}_index"
        stages.append(StringIndexer(inputCol=column, outputCol=index, handleInvalid="keep"))
        encoded[column] = index
        if linear:
            encoded[column] = f"{column}_onehot"
            stages.append(OneHotEncoder(inputCol=index, outputCol=encoded[column]))
    columns = [encoded.get(column, column) for column in description.feature_columns]
    scaled = description.scaler != "none"
    assembled = "assembled" if scaled else FEATURES
    stages.append(VectorAssembler(inputCols=columns, outputCol=assembled))
    if description.scaler == "standard":
        stages.append(
            StandardScaler(inputCol=assembled, outputCol=FEATURES, withMean=True, withStd=True)
        )
    elif description.scaler == "minmax":
        stages.append(MinMaxScaler(inputCol=assembled, outputCol=FEATURES))
    return Pipeline(stages=stages)


def estimator(name: str, parameters: Mapping[str, object], seed: int) -> Estimator[Any]:
    """A classifier by its Spark name.

    Raises:
        RetrainingError: If it has no such parameter, or refuses the value.
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
            raise RetrainingError(f"{name}: {key}={value!r}: {error}", "mend the value") from error
    return classifier  # type: ignore[no-any-return]


def is_linear(name: str) -> bool:
    """Whether the estimator needs one-hot categories."""
    return name == "LogisticRegression"


def fit(train: DataFrame, description: Description, classifier: Estimator[Any]) -> PipelineModel:
    """Fit encoder and classifier on rows made by `prepare`; the result is one flat pipeline.

    Raises:
        RetrainingError: If Spark refuses the value of a parameter, which it does only now.
    """
    name = type(classifier).__name__
    encoding = encoder(description, linear=is_linear(name)).fit(train)
    try:
        return joined(encoding, classifier.fit(encoding.transform(train)))
    except IllegalArgumentException as error:
        reason = str(error).strip().splitlines()[0]
        raise RetrainingError(
            f"{name}: {reason}", "mend the parameters of the estimator"
        ) from error


def joined(encoding: PipelineModel, model: Any) -> PipelineModel:  # noqa: ANN401 (Spark's models)
    """One flat pipeline of the fitted encoder and the fitted classifier."""
    return PipelineModel(stages=[*encoding.stages, model])


def fitted_parameters(model: PipelineModel, description: Description) -> dict[str, str]:
    """What was fitted, read from the fitted stages, not from the estimator that was asked for."""
    classifier: Any = model.stages[-1]
    shown = {
        name: str(classifier.getOrDefault(name))
        for name in _SHOWN_PARAMETERS
        if classifier.hasParam(name) and classifier.isDefined(name)
    }
    return {
        "input_columns": str(list(description.columns)),
        "target": description.label.column,
        "features": str(list(description.feature_columns)),
        **shown,
        **{f"stage_{i}": type(stage).__name__ for i, stage in enumerate(model.stages)},
    }
