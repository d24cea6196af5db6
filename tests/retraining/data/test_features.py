"""Features of a description, and above all what must not flow into them."""

from __future__ import annotations

import datetime as dt
import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pyspark.sql import functions as F

from retraining.data import features
from retraining.data.rows import expressions
from retraining.description.reading import from_mapping, load
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

SCHEMA = "id bigint, at timestamp, customer bigint, terminal bigint, amount double, fraud int"
START = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
DAY = timedelta(days=1)
ROLLING: list[dict[str, Any]] = [
    {"key": "customer", "value": "amount", "aggregates": ["count", "mean"], "windows": ["7 days"]},
    {
        "key": "terminal",
        "value": "fraud",
        "aggregates": ["count", "mean"],
        "windows": ["1 day", "30 days"],
        "delay": "7 days",
    },
]
FILL = {"terminal_fraud_mean_1d": 0.0, "terminal_fraud_mean_30d": 0.0}


def describe(**sections: Any) -> Description:  # noqa: ANN401
    """A small data set of card payments; `sections` replace keys of `features`."""
    column = {"type": "bigint", "not_null": True}
    return from_mapping(
        {
            "name": "payments",
            "columns": {
                "id": column,
                "at": {"type": "timestamp"},
                "customer": column,
                "terminal": column,
                "amount": {"type": "double"},
                "fraud": {"type": "int"},
            },
            "label": {"column": "fraud", "delay": "7 days"},
            "row_key": "id",
            "event_time": "at",
            "features": {"plain": ["amount"], **sections},
            "never_features": ["customer", "terminal"],
            "split": {
                "by": "time",
                "train": "7 days",
                "gap": "7 days",
                "validation": "7 days",
                "holdout": "7 days",
            },
            "estimator": {"name": "LogisticRegression"},
        }
    )


def past_the_rules(description: Description, **sections: Any) -> Description:  # noqa: ANN401
    """A description whose features nobody validated."""
    changed = description.features.model_copy(update=sections)
    return description.model_copy(update={"features": changed})


def payments(spark: SparkSession, frauds: frozenset[int] = frozenset()) -> DataFrame:
    """A payment a day for 40 days: two customers in turn, one terminal; frauds by day."""
    rows = [(d, START + d * DAY, d % 2, 0, 10.0 + d, int(d in frauds)) for d in range(40)]
    return spark.createDataFrame(rows, SCHEMA)


def check(rows: DataFrame, description: Description) -> int:
    """What `preparation` does to rows with features."""
    observed = features.count_values(rows, description.needed_features)
    with expressions.holding_for_every_row("a feature"):
        return features.check_complete(rows.agg(*observed).collect()[0].asDict())


def build_rows(frame: DataFrame, description: Description) -> dict[int, dict[str, Any]]:
    built = features.add(frame, description)
    rows = {row["id"]: row.asDict() for row in built.collect()}
    assert check(built, description) == len(rows)
    return rows


def test_add_adds_every_feature_and_keeps_all_columns(spark: SparkSession) -> None:
    description = describe(rolling=ROLLING, fill=FILL, derived={"is_large": "amount > 30"})
    frame = payments(spark)
    built = features.add(frame, description)
    made = [name for name in description.feature_columns if name != "amount"]
    assert built.columns == frame.columns + made
    assert built.select(frame.columns).exceptAll(frame).count() == 0
    assert built.count() == 40


def test_add_derives_from_rolling_and_earlier_derived_features(spark: SparkSession) -> None:
    derived = {
        "ratio": "amount / customer_amount_mean_7d",
        "twice": "2 * ratio",
        "hour": "hour(at)",
    }
    rows = build_rows(payments(spark), describe(rolling=ROLLING[:1], derived=derived))
    assert rows[2]["customer_amount_mean_7d"] == 11.0  # days 0 and 2 of customer 0: 10 and 12
    assert rows[2]["ratio"] == pytest.approx(12 / 11)
    assert rows[2]["twice"] == pytest.approx(24 / 11)
    assert rows[2]["hour"] == 12


