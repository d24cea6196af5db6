"""Values from the text of files: what is no value, and how numbers and times are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retraining.data.columns import quote
from retraining.description.columns import TIME_TYPES
from retraining.description.times import EPOCHS, FIRST_YEAR

if TYPE_CHECKING:
    from pyspark.sql import Column

    from retraining.description.columns import Column as ColumnRules
    from retraining.description.document import Description
    from retraining.description.section import Value
    from retraining.description.text_files import Files

# Blanks at the ends of a text, and what is as invisible: Spark's own trim knows only the first.
BLANKS = " \t\r\n\v\f\0\u0085\u00a0\u1680\u180e\u2028\u2029\u202f\u205f\u3000\ufeff"
BLANKS += "".join(map(chr, range(0x2000, 0x2010)))

# A cast takes "12:30" for a time of today, "1d" for 1.0 and "NaN" for a number. Years before 1900
# cannot be written by every version of Spark, and no event of interest is that old.
_DATE = r"^(?:19|[2-9]\d)\d\d-\d{1,2}-\d{1,2}"
_YEARS = (FIRST_YEAR, 9999)
_SECONDS = (-2_208_988_800, 253_402_300_799)  # the same years, in seconds since 1970
# A moment of a parquet file, which needs neither a format nor a zone to be read.
_MOMENT = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx"
_IS_MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$"

_INFINITY = "double('Infinity')"
_PLACES = 18  # of the decimals that numbers with a point are read as
_EXACT = 1e15  # below it, a double holds each whole number

_BOOLEANS = ("true", "t", "yes", "y", "1", "false", "f", "no", "n", "0")
# A mark between thousands, as a class of characters that look like it.
_MARKS = {",": "[,]", ".": "[.]", " ": "[ \u00a0\u2007\u202f]", "'": "['\u2019]"}


def as_text(value: Column, kind: T.DataType, name: str, description: Description) -> Column:
    """Return a typed column as the text that `parse` reads the same value from; null for NaN.

    Args:
        value: The column of a file.
        kind: Its type.
        name: What the description calls it.
        description: Of the data set.
    """
    rule = description.columns[name]
    is_ambiguous = isinstance(kind, T.TimestampType) and description.timezone != "UTC"
    if rule.format is not None:
        is_ambiguous = isinstance(kind, T.DateType | T.TimestampType | T.TimestampNTZType)
    if is_ambiguous and rule.type in TIME_TYPES:
        return F.date_format(value.cast("timestamp"), _MOMENT)
    text = value.cast("string")
    if isinstance(kind, T.FractionalType):
        text = with_mark(text, description.files)
        if rule.type == "string":  # where some values are missing, others write 7 as 7.0
            is_whole = (value % 1 == 0) & (F.abs(value) < _EXACT)
            text = F.when(is_whole, value.cast("bigint").cast("string")).otherwise(text)
    return F.when(~F.isnan(value), text) if isinstance(kind, T.FloatType | T.DoubleType) else text


def with_mark(number: Column, files: Files) -> Column:
    """Return the text of a number with the decimal mark that `parse` expects."""
    return number if files.decimal == "." else F.replace(number, F.lit("."), F.lit(files.decimal))


def bare(name: str) -> Column:
    """Return a column of text without blanks at its ends."""
    text = F.col(name)
    # A visible character of ASCII at either end is found sooner than all blanks.
    last = F.substring(text.cast("binary"), -1, 1)
    begins = (text >= "!") & (text < "\x7f")
    ends = (last >= F.lit(b"!")) & (last < F.lit(b"\x7f"))
    return F.when(begins & ends, text).otherwise(F.btrim(text, F.lit(BLANKS)))


def given(bare: str, read: str, name: str, description: Description) -> Column:
    """Return the text of a value: null if it is blank or means that there is no value.

    With `files.trim: false`, values of type string keep their blanks.

    Args:
        bare: The column of the text without blanks.
        read: The column of the text as it was read.
        name: What the description calls the column.
        description: Of the data set.
    """
    rule, files = description.columns[name], description.files
    text, marks = F.col(bare), description.null_values_of(name)
    is_given = ~text.isin(["", *map(_written, marks)])
    numbers = [float(mark) for mark in marks if not isinstance(mark, bool | str)]
    if numbers and rule.numeric:
        number = F.expr(f"try_cast({_number(quote(bare), files)} AS DOUBLE)")
        is_given &= ~F.coalesce(number.isin(numbers), F.lit(False))  # noqa: FBT003 (a literal)
    return F.when(is_given, F.col(read) if rule.type == "string" and not files.trim else text)


def looks_like(text: str, rule: ColumnRules, files: Files) -> bool:
    """Whether a text may be a value of a column; roughly, for the first rows of a file."""
    text = text.strip(BLANKS)
    if rule.type == "boolean":
        return text.lower() in _BOOLEANS
    if rule.type in TIME_TYPES:
        return any(character.isdigit() for character in text)
    return rule.type == "string" or re.match(_number_pattern(files), text) is not None


def parse(text: str, rule: ColumnRules, files: Files) -> Column:
    """Return the value of a clean text; null if the text cannot be read.

    Args:
        text: SQL of the text.
        rule: The type, and the format of times.
        files: How numbers are written.
    """
    if rule.type == "string":
        return F.expr(text)
    if rule.type == "boolean":
        return F.expr(f"try_cast({text} AS BOOLEAN)")
    if rule.type in TIME_TYPES:
        return F.expr(f"try_cast({_moment(text, rule.format, files)} AS {rule.type})")
    plain = _plain(text, files)
    number = f"try_cast({plain} AS DOUBLE)"
    if rule.type == "double":
        finite = f"CASE WHEN abs({number}) < {_INFINITY} THEN {number} END"
        return F.expr(_if_like(_number_pattern(files), text, finite))
    # 1.0 and 1e3 are whole numbers, too; 1.5 keeps its 5.
    places = f"CAST(try_cast({plain} AS DECIMAL(38, {_PLACES})) AS STRING)"
    digits = f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM {places}))"
    whole = _if_like(_whole_pattern(files), text, f"try_cast({digits} AS {rule.type})")
    quick = text if plain == text else _number(text, files)
    return F.expr(f"coalesce(try_cast({quick} AS {rule.type}), {whole})")


def _written(mark: Value) -> str:
    return str(mark).lower() if isinstance(mark, bool) else str(mark)


def _number(text: str, files: Files) -> str:
    """Return SQL of the text of a number as Spark writes it; null for any other text."""
    return _if_like(_number_pattern(files), text, _plain(text, files))


def _if_like(pattern: str, text: str, value: str) -> str:
    """Return SQL of a value if a text is like a pattern; null for any other text."""
    return f"CASE WHEN {text} RLIKE {_literal(pattern)} THEN {value} END"


def _plain(number: str, files: Files) -> str:
    """Return SQL of the text of a number without marks between thousands, and with a point."""
    plain = number
    if files.thousands is not None:
        plain = f"regexp_replace({plain}, {_literal(_MARKS[files.thousands])}, '')"
    if files.decimal != ".":
        plain = f"replace({plain}, {_literal(files.decimal)}, '.')"
    return plain


def _number_pattern(files: Files) -> str:
    return _pattern(files, r"\d*", "[+-]?")


def _whole_pattern(files: Files) -> str:
    """Return the pattern of numbers whose places a decimal can hold: 1e-30 would be 0."""
    return _pattern(files, rf"\d{{0,{_PLACES}}}", "[+]?")


def _pattern(files: Files, places: str, sign: str) -> str:
    """Return the pattern of numbers with these decimal places, and this sign of an exponent."""
    decimal, digits = re.escape(files.decimal), r"\d+"
    if files.thousands is not None:
        mark = _MARKS[files.thousands]
        digits = rf"(?:\d+|\d{{1,3}}(?:{mark}\d{{3}})+)"
    number = rf"{digits}(?:{decimal}{places})?|{decimal}(?=\d){places}"
    return rf"^[+-]?(?:{number})(?:[eE]{sign}\d+)?$"


def _moment(text: str, pattern: str | None, files: Files) -> str:
    iso = f"try_cast({text} AS TIMESTAMP)"
    if pattern is None:
        return f"CASE WHEN {text} RLIKE {_literal(_DATE)} THEN {iso} END"
    if pattern in EPOCHS:
        low, high = (bound * EPOCHS[pattern] for bound in _SECONDS)
        micros = 1_000_000 // EPOCHS[pattern]
        count = f"try_cast({_number(text, files)} AS DECIMAL(24, 6))"
        read = (
            f"CASE WHEN {count} BETWEEN {low} AND {high} "
            f"THEN timestamp_micros(CAST({count} * {micros} AS BIGINT)) END"
        )
    else:
        by_pattern = f"try_to_timestamp({text}, {_literal(pattern)})"
        first, last = _YEARS
        read = f"CASE WHEN year({by_pattern}) BETWEEN {first} AND {last} THEN {by_pattern} END"
    return f"CASE WHEN {text} RLIKE {_literal(_IS_MOMENT)} THEN {iso} ELSE {read} END"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
