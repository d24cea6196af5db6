"""From feature columns to one vector: fills, categories and scales, all fitted on train."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline
from pyspark.ml.feature import (
    MinMaxScaler,
    OneHotEncoder,
    SQLTransformer,
    StandardScaler,
    StringIndexer,
    StringIndexerModel,
    VectorAssembler,
)
from pyspark.sql import functions as F

from retraining.data import categories
from retraining.data.columns import quote
from retraining.data.rolling import present
from retraining.description.names import FEATURES
from retraining.errors import RetrainingError
from retraining.models import targets

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from retraining.description.document import Description

_LOG = logging.getLogger(__name__)

_FILLED, _INDEX, _ONE_HOT = "_filled_", "_index_", "_onehot_"

# Spark's approximate median is the exact one, in any order of rows, up to this number of rows.
_EXACT_ROWS = 1_000_000


def fit(train: DataFrame, description: Description, *, linear: bool) -> PipelineModel:
    """Fit the stages that turn feature columns into one vector.

    Args:
        train: Training rows; what is fitted depends on no other rows.
        description: Names the features, their fills and the scaler.
        linear: One-hot encode categories, since a linear model would take indices for amounts.

    Raises:
        RetrainingError: If train has no value from which a fill could be taken, or this Spark
            cannot encode a feature.
    """
    categories.check_spark(description)
    features = description.features
    sources = {name: name for name in description.feature_columns}
    stages: list[Any] = []
    expressions = _expressions(train, description)
    if expressions:
        sources |= {name: f"{_FILLED}{name}" for name in expressions}
        added = ", ".join(f"{text} AS {quote(sources[name])}" for name, text in expressions.items())
        stages.append(SQLTransformer(statement=f"SELECT *, {added} FROM __THIS__"))  # noqa: S608
    for name, smoothing in features.targets.items():
        stages += targets.stages(name, sources[name], smoothing)
        sources[name] = targets.column(name)
    for name in (name for name in features.categorical if name not in features.targets):
        index = f"{_INDEX}{name}"
        labels = _labels(train, description, name, expressions.get(name, quote(name)))
        ends = {"inputCol": sources[name], "outputCol": index, "handleInvalid": "keep"}
        if labels is None:
            stages.append(StringIndexer(**ends))
        else:
            stages.append(StringIndexerModel.from_labels(labels, **ends))
        sources[name] = index
        if linear:
            sources[name] = f"{_ONE_HOT}{name}"
            stages.append(OneHotEncoder(inputCol=index, outputCol=sources[name]))
    scaled = description.scaler != "none"
    assembled = "_assembled" if scaled else FEATURES
    stages.append(VectorAssembler(inputCols=[*sources.values()], outputCol=assembled))
    if description.scaler == "standard":
        stages.append(
            StandardScaler(inputCol=assembled, outputCol=FEATURES, withMean=True, withStd=True)
        )
    elif description.scaler == "minmax":
        stages.append(MinMaxScaler(inputCol=assembled, outputCol=FEATURES))
    return Pipeline(stages=stages).fit(train)


def of_train(encoding: PipelineModel, train: DataFrame, description: Description) -> DataFrame:
    """The vectors of the rows that an encoding was fitted on, to fit a classifier on.

    They are those of `encoding.transform`, but for features that are encoded by labels: there no
    row gets what its own label has added.
    """
    fitted: list[Any] = list(encoding.stages)
    for stage in fitted:
        if targets.is_encoder(stage):
            train = targets.cross_encode(train, stage, description)
        else:
            train = stage.transform(train)
    return train


def check_categories(encoding: PipelineModel, classifier: Any) -> None:  # noqa: ANN401 (of Spark)
    """Check that trees have a bin for each value of each categorical feature.

    Spark names the feature by its place in the vector, which nobody knows.

    Raises:
        RetrainingError: If `maxBins` is too small for a feature.
    """
    if not classifier.hasParam("maxBins"):
        return
    bins = classifier.getOrDefault("maxBins")
    for stage in encoding.stages:
        if not isinstance(stage, StringIndexerModel) or targets.is_indexer(stage):
            continue
        if len(stage.labels) >= bins:
            name = stage.getOutputCol().removeprefix(_INDEX)
            raise RetrainingError(
                f"{name} has {len(stage.labels)} values in train, and maxBins={bins} has room for "
                f"{bins - 1}",
                f"raise maxBins, or write features.categories: {{{name}: {{pool: N}}}}",
            )


def slots(encoding: list[Any]) -> list[str]:
    """The feature column behind each place of the vector."""
    stages = {stage.getOutputCol(): stage for stage in encoding if stage.hasParam("outputCol")}
    assembler = next(s for s in stages.values() if isinstance(s, VectorAssembler))
    names: list[str] = []
    for column in assembler.getInputCols():
        width = 1
        if column.startswith(_ONE_HOT):
            width = stages[column].categorySizes[0] - 1
        for prefix in (_ONE_HOT, _INDEX, _FILLED, targets.column("")):
            column = column.removeprefix(prefix)  # noqa: PLW2901
        names += [column] * width
    return names


def _expressions(train: DataFrame, description: Description) -> dict[str, str]:
    """SQL of the features that are filled or hashed, by their names."""
    features = description.features
    fills = {**features.values, **_fitted(train, description)}
    found = {}
    for name in description.feature_columns:
        kind = _kind(description, name)
        value = f"CAST({quote(name)} AS {kind})"
        if name in fills:
            given = value if kind == "STRING" else f"nanvl({value}, CAST(NULL AS DOUBLE))"
            value = f"coalesce({given}, {_literal(fills[name], kind)})"
        rule = features.categories.get(name)
        if rule is not None and rule.hash is not None:
            value = f"CAST(pmod(xxhash64({value}), {rule.hash}) AS STRING)"
        if name in fills or (rule is not None and rule.hash is not None):
            found[name] = value
    return found


def _kind(description: Description, name: str) -> str:
    return "STRING" if name in description.features.categorical else "DOUBLE"


def _fitted(train: DataFrame, description: Description) -> dict[str, bool | float | str]:
    """The values that replace nulls, from the training rows."""
    statistics = description.features.fitted_fills
    wanted = {}
    for name, statistic in statistics.items():
        number = present(train, name).cast("double")
        if statistic == "mean":
            wanted[name] = F.avg(number)
        elif statistic == "median":
            wanted[name] = F.percentile_approx(number, 0.5, _EXACT_ROWS)
    found: dict[str, Any] = {}
    if wanted:
        (row,) = train.agg(*(number.alias(name) for name, number in wanted.items())).collect()
        found = row.asDict()
    for name in (name for name in statistics if name not in wanted):
        value = f"CAST({quote(name)} AS {_kind(description, name)})"
        found[name] = next(iter(_most_frequent(train, value, 1)), None)
    for name, value in found.items():
        if value is None:
            raise RetrainingError(
                f"{name} has no value in train, of which features.fill takes the "
                f"{statistics[name]}",
                "give a value in features.fill, or leave the feature out",
            )
        statistic = statistics[name].replace("_", " ")
        _LOG.info(f"{name}: a missing value counts as {value}, the {statistic} of train")
    return found


def _labels(
    train: DataFrame, description: Description, name: str, expression: str
) -> list[str] | None:
    """The values that get an index of their own, if a rule chooses them; others share one."""
    rule = description.features.categories.get(name)
    if rule is None:
        return None
    if rule.hash is not None:
        return [str(bucket) for bucket in range(rule.hash)]
    return [*_most_frequent(train, expression, rule.size)]


def _most_frequent(train: DataFrame, expression: str, n_values: int) -> list[str]:
    """The values that most rows have, as text; of equally many the first by alphabet or size."""
    counts = train.select(F.expr(expression).alias("value")).dropna().groupBy("value").count()
    most = counts.orderBy(F.desc("count"), "value").limit(n_values).collect()
    return [str(row["value"]) for row in most]


def _literal(value: bool | float | str, kind: str) -> str:  # noqa: FBT001 (a value, no switch)
    """SQL of a value, safe whatever is in a text."""
    text = str(float(value) if kind == "DOUBLE" else value)
    if isinstance(value, bool) and kind == "STRING":
        text = text.lower()
    return f"CAST(CAST(X'{text.encode().hex()}' AS STRING) AS {kind})"