def test_add_fills_derived_features_alone_with_values_of_their_types(spark: SparkSession) -> None:
    rows = [
        (0, START, 1, 1, None, 0),
        (1, START, 1, 1, math.nan, 0),
        (2, START, 1, 1, 5.0, 0),
    ]
    derived = {
        "small": "amount < 9",
        "whole": "try_cast(amount AS INT)",
        "huge": "exp(900 * amount)",
    }
    fill = {"amount": -1, "small": True, "whole": -1, "huge": 0.5}
    description = describe(fill=fill, derived=derived)
    with pytest.raises(RetrainingError, match="features without a value: small in 1 rows"):
        build_rows(
            spark.createDataFrame(rows, SCHEMA),
            past_the_rules(description, fill={"amount": -1, "whole": -1, "huge": 0.5}),
        )
    found = build_rows(spark.createDataFrame(rows, SCHEMA), description)
    assert (found[0]["amount"], found[2]["amount"]) == (None, 5.0)  # the model's to fill
    assert math.isnan(found[1]["amount"])
    assert [found[i]["small"] for i in range(3)] == [True, False, True]
    assert [found[i]["whole"] for i in range(3)] == [-1, -1, 5]
    assert [found[i]["huge"] for i in range(3)] == [0.5, 0.5, 0.5]  # of 5.0 it is infinite


@pytest.mark.parametrize(
    ("expression", "fill", "allowed"),
    [
        ("CAST(amount AS INT)", 0.5, "a whole number"),
        ("CAST(amount AS BIGINT)", True, "a whole number"),
        ("amount < 9", 7, "true or false"),
        ("amount * 2", False, "a number"),
    ],
)
def test_a_fill_that_a_derived_feature_cannot_hold_is_refused(
    spark: SparkSession, expression: str, fill: float, allowed: str
) -> None:
    description = describe(derived={"k": expression}, fill={"k": fill})
    with pytest.raises(RetrainingError, match=rf"features\.fill\.k: {fill} .*give {allowed}"):
        features.add(spark.createDataFrame([], SCHEMA), description)


def test_add_flags_missing_values_and_leaves_fills_of_columns_to_the_model(
    spark: SparkSession,
) -> None:
    rows = [(0, START, 1, 1, None, 0), (1, START, 1, 1, math.nan, 0), (2, START, 1, 1, 5.0, 0)]
    frame = spark.createDataFrame(rows, SCHEMA)
    fitted = build_rows(frame, describe(fill={"amount": "median"}, missing=["amount"]))
    assert [fitted[i]["amount_missing"] for i in range(3)] == [1, 1, 0]
    assert fitted[0]["amount"] is None
    assert (math.isnan(fitted[1]["amount"]), fitted[2]["amount"]) == (True, 5.0)
    stated = build_rows(frame, describe(fill={"amount": 1}, missing=["amount"]))
    assert [stated[i]["amount_missing"] for i in range(3)] == [1, 1, 0]
    assert (stated[0]["amount"], stated[2]["amount"]) == (None, 5.0)


def test_add_refuses_a_feature_without_a_value(spark: SparkSession) -> None:
    """30 days back there is no payment older than 7 days for the first 7 rows."""
    frame = payments(spark)
    with pytest.raises(RetrainingError, match="mean_1d in 7 rows, terminal_fraud_mean_30d in 7"):
        build_rows(frame, describe(rolling=ROLLING))


def test_add_keeps_categories_as_strings(spark: SparkSession) -> None:
    description = describe()
    columns = {**description.to_mapping()["columns"], "kind": {"type": "string"}}
    mapping = {**description.to_mapping(), "columns": columns}
    mapping["features"] = {"plain": ["amount"], "categorical": ["kind"], "fill": {"kind": "none"}}
    frame = payments(spark).withColumn("kind", F.when(F.col("id") > 0, "card"))
    rows = build_rows(frame, from_mapping(mapping))
    assert (rows[0]["kind"], rows[1]["kind"]) == (None, "card")


