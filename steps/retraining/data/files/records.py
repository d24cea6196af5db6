"""Records of text files, as Spark reads them: lines, and what quotes over line breaks make of them.

A big file is read by many tasks, each of which begins somewhere in it, so none can know whether a
quote was opened before. Hence two ways: where no line of a file leaves a quote open, each line is a
record, and all tasks read at once. The lines of other files are put in order and followed from the
beginning, one task per file.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import window as W

from retraining.data.files.fields import escape_glob
from retraining.data.files.heads import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, SparkSession

    from retraining.data.files.delimited import Grammar
    from retraining.data.files.heads import Encoding

TEXT: Final = "_text"  # a record, or a line of one that is torn
FILE: Final = "_path"
MARKED: Final = "_marked"  # the text as `Grammar.marked` gives it
TORN: Final = "_torn"  # whether the text is part of a record whose quotes are not as they should be
_BLOCK: Final = "_block"
_LINE: Final = "_line"


def read_lines(spark: SparkSession, paths: Sequence[str], encoding: Encoding) -> DataFrame:
    """The lines of files with the same encoding: `_text`, `_path`, and their order.

    Bytes that the encoding does not know become U+FFFD.
    """
    reader = spark.read.option("lineSep", encoding.ending)
    if encoding.name.startswith("utf-16"):
        reader = reader.option("encoding", encoding.name)
    lines = reader.text([escape_glob(path) for path in paths]).select(
        _decoded(spark, F.col("value"), encoding).alias(TEXT),
        F.col("_metadata.file_path").alias(FILE),
        F.col("_metadata.file_block_start").alias(_BLOCK),
    )
    text = F.when(F.col(TEXT).startswith("\ufeff"), F.expr(f"substr({TEXT}, 2)"))
    text = text.otherwise(F.col(TEXT))
    ends = F.col(TEXT).endswith("\r")
    return lines.withColumn(TEXT, text).withColumn(
        TEXT, F.when(ends, F.expr(rf"trim(TRAILING '\r' FROM {TEXT})")).otherwise(F.col(TEXT))
    )


def read_records(
    spark: SparkSession,
    paths: Sequence[str],
    encoding: Encoding,
    grammar: Grammar,
    comment: str | None,
) -> DataFrame:
    """The records of files of the same encoding and grammar: `_text`, `_marked`, `_path`, `_torn`.

    A record whose quotes are not as they should be is divided into its lines again, all torn: an
    open quote may have swallowed any number of rows, which count.
    """
    lines = read_lines(spark, paths, encoding)
    is_comment = F.col(TEXT).startswith(comment) if comment else F.lit(False)  # noqa: FBT003
    is_idle = is_comment | (F.trim(F.col(TEXT)) == "")
    opens = grammar.opens(F.col(TEXT)) & ~is_comment
    tangled = _files_with(lines, opens, paths) if grammar.quote else []
    easy = [path for path in paths if path not in tangled]
    frames = []
    if easy:
        # Many files are looked up once only, where that is enough.
        alone = (read_lines(spark, easy, encoding) if tangled else lines).where(~is_idle)
        frames.append(alone.select(TEXT, FILE, F.lit(False).alias(TORN)))  # noqa: FBT003
    if tangled:
        followed = _follow(read_lines(spark, tangled, encoding), opens, grammar)
        frames.append(_assemble(followed, is_idle, grammar))
    records = reduce(DataFrame.unionByName, frames)
    marked = records.withColumn(MARKED, grammar.marked(F.col(TEXT)))
    return marked.withColumn(TORN, F.col(TORN) | ~grammar.is_whole(F.col(MARKED)))


def is_undecodable(text: Column) -> Column:
    """Whether bytes of a text were not of its encoding."""
    if hasattr(F, "is_valid_utf8"):
        return ~F.is_valid_utf8(text) | text.contains(UNDECODABLE)
    # UTF-8 is not decoded when it is read, but to make letters small Spark 3.5 decodes them.
    return F.lower(text).contains(UNDECODABLE)


def _decoded(spark: SparkSession, value: Column, encoding: Encoding) -> Column:
    if encoding.name == "utf-8":
        return value
    # Otherwise Spark 4 knows few encodings, and fails at the first byte that it cannot decode.
    spark.conf.set("spark.sql.legacy.javaCharsets", "true")
    spark.conf.set("spark.sql.legacy.codingErrorAction", "true")
    return F.decode(value.cast("binary"), encoding.name)


def _files_with(lines: DataFrame, condition: Column, paths: Sequence[str]) -> list[str]:
    found = {row[0] for row in lines.where(condition).select(FILE).distinct().collect()}
    found = {unquote(path).replace(":///", ":/") for path in found}
    return [path for path in paths if path.replace(":///", ":/") in found]


def _follow(lines: DataFrame, opens: Column, grammar: Grammar) -> DataFrame:
    """Say of each line whether a quote is open at its beginning and at its end.

    What a line makes of it is one of four: open, closed, the same as before, or the opposite. The
    state is that of the last line which decided it, turned by each opposite since.
    """
    order = W.Window.partitionBy(FILE).orderBy(_BLOCK, _LINE)
    stays = grammar.stays_open(F.col(TEXT))
    judged = lines.withColumn(_LINE, F.monotonically_increasing_id()).select(
        "*", opens.alias("_opens"), stays.alias("_stays")
    )
    turns = F.sum((F.col("_opens") & ~F.col("_stays")).cast("int")).over(order)
    decides = F.col("_opens") == F.col("_stays")
    turned = judged.withColumn("_turns", turns)
    last = F.last(
        F.when(decides, F.col("_opens").cast("int") - F.col("_turns")), ignorenulls=True
    ).over(order)
    after = turned.withColumn("_last", F.coalesce(last, F.lit(0))).withColumn(
        "_after", (F.col("_last") + F.col("_turns")) % 2 != 0
    )
    before = F.coalesce(F.lag("_after").over(order), F.lit(False))  # noqa: FBT003 (a value)
    return after.withColumn("_before", before)


def _assemble(followed: DataFrame, is_idle: Column, grammar: Grammar) -> DataFrame:
    """Join the lines of each record, unless its quote is never closed or it is not whole."""
    everything = W.Window.partitionBy(FILE)
    order = everything.orderBy(_BLOCK, _LINE)
    place = F.struct(_BLOCK, _LINE)
    last_end = F.max(F.when(~F.col("_after"), place)).over(everything)
    numbered = (
        followed.withColumn("_record", F.sum((~F.col("_before")).cast("bigint")).over(order))
        .withColumn("_endless", F.coalesce(place > last_end, F.lit(True)))  # noqa: FBT003
        .where(~is_idle | F.col("_before") & ~F.col("_endless"))
    )
    alone = F.when(F.col("_endless"), place)
    records = (
        numbered.groupBy(FILE, "_record", alone.alias("_alone"))
        .agg(F.sort_array(F.collect_list(F.struct(_BLOCK, _LINE, TEXT))).alias("_lines"))
        .withColumn("_lines", F.col(f"_lines.{TEXT}"))
        .withColumn(TEXT, F.array_join("_lines", "\n"))
    )
    torn = F.col("_alone").isNotNull() | ~grammar.is_whole(grammar.marked(F.col(TEXT)))
    return records.withColumn(TORN, torn).select(
        F.explode(F.when(F.col(TORN), F.col("_lines")).otherwise(F.array(TEXT))).alias(TEXT),
        FILE,
        TORN,
    )
