"""Expressions in Spark: the list of functions against its own, and what only analysis can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retraining.data.rows.expressions import analyse
from retraining.description.functions import FUNCTIONS, PARSED
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALYST = "org.apache.spark.sql.catalyst.expressions"
NOT_OF_ONE_ROW = (
    "Nondeterministic",
    "Generator",
    "aggregate.AggregateFunction",
    "UserDefinedExpression",
)
OTHER_GROUPS = {"agg_funcs", "window_funcs", "generator_funcs", "table_funcs", "variant_funcs"}
CLOCK_SESSION_CHANCE = """
    now curdate current_date current_time current_timestamp localtimestamp current_timezone
    current_user session_user user current_catalog current_database current_schema version
    input_file_name input_file_block_start input_file_block_length spark_partition_id
    monotonically_increasing_id rand randn random randstr uniform uuid shuffle reflect java_method
    try_reflect aes_encrypt session_window window window_time
"""


def test_listed_functions_are_those_of_one_row(spark: SparkSession) -> None:
    """Spark's registry says of each what it is: its group, and the class behind it."""
    jvm = spark._jvm
    assert jvm is not None
    catalog = spark._jsparkSession.sessionState().catalog()
    registered = {row[0] for row in spark.sql("SHOW FUNCTIONS").collect()}
    assert registered >= {*CLOCK_SESSION_CHANCE.split(), *(FUNCTIONS - PARSED)}
    assert FUNCTIONS.isdisjoint(CLOCK_SESSION_CHANCE.split())
    refused = [jvm.java.lang.Class.forName(f"{CATALYST}.{name}") for name in NOT_OF_ONE_ROW]
    for name in FUNCTIONS - PARSED:
        identifier = jvm.org.apache.spark.sql.catalyst.FunctionIdentifier(name)
        info = catalog.lookupFunctionInfo(identifier)
        made = jvm.java.lang.Class.forName(info.getClassName())
        assert info.getGroup() not in OTHER_GROUPS, name
        assert not any(kind.isAssignableFrom(made) for kind in refused), name


@pytest.mark.parametrize(
    "expression",
    [
        "datediff(d, '2024-01-01') + hour(t) + month(CAST(t AS DATE))",
        "to_date(s, 'yyyy-MM-dd') > '2024-01-01'",
        "unix_timestamp(s, 'HH:mm') + unix_timestamp(t)",
        "to_timestamp(t) = to_timestamp(s, 'HH:mm')",
        "transform(array(n), v -> v + n)[0] * 2",
    ],
)
def test_expression_of_one_row_passes(spark: SparkSession, expression: str) -> None:
    frame = spark.range(0).selectExpr("1 AS n", "'' AS s", "DATE '2024-01-01' AS d", "now() AS t")
    analyse(frame, "expression", expression, "write another")


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("CAST('now' AS TIMESTAMP)", "reads a time from text"),
        ("to_date('today')", "reads a time from text"),
        ("year(concat('to', 'day'))", "reads a time from text"),
        ("hour('12:30')", "reads a time from text"),
        ("d > 'yesterday'", "reads a time from text"),
        ("to_timestamp(s)", "reads a time from text"),
        ("try_cast(s AS DATE)", "reads a time from text"),
        ("CAST(array(s) AS ARRAY<DATE>)", "reads a time from text"),
        ("current_date", "clock or the session"),
        ("identifier('now')()", "clock or the session"),
        ("unix_timestamp()", "clock or the session"),
        ("user", "clock or the session"),
        ("rand()", r"rand\(\) is not"),
        ("reflect('java.util.UUID', 'randomUUID')", r"reflect\(\) is not"),
        ("n IN (SELECT 1)", "other rows"),
        ("max(n) OVER ()", "other rows"),
        ("hash(*)", r"\* includes columns"),
    ],
)
def test_what_analysis_sees_is_refused(
    spark: SparkSession, expression: str, complaint: str
) -> None:
    frame = spark.range(0).selectExpr("1 AS n", "'' AS s", "DATE '2024-01-01' AS d")
    with pytest.raises(RetrainingError, match=complaint) as caught:
        analyse(frame, "expression", expression, "write another")
    assert "\n" not in str(caught.value)