def test_rows_of_the_history_count_and_are_not_returned(spark: SparkSession) -> None:
    description = describe(rolling=ROLLING, fill=FILL)
    frame = payments(spark, frozenset({1, 5, 20}))
    complete = build_rows(frame, description)
    since = START + 38 * DAY
    for surplus in (timedelta(0), 10 * DAY):
        oldest = since - features.reach_of(description) - surplus
        history = frame.where((F.col("at") >= F.lit(oldest)) & (F.col("at") < F.lit(since)))
        recent = features.add(
            frame.where(F.col("at") >= F.lit(since)), description, history=history
        )
        found = {row["id"]: row.asDict() for row in recent.collect()}
        assert found == {i: complete[i] for i in (38, 39)}


def test_the_reach_is_the_longest_window_with_its_delay() -> None:
    assert features.reach_of(describe(rolling=ROLLING)) == 37 * DAY
    assert features.reach_of(describe()) == timedelta(0)


def first_change(spark: SparkSession, description: Description, day: int) -> timedelta | None:
    """How long after its event a fraud changes a feature; None if never."""
    names = [name for name in description.feature_columns if name != "fraud"]
    without = build_rows(payments(spark), description)
    with_fraud = build_rows(payments(spark, frozenset({day})), description)
    changed = [i for i in without if any(without[i][n] != with_fraud[i][n] for n in names)]
    return (min(changed) - day) * DAY if changed else None


@pytest.mark.parametrize("day", [0, 5, 20])
def test_add_uses_no_label_before_it_is_known(spark: SparkSession, day: int) -> None:
    description = describe(rolling=ROLLING, fill=FILL)
    assert first_change(spark, description, day) == description.label.delay


@pytest.mark.parametrize("delay", [0, 6])
def test_a_delay_cut_short_would_be_seen(spark: SparkSession, delay: int) -> None:
    """The test above can fail: with a shorter delay, a label shows before it is known."""
    description = describe(rolling=ROLLING, fill=FILL)
    customer, terminal = description.features.rolling
    leaky = past_the_rules(
        description, rolling=(customer, terminal.model_copy(update={"delay": delay * DAY}))
    )
    assert first_change(spark, leaky, 5) == delay * DAY
    assert delay * DAY < description.label.delay


@pytest.mark.parametrize(
    "expression",
    ["fraud", "FRAUD + 1", "`fraud`", "customer + terminal", "id % 2", "t.fraud", "payments.fraud"],
)
def test_derived_features_cannot_name_forbidden_columns(
    spark: SparkSession, expression: str
) -> None:
    leaky = past_the_rules(describe(), derived={"leak": expression})
    with pytest.raises(RetrainingError, match=r"derived feature leak .*UNRESOLVED_COLUMN") as error:
        features.add(payments(spark), leaky)
    assert "\n" not in str(error.value)
    assert "write Spark SQL over at, amount" in str(error.value)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("hash(*)", r": \* .*must not be features"),
        ("hash(struct(*))", r": \* .*must not be features"),
        ("transform(array(1), x -> hash(*))[0]", r": \* .*must not be features"),
        ("amount +", "PARSE_SYNTAX_ERROR"),
        ("amount) , (at", "PARSE_SYNTAX_ERROR"),
        ("amount AS leak", "PARSE_SYNTAX_ERROR"),
        ("amont * 2", "UNRESOLVED_COLUMN"),
        ("no_function(amount)", "UNRESOLVED_ROUTINE"),
        ("amount + array(1)", "DATATYPE_MISMATCH"),
        ("max(amount)", "MISSING_GROUP_BY"),
        ("explode(array(1, 2))", "UNSUPPORTED_GENERATOR"),
        ("CAST(amount AS STRING)", "has type string.* number"),
    ],
)
def test_derived_features_are_refused_with_the_reason(
    spark: SparkSession, capfd: pytest.CaptureFixture[str], expression: str, reason: str
) -> None:
    frame = payments(spark)
    with pytest.raises(RetrainingError, match=reason) as error:
        features.add(frame, past_the_rules(describe(), derived={"leak": expression}))
    assert f"derived feature leak ({expression})" in str(error.value)
    assert "\n" not in str(error.value)
    assert "QueryContextLogger" not in capfd.readouterr().err


