"""Which raw rows are valid, and the reason why each other one is not."""

from __future__ import annotations

import operator
from datetime import date
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.sql import functions as F
from pyspark.sql import window as W

from retraining.data import values
from retraining.data.columns import quote
from retraining.data.files.sources import FILE, MALFORMED
from retraining.data.rows import computed, known
from retraining.description.origins import unjudged_columns
from retraining.errors import RetrainingError
from retraining.spark.java import java_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from pyspark.sql import Column, DataFrame, SparkSession

    from retraining.description.columns import Column as ColumnRules
    from retraining.description.document import Description

REASON = "_reason"  # the first rule that a row breaks; null if it is valid
RAW = "_raw"  # a struct of the raw text of all columns; null for a valid row

# Before the name of a column: its text as it was read, and without blanks. Spark takes each
# field of a struct for cheap, and would make those of a struct again wherever they are used.
_READ, _TEXT = "_read_", "_text_"

_REPEATED = "_repeated"  # not null in a row whose key is there more than once
_FEW_KEYS = 500_000  # that each executor is given: some 50 MB
_FEW_ROWS = 1_000_000  # that are sorted before a plan for those with repeated keys is made

_BROKEN = {"min": operator.lt, "max": operator.gt, "above": operator.le, "below": operator.ge}


def validate(raw: DataFrame, description: Description, *, labelled: bool = True) -> DataFrame:
    """Give raw rows their types, and the rows that break a rule a reason.

    Args:
        raw: From `sources.read_raw`: strings, `_malformed` and `_file`.
        description: States types and rules. Blank text is null.
        labelled: Whether the label has to be valid too.

    Returns:
        The columns of the description with their types, `_raw`, `_malformed`, `_file` and
        `_reason`: null, or the first of "malformed", "unparseable <column>", "null <column>",
        "range <column>", "not allowed <column>", "pattern <column>", "duplicate <column>".
    """
    return flag_duplicates(flag_invalid(raw, description, labelled=labelled), description)


def flag_invalid(raw: DataFrame, description: Description, *, labelled: bool = True) -> DataFrame:
    """Give a reason to each row that breaks a rule by itself; duplicates come later.

    Raises:
        RetrainingError: If Java, which matches patterns in Spark, does not know one, or an
            expression is not valid.
    """
    held = description.file_columns
    _check_patterns(raw.sparkSession, description.columns)
    read = {name: f"{_READ}{name}" for name in held}
    texts = {name: f"{_TEXT}{name}" for name in held}
    bare = raw.select(
        *(F.col(name).alias(read[name]) for name in held),
        *(values.bare(name).alias(texts[name]) for name in held),
        *(MALFORMED, FILE),
    )
    given = {texts[name]: values.given(texts[name], read[name], name, description) for name in held}
    text = bare.withColumns(given)
    typed = text.select(
        "*",
        *(
            values.parse(quote(texts[name]), rule, description.files).alias(name)
            for name, rule in held.items()
        ),
    )
    unjudged = frozenset() if labelled else unjudged_columns(description)
    rules = {name: rule for name, rule in description.columns.items() if name not in unjudged}
    typed = known.mark(computed.add(typed, description, rules), description)
    judged = typed.withColumn(REASON, F.coalesce(*_reasons(description, rules)))
    # The text of a valid row repeats its values: kept, it would double what is cached.
    as_read = F.struct(*(F.col(column).alias(name) for name, column in read.items()))
    judged = judged.withColumn(RAW, F.when(F.col(REASON).isNotNull(), as_read))
    return judged.drop(*read.values(), *texts.values(), computed.UNCAST, known.KNOWN)


def flag_duplicates(
    frame: DataFrame, description: Description, *, first: Column | None = None
) -> DataFrame:
    """Give a reason to all but one of the valid rows that share the values of a unique key.

    The row with the earliest event time stays valid; among several, the one whose content has the
    smallest hash. Rows that have a reason already are not considered.

    Args:
        frame: From `flag_invalid`; the union of any number of such frames.
        description: Names the unique keys, the row key among them.
        first: An order that goes before the event time; None for no such order.
    """
    age = [] if first is None else [first]
    for key in description.unique_keys:
        frame = _flag_repeated(frame, key, description, *age)
    return frame


def flag_few_duplicates(cached: DataFrame, description: Description, stack: ExitStack) -> DataFrame:
    """Do what `flag_duplicates` does, sooner for many rows of which few have a repeated key.

    All keys are counted, but only rows whose key is repeated are sorted with their values.

    Args:
        cached: From `flag_invalid`, cached: it is read several times.
        description: Names the unique keys.
        stack: Releases what is cached here at its end; the result is for reading before.
    """
    frame = cached
    for key in description.unique_keys:
        given = frame.where(F.col(REASON).isNull() & is_given(key))
        repeated = given.groupBy(*key).count().where(F.col("count") > 1).select(*key).cache()
        stack.callback(repeated.unpersist)
        n_keys = repeated.count()
        if n_keys and (n_keys > _FEW_KEYS or frame.count() <= _FEW_ROWS):
            frame = _flag_repeated(frame, key, description).persist(StorageLevel.MEMORY_AND_DISK)
            stack.callback(frame.unpersist)
        elif n_keys:
            marked = repeated.withColumn(_REPEATED, F.lit(1))
            joined = frame.join(F.broadcast(marked), on=[*key], how="left")
            once, more = (
                joined.where(condition).select(*frame.columns)
                for condition in (F.col(_REPEATED).isNull(), F.col(_REPEATED).isNotNull())
            )
            frame = once.unionByName(_flag_repeated(more, key, description))
    return frame


