"""Expressions of a description in Spark: its own parser and analyser say what they are."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark import SparkContext
from pyspark.errors import (
    AnalysisException,
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
    PySparkException,
)
from pyspark.sql import functions as F

from retraining.description.expressions import is_dated, names_in
from retraining.description.functions import FUNCTIONS
from retraining.errors import RetrainingError, reason
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame
    from pyspark.sql import types as T

# What Spark raises when an expression does not work for a value.
_VALUE_ERRORS = (
    ArithmeticException,
    ArrayIndexOutOfBoundsException,
    DateTimeException,
    NumberFormatException,
)

_ASIDES = re.compile(r" Did you mean| If necessary| SQLSTATE|; line \d|\(line \d")
_CLOCK = re.compile(r"Current\w+|Now|LocalTimestamp")
_REPLACED = "org.apache.spark.sql.catalyst.expressions.RuntimeReplaceable"
_TIMES = re.compile(r"date|timestamp")


def analyse(frame: DataFrame, what: str, expression: str, remedy: str) -> T.DataType:
    """Let Spark parse and analyse an expression; no row is read.

    The `CASE` around it makes Spark refuse generators such as `explode`, which multiply rows, and
    the `*` beside it makes Spark refuse aggregates such as `max`.

    Args:
        frame: Has the columns that the expression may use.
        what: The expression's role and name, for errors.
        expression: Spark SQL.
        remedy: What to write instead if it is not valid.

    Returns:
        Its type.

    Raises:
        RetrainingError: If it is not valid, or not a function of one row with the same value at any
            time. A text that becomes a time needs a format: 'now' and '12:30' mean the clock.
    """
    try:
        with quiet():
            parser = frame.sparkSession._jsparkSession.sessionState().sqlParser()
            faults = [*_find_calls(parser.parseExpression(expression))]
            column = F.when(F.lit(1) == F.lit(1), F.expr(f"({expression}\n)"))
            result = frame.select("*", column)
    except AnalysisException as error:
        raise RetrainingError(f"{what}: {_complaint(error)}", remedy) from error
    analysed = result._jdf.queryExecution().analyzed().expressions().last()
    faults += _find_faults(analysed, names_in(expression))
    if faults:
        raise RetrainingError(f"{what}: {faults[0]}", remedy)
    return result.schema[-1].dataType


@contextmanager
def holding_for_every_row(what: str) -> Iterator[None]:
    """Report an expression that fails on a row in one line.

    Args:
        what: What was computed, for the error.
    """
    try:
        with quiet():
            yield
    except _VALUE_ERRORS as error:
        raise RetrainingError(
            f"{what} fails on a row: {_complaint(error)}",
            "write expressions that hold for every row, for example with try_divide, try_cast",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep PySpark 4 from logging the stack of an error that is reported in one line."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # Spark 3.5 does not log it
        yield
        return
    loggers = [
        PySparkLogger.getLogger(f"{kind}QueryContextLogger") for kind in ("SQL", "DataFrame")
    ]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _complaint(error: PySparkException) -> str:
    """Return the first line of Spark's message, without its suggestions and codes."""
    return _ASIDES.split(reason(error))[0].rstrip(" .;")


def _nodes(node: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (an object of the JVM)
    yield node.getClass().getSimpleName(), node
    children = node.children()
    for index in range(children.size()):
        yield from _nodes(children.apply(index))
    # The child of `to_date(x)` is `x`, but what runs is a cast of it.
    types = java_class(SparkContext._jvm, "py4j.reflection.TypeUtil")
    if types.isInstanceOf(_REPLACED, node):
        yield from _nodes(node.replacement())


def _find_calls(parsed: Any) -> Iterator[str]:  # noqa: ANN401 (an object of the JVM)
    """Yield what Spark's parser sees of other rows and of functions that are not listed."""
    for kind, node in _nodes(parsed):
        if kind == "UnresolvedFunction":
            name = node.nameParts().mkString(".").lower()
            if name not in FUNCTIONS:
                yield f"{name}() is not a function of one row with the same value at any time"
        elif kind == "WindowExpression" or "Subquery" in kind or kind == "Exists":
            yield "it looks at other rows"
        elif kind == "UnresolvedStar":
            yield "* includes columns that must not be features"


def _find_faults(analysed: Any, named: frozenset[str]) -> Iterator[str]:  # noqa: ANN401 (an object of the JVM)
    """Yield what shows only once types and names are resolved."""
    if not analysed.deterministic():
        yield "it has another value each time"
    for kind, node in _nodes(analysed):
        if _CLOCK.fullmatch(kind):
            yield "it uses the clock or the session"
        elif kind == "AttributeReference" and node.name().lower() not in named:
            yield f"it uses the column {node.name()} without its name"
        elif kind == "Cast" and _reads_a_time(node):
            yield (
                "it reads a time from text, in which 'now' and '12:30' mean the clock; give a "
                "format, as in to_date(x, 'yyyy-MM-dd') or to_timestamp(x, 'yyyy-MM-dd HH:mm:ss')"
            )


def _reads_a_time(cast: Any) -> bool:  # noqa: ANN401 (an object of the JVM)
    text = cast.child()
    into = _TIMES.search(cast.dataType().simpleString())
    if not into or "string" not in text.dataType().simpleString():
        return False
    return text.getClass().getSimpleName() != "Literal" or not is_dated(str(text.value()))