def test_an_expression_that_fails_on_a_row_is_refused(
    spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without ANSI mode Spark has null instead, which is refused as well."""
    description = describe(derived={"leak": "1 / (amount - 10)"})
    with pytest.raises(RetrainingError, match=r"DIVIDE_BY_ZERO|leak in 1 rows"):
        check(features.add(payments(spark), description), description)
    assert "QueryContextLogger" not in capfd.readouterr().err


def test_add_needs_the_columns_of_its_features(spark: SparkSession) -> None:
    frame = payments(spark).drop("fraud", "amount")
    with pytest.raises(RetrainingError, match=r"payments .*column amount, fraud"):
        features.add(frame, describe(rolling=ROLLING, fill=FILL))


def test_add_needs_no_label_unless_a_feature_does(spark: SparkSession) -> None:
    frame = payments(spark).drop("fraud")
    derived = {"is_large": "amount > 30"}
    rows = build_rows(frame, describe(rolling=ROLLING[:1], derived=derived))
    assert rows[39]["is_large"] is True


def roll_like_the_handbook(table: pd.DataFrame, key: str, value: str, delay: int) -> pd.DataFrame:
    """Counts and means over 1, 7 and 30 days by pandas, a delay as a difference of windows.

    pandas counts only the earlier of rows of one instant, we count all: hence the last of each.
    """
    table = table.sort_values(["tx_datetime", "transaction_id"])
    groups = table.set_index("tx_datetime").groupby(key)[value]
    columns = {}
    for window in (1, 7, 30):
        longer = groups.rolling(f"{delay + window}D")
        count, total = longer.count(), longer.sum()
        if delay:
            count -= groups.rolling(f"{delay}D").count()
            total -= groups.rolling(f"{delay}D").sum()
        columns[f"{key}_count_{window}d"] = count
        columns[f"{key}_{value}_mean_{window}d"] = (total / count).fillna(0.0)
    rolled = pd.DataFrame(columns).reset_index()
    return rolled.groupby([key, "tx_datetime"]).last()


@pytest.mark.reference
def test_add_agrees_with_the_handbook(spark: SparkSession, reference_data: Path) -> None:
    """All rows of 25 customers and of 25 terminals, six months, seven features each and flags."""
    raw = spark.read.parquet(str(reference_data / "handbook_fraud" / "raw"))
    raw = raw.withColumn("tx_datetime", F.col("tx_datetime").cast("timestamp"))
    sampled = raw.where((F.col("customer_id") % 200 == 7) | (F.col("terminal_id") % 400 == 7))
    description = load(Path(__file__).parents[3] / "steps" / "datasets" / "fraud.yaml")
    built = features.add(sampled, description)
    table = built.toPandas()
    assert len(table) > 10_000

    for key, value, delay, modulus in (
        ("customer_id", "tx_amount", 0, 200),
        ("terminal_id", "tx_fraud", 7, 400),
    ):
        rows = table[table[key] % modulus == 7]
        rolled = roll_like_the_handbook(rows, key, value, delay)
        mine = rows.set_index([key, "tx_datetime"])[rolled.columns]
        theirs = rolled.loc[mine.index]
        assert rows[key].nunique() == 25
        pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, rtol=1e-6, atol=1e-9)
    assert (table["is_weekend"] == (table["tx_datetime"].dt.weekday >= 5)).all()
    assert (table["is_night"] == (table["tx_datetime"].dt.hour <= 6)).all()
