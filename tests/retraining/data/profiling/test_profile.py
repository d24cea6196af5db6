"""Numbers and pictures of rows."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matplotlib.patches import Rectangle

from retraining.data.profiling.profile import count_classes, draw_classes, draw_defects, profile
from retraining.description.reading import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

FRAUD = Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml"


@pytest.fixture
def description() -> Description:
    return load(FRAUD)


@pytest.fixture
def frame(spark: SparkSession) -> DataFrame:
    """Four rows of two days: two positives, one null scenario, one feature."""
    days = [datetime(2018, 4, day, 23, 59, tzinfo=UTC) for day in (1, 1, 1, 2)]
    rows = [
        (number, day, amount, label, scenario, 1)
        for number, (day, amount, label, scenario) in enumerate(
            zip(days, (0.1, 0.2, 0.3, 9.0), (0, 1, 0, 1), (0, None, 0, 3), strict=True)
        )
    ]
    return spark.createDataFrame(
        rows,
        "transaction_id bigint, tx_datetime timestamp, tx_amount double, tx_fraud int, "
        "tx_fraud_scenario int, is_night int",
    )


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def draw(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_profile_tells_counts_bounds_and_means(frame: DataFrame, description: Description) -> None:
    found = profile(frame, description)
    assert found["rows"] == 4
    assert list(found["columns"]) == frame.columns
    assert found["columns"]["tx_fraud_scenario"] == {
        "type": "int",
        "nulls": 1,
        "min": 0,
        "max": 3,
        "mean": 1.0,
        "distinct": 2,
    }
    assert found["columns"]["tx_amount"]["mean"] == 2.4
    assert found["columns"]["tx_datetime"] == {
        "type": "timestamp",
        "nulls": 0,
        "min": "2018-04-01 23:59:00",
        "max": "2018-04-02 23:59:00",
        "mean": None,
        "distinct": 2,
    }
    assert json.loads(json.dumps(found)) == found


def test_profile_of_no_rows_is_empty(frame: DataFrame, description: Description) -> None:
    found = profile(frame.where("false"), description)
    assert found["rows"] == 0
    assert found["columns"]["tx_amount"]["mean"] is None
    assert draw(draw_defects(found, {}, 0)).startswith(b"\x89PNG")


def test_classes_are_counted_by_day(frame: DataFrame, description: Description) -> None:
    counts = count_classes(frame, description)
    assert counts == {"2018-04-01": (3, 1), "2018-04-02": (1, 1)}
    assert count_classes(frame, load(FRAUD.with_name("drivers.yaml"))) == {}


def test_classes_are_drawn_by_day_or_split() -> None:
    by_day = {f"2018-04-{day:02}": (100 + day, day) for day in range(1, 31)}
    figure = draw_classes(by_day)
    rows, shares = figure.axes
    assert [bar.get_height() for bar in bars(rows)] == [float(100 + day) for day in range(1, 31)]
    assert bars(shares)[0].get_height() == pytest.approx(100 / 101)
    assert len(shares.get_xticks()) <= 12
    assert draw(figure).startswith(b"\x89PNG")
    splits = draw_classes({"train": (10, 1), "validation": (5, 0), "holdout": (0, 0)})
    assert [bar.get_height() for bar in bars(splits.axes[1])] == [10.0, 0.0, 0.0]


def test_defects_are_drawn_by_column_and_reason(frame: DataFrame, description: Description) -> None:
    rejected = {"null tx_datetime": 1, "range tx_amount": 3}
    figure = draw_defects(profile(frame, description), rejected, 10)
    left, right = figure.axes
    assert [bar.get_width() for bar in bars(left)] == [25.0]
    assert [bar.get_width() for bar in bars(right)] == [10.0, 30.0]
    assert [label.get_text() for label in right.get_yticklabels()] == list(rejected)
    assert draw(figure).startswith(b"\x89PNG")
