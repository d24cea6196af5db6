"""Categories as numbers: the share of positives among the rows of train that have a value.

Spark's TargetEncoder gives each value that share, and all rows that are not in train get it. Of a
row of train its own label is a part of it, so that a model fitted on these numbers would trust them
too much, whatever the smoothing. Each row of train gets the share of the other folds instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyspark.ml import feature
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from retraining.description.names import LABEL
from retraining.description.splitting import HashSplit

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description

_INDEX, _SHARE, _NUMBER = "_value_", "_share_", "_target_"
_FOLD, _ROWS, _POSITIVES = "_fold", "_rows", "_positives"
_FOLDS: Final = 5


def column(name: str) -> str:
    """The column in which the number of a feature is."""
    return f"{_NUMBER}{name}"


def stages(name: str, source: str, smoothing: float) -> list[Any]:
    """The stages that make a number of a category.

    Args:
        name: The feature.
        source: The column that holds its values.
        smoothing: How many rows the share of all rows of train counts for.
    """
    index, share = f"{_INDEX}{name}", f"{_SHARE}{name}"
    return [
        feature.StringIndexer(inputCol=source, outputCol=index, handleInvalid="keep"),
        feature.TargetEncoder(
            inputCol=index,
            outputCol=share,
            labelCol=LABEL,
            smoothing=smoothing,
            handleInvalid="keep",
        ),
        # Spark calls its result a category, for each of whose values a tree would need a bin.
        feature.SQLTransformer(
            statement=f"SELECT *, CAST(`{share}` AS DOUBLE) AS `{column(name)}` FROM __THIS__"  # noqa: S608
        ),
    ]


def is_encoder(stage: Any) -> bool:  # noqa: ANN401 (Spark's models)
    """Whether a fitted stage encodes by labels."""
    return bool(stage.hasParam("smoothing") and stage.hasParam("targetType"))


def is_indexer(stage: feature.StringIndexerModel) -> bool:
    """Whether an indexer is one of this module's, of whose values no tree needs to know."""
    return str(stage.getOutputCol()).startswith(_INDEX)


def cross_encode(train: DataFrame, encoder: Any, description: Description) -> DataFrame:  # noqa: ANN401
    """Encode the rows of train as their fitted encoder does, each without the rows of its fold.

    A value that only one fold has counts as one that train does not have.
    """
    index, smoothing = encoder.getInputCol(), F.lit(encoder.getSmoothing())
    (overall,) = train.agg(F.avg(LABEL)).collect()[0]
    keyed = train.withColumn(_FOLD, _fold(description))
    cells = keyed.groupBy(index, _FOLD).agg(
        F.count(LABEL).alias(_ROWS), F.sum(LABEL).alias(_POSITIVES)
    )
    folds = Window.partitionBy(index)
    rows, positives = (F.sum(c).over(folds) - F.col(c) for c in (_ROWS, _POSITIVES))
    share = F.try_divide(positives + smoothing * overall, rows + smoothing)
    shares = cells.select(
        index, _FOLD, F.coalesce(share, F.lit(overall)).alias(encoder.getOutputCol())
    )
    # A broadcast leaves the rows where they are and as they are ordered, as a fit needs them.
    return keyed.join(F.broadcast(shares), [index, _FOLD]).drop(_FOLD)


def _fold(description: Description) -> Column:
    """A fold of train, which relates to the others as validation does to train.

    Where no unit of train is in validation, a unit is in one fold alone.
    """
    by_unit = description.units if isinstance(description.split, HashSplit) else ()
    return F.pmod(F.xxhash64(*(by_unit or description.key_columns)), F.lit(_FOLDS))
