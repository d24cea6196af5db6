"""Which raw rows are valid, and the reason why each other one is not."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import window as W

from retraining.data.columns import quote
from retraining.data.sources import FILE, MALFORMED
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import Column, DataFrame

    from retraining.description.document import Description
    from retraining.description.sections import Column as ColumnRules

REASON = "_reason"  # the first rule that a row breaks; null if it is valid
RAW = "_raw"  # a struct of the raw text of all columns; null for a valid row

# A cast takes "12:30" for a time of today, "1d" for 1.0 and "NaN" for a number. Years before 1900
# cannot be written by every version of Spark, and no event of interest is that old.
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_DATE = r"^\s*(19|[2-9]\d)\d\d-\d{1,2}-\d{1,2}"

_REASONS_SHOWN = 3

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
    """Give a reason to each row that breaks a rule by itself; duplicates come later."""
    rules = dict(description.columns)
    texts = {name: F.when(F.trim(F.col(name)) != "", F.col(name)) for name in rules}
    text = raw.select(
        F.struct(*rules).alias(RAW), *(texts[name].alias(name) for name in rules), MALFORMED, FILE
    )
    typed = text.select(
        *(F.expr(_parse(name, rule.type)).alias(name) for name, rule in rules.items()),
        RAW,
        MALFORMED,
        FILE,
    )
    if not labelled:
        del rules[description.label.column]
    reasons = [F.when(F.col(MALFORMED).isNotNull(), "malformed")]
    reasons += [
        F.when(_is_given(name) & F.col(name).isNull(), f"unparseable {name}") for name in rules
    ]
    needed = [name for name in description.not_null_columns if name in rules]
    reasons += [F.when(F.col(name).isNull(), f"null {name}") for name in needed]
    reasons += [
        F.when(broken, f"{kind} {name}")
        for kind in ("range", "not allowed", "pattern")
        for name, rule in rules.items()
        for broken in _broken_rules(name, rule, kind)
    ]
    # The text of a valid row repeats its values: kept, it would double what is cached.
    judged = typed.withColumn(REASON, F.coalesce(*reasons))
    return judged.withColumn(RAW, F.when(F.col(REASON).isNotNull(), F.col(RAW)))


def flag_duplicates(
    frame: DataFrame, description: Description, *, first: Column | None = None
) -> DataFrame:
    """Give a reason to all but one of the valid rows that share a value of a unique column.

    The row with the earliest event time stays valid; among several, the one whose content has the
    smallest hash. Rows that have a reason already are not considered.

    Args:
        frame: From `flag_invalid`; the union of any number of such frames.
        description: Names the unique columns, which include the row key.
        first: An order that goes before the event time; None for no such order.
    """
    is_valid = F.col(REASON).isNull()
    content = F.xxhash64(
        *(part for name in description.columns for part in (F.col(name).isNull(), F.col(name)))
    )
    age = [] if first is None else [first]
    age += [F.col(description.event_time)] if description.event_time else []
    for name in description.unique_columns:
        # Rejected rows are spread by their content: many share a null key, and a single task
        # would have to sort all of them.
        window = W.Window.partitionBy(name, F.when(~is_valid, content)).orderBy(
            *age, content, F.col(FILE)
        )
        is_repeated = is_valid & F.col(name).isNotNull() & (F.row_number().over(window) > 1)
        reason = F.when(is_repeated, F.lit(f"duplicate {name}")).otherwise(F.col(REASON))
        frame = frame.withColumn(REASON, reason)
    return frame


def check_share(
    rejected: Mapping[str, int], n_rows: int, description: Description, remedy: str
) -> None:
    """Check that the share of rejected rows is at most `quarantine.max_share`.

    Args:
        rejected: Number of rejected rows by reason, the most frequent first.
        n_rows: Number of all rows.
        description: States the largest share.
        remedy: What the user can do; ends with the key that could be raised.

    Raises:
        RetrainingError: If it is larger.
    """
    largest = description.quarantine.max_share
    n_rejected = sum(rejected.values())
    if n_rejected <= largest * n_rows:
        return
    top = list(rejected.items())[:_REASONS_SHOWN]
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in top)
    raise RetrainingError(
        f"{n_rejected / n_rows:.2%} of {n_rows:,} rows were rejected ({reasons})",
        f"{remedy} above {largest:.2%}",
    )


def valid_rows(frame: DataFrame, description: Description) -> DataFrame:
    """Return the rows without a reason, with the columns of the description."""
    return frame.where(F.col(REASON).isNull()).select(*description.columns)


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


def _is_given(name: str) -> Column:
    return F.trim(F.col(f"{RAW}.{name}")) != ""


def _parse(name: str, kind: str) -> str:
    """Return the SQL expression for the value of a text; null if the text cannot be read."""
    text = quote(name)
    if kind == "string":
        return text
    if kind in ("date", "timestamp"):
        moment = f"try_cast(CASE WHEN {text} RLIKE r'{_DATE}' THEN {text} END AS TIMESTAMP)"
        return f"try_cast({moment} AS {kind})"
    if kind == "double":
        number = f"try_cast(CASE WHEN {text} RLIKE r'{_NUMBER}' THEN {text} END AS DOUBLE)"
        return f"CASE WHEN abs({number}) < double('Infinity') THEN {number} END"
    return f"try_cast({text} AS {kind})"


def _broken_rules(name: str, rules: ColumnRules, kind: str) -> Iterator[Column]:
    value = F.col(name)
    if kind == "range":
        for rule, bound in rules.bounds.items():
            yield _BROKEN[rule](value, F.lit(bound))
    elif kind == "not allowed" and rules.allowed is not None:
        yield ~value.isin(*rules.allowed)
    elif kind == "pattern" and rules.pattern is not None:
        text = F.col(f"{RAW}.{name}")
        yield value.isNotNull() & ~text.rlike(rf"\A(?:{rules.pattern})\z")