def _flag_repeated(
    frame: DataFrame, key: Sequence[str], description: Description, *first: Column
) -> DataFrame:
    is_valid = F.col(REASON).isNull()
    content = F.xxhash64(
        *(part for name in description.columns for part in (F.col(name).isNull(), F.col(name)))
    )
    age = [*first, *([F.col(description.event_time)] if description.event_time else [])]
    # Rejected rows are spread by their content: many share a null key, and a single task would
    # have to sort all of them.
    window = W.Window.partitionBy(*key, F.when(~is_valid, content)).orderBy(
        *age, content, F.col(FILE)
    )
    is_repeated = is_given(key) & is_valid & (F.row_number().over(window) > 1)
    reason = F.when(is_repeated, duplicate(key)).otherwise(F.col(REASON))
    return frame.withColumn(REASON, reason)


def is_given(key: Sequence[str]) -> Column:
    """Whether a row has a value in every column of a key."""
    return reduce(and_, (F.col(name).isNotNull() for name in key))


def duplicate(key: Sequence[str]) -> str:
    """Return the reason of a row that has the key of another one."""
    return f"duplicate {' and '.join(key)}"


def valid_rows(frame: DataFrame, description: Description) -> DataFrame:
    """Return the rows without a reason, with the columns that are kept."""
    return frame.where(F.col(REASON).isNull()).select(*description.kept_columns)


def quarantined_rows(frame: DataFrame) -> DataFrame:
    """Return the rows with a reason: `_reason`, `_file`, `_malformed`, and each column as text.

    The text is that of the file. A duplicate is valid by itself: its values are cast to text.
    """
    texts = frame.select(f"{RAW}.*").columns
    is_kept = F.col(RAW).isNotNull()
    text = [
        F.when(is_kept, F.col(f"{RAW}.{name}")).otherwise(F.col(name).cast("string")).alias(name)
        for name in texts
    ]
    return frame.where(F.col(REASON).isNotNull()).select(REASON, FILE, MALFORMED, *text)


def _reasons(description: Description, rules: Mapping[str, ColumnRules]) -> list[Column]:
    """Return the reasons of a row by the order in which they count; null where a rule holds."""
    where = known.applies(description)
    reasons = [F.when(F.col(MALFORMED).isNotNull(), "malformed")]
    reasons += [
        F.when(where(name, _text(name).isNotNull() & F.col(name).isNull()), f"unparseable {name}")
        for name in rules
        if name in description.file_columns
    ]
    reasons += [
        F.when(where(name, F.col(computed.UNCAST) == uncast), uncast)
        for name in rules
        if name not in description.file_columns
        for uncast in [f"unparseable {name}"]
    ]
    needed = [name for name in description.not_null_columns if name in rules]
    reasons += [F.when(where(name, F.col(name).isNull()), f"null {name}") for name in needed]
    reasons += [
        F.when(where(name, broken), f"{kind} {name}")
        for kind in ("range", "not allowed", "pattern")
        for name, rule in rules.items()
        for broken in _broken_rules(name, rule, kind)
    ]
    weight = description.weight
    if weight is not None and weight in rules:
        no_weight = where(weight, F.col(weight) <= 0)
        reasons.append(F.when(no_weight, f"range {weight}"))
    return reasons


def _check_patterns(spark: SparkSession, rules: Mapping[str, ColumnRules]) -> None:
    for name, rule in rules.items():
        if rule.pattern is None:
            continue
        try:
            java_class(spark._jvm, "java.util.regex.Pattern").compile(rule.pattern)
        except Py4JJavaError as error:
            reason = error.java_exception.getDescription()
            raise RetrainingError(
                f"columns.{name}.pattern: {rule.pattern!r} is not a regular expression ({reason})",
                "write one that Java knows",
            ) from error


def _text(name: str) -> Column:
    return F.col(quote(f"{_TEXT}{name}"))


def _broken_rules(name: str, rules: ColumnRules, kind: str) -> Iterator[Column]:
    value = F.col(name)
    if kind == "range":
        for rule, bound in rules.bounds.items():
            # A bound is a whole day: its noon is neither above it nor more than it.
            compared = F.to_date(value) if isinstance(bound, date) else value
            yield _BROKEN[rule](compared, F.lit(bound))
    elif kind == "not allowed" and rules.allowed is not None:
        yield ~value.isin(*rules.allowed)
    elif kind == "pattern" and rules.pattern is not None:
        text = _text(name) if rules.expression is None else value.cast("string")
        yield value.isNotNull() & ~text.rlike(rf"\A(?:{rules.pattern})\z")
