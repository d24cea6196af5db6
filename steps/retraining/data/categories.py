"""The number of values of categorical features, checked before anything is fitted on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyspark
from pyspark.sql import functions as F

from retraining.description.estimators import category_limits
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from retraining.description.document import Description

# Sketches of this error, in one pass over these columns alone, show which counts are worth exact
# counting: that sorts the values.
_ERROR: Final = 0.02
_CLOSE: Final = 0.8


def check_spark(description: Description) -> None:
    """Check that this Spark can encode features by their share of positives.

    Raises:
        RetrainingError: If it has no encoder for that.
    """
    targets = description.features.targets
    if targets and int(pyspark.__version__.split(".")[0]) < 4:
        rules = ", ".join(f"{name}: {{pool: N}}" for name in targets)
        raise RetrainingError(
            f"features.categories has target for {', '.join(targets)}, which Spark "
            f"{pyspark.__version__} cannot do",
            f"write features.categories: {{{rules}}} (or hash), or take Spark 4",
        )


def check(train: DataFrame, description: Description) -> None:
    """Check that every estimator of a description can take each categorical feature.

    Args:
        train: The rows that will be fitted on.
        description: Names features and estimators. Features with a rule are small.

    Raises:
        RetrainingError: If a feature has too many values.
    """
    features = description.features
    names = [name for name in features.categorical if name not in features.categories]
    if not names:
        return
    place, limit = min(category_limits(description).items(), key=lambda item: item[1])
    sketches = (F.approx_count_distinct(name, _ERROR).alias(name) for name in names)
    counts = train.agg(*sketches).collect()[0].asDict()
    close = [name for name in names if counts[name] > _CLOSE * limit]
    if not close:
        return
    exact = train.agg(*(F.count_distinct(name).alias(name) for name in close)).collect()[0].asDict()
    large = {name: count for name, count in exact.items() if count > limit}
    if large:
        shown = ", ".join(f"{name} has {count:,}" for name, count in large.items())
        rules = ", ".join(f"{name}: {{pool: {limit // 2 or 1}}}" for name in large)
        raise RetrainingError(
            f"too many values of a categorical feature in train ({shown}), "
            f"{place} can take {limit:,}",
            f"raise maxBins, write features.categories: {{{rules}}} (or hash, or target), "
            "or leave it out",
        )
