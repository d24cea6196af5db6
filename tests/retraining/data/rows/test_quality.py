"""Validity: every planted defect is found, named and counted, and nothing else is."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.rows import quality
from retraining.data.rows.quality import (
    flag_duplicates,
    flag_few_duplicates,
    flag_invalid,
    quarantined_rows,
    valid_rows,
    validate,
)
from retraining.data.rows.reasons import Rejected
from retraining.description.reading import from_mapping, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from retraining.description.document import Description

    Change = Mapping[str, str | None]

pytestmark = pytest.mark.spark

FRAUD = Path(__file__).parents[4] / "steps" / "datasets" / "fraud.yaml"
GOOD = {
    "transaction_id": "1",
    "tx_datetime": "2018-04-01 00:00:31",
    "customer_id": "596",
    "terminal_id": "3156",
    "tx_amount": "57.16",
    "tx_time_seconds": "31",
    "tx_time_days": "0",
    "tx_fraud": "0",
    "tx_fraud_scenario": "0",
}


@pytest.fixture(params=["true", "false"], ids=["ansi", "no ansi"])
def ansi(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[None]:
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", request.param)
    yield
    spark.conf.set("spark.sql.ansi.enabled", str(before))


def describe(**columns: dict[str, Any]) -> Description:
    mapping = load(FRAUD).to_mapping()
    mapping["columns"].update(columns)
    return from_mapping(mapping)


def raw(spark: SparkSession, *changes: Change) -> DataFrame:
    """Good rows with changes; ids count from 1 unless a change names one."""
    names = [*GOOD, "_malformed", "_file"]
    rows = [
        {**GOOD, "transaction_id": str(number), "_malformed": None, "_file": "a.csv", **change}
        for number, change in enumerate(changes, 1)
    ]
    schema = ", ".join(f"{name} string" for name in names)
    return spark.createDataFrame([tuple(row[name] for name in names) for row in rows], schema)


def reasons(frame: DataFrame) -> list[str | None]:
    """By id, which no test leaves out."""
    rows = frame.select("transaction_id", "_reason").orderBy("transaction_id").collect()
    return [row["_reason"] for row in rows]


VALID: list[Change] = [
    {},
    {"customer_id": "0", "terminal_id": "0", "tx_time_seconds": "0", "tx_time_days": "0"},
    {"tx_fraud_scenario": None},
    {"tx_fraud_scenario": ""},
    {"tx_amount": " 1e3 "},
    {"tx_datetime": "2018-04-01T00:00:31.123456+02:00"},
]
BROKEN: list[tuple[str, Change]] = [
    ("malformed", {"_malformed": "1,2", "tx_amount": None}),
    ("unparseable customer_id", {"customer_id": "error"}),
    ("unparseable customer_id", {"customer_id": "596.5"}),
    ("unparseable customer_id", {"customer_id": "99999999999999999999"}),
    ("unparseable tx_fraud", {"tx_fraud": "2147483648"}),
    ("unparseable tx_amount", {"tx_amount": "NaN"}),
    ("unparseable tx_amount", {"tx_amount": "Infinity"}),
    ("unparseable tx_amount", {"tx_amount": "-inf"}),
    ("unparseable tx_amount", {"tx_amount": "1e999"}),
    ("unparseable tx_amount", {"tx_amount": "5d"}),
    ("unparseable tx_amount", {"tx_amount": "0x1p3"}),
    ("unparseable tx_datetime", {"tx_datetime": "2018-02-30 00:00:00"}),
    ("unparseable tx_datetime", {"tx_datetime": "00:00:31"}),
    ("unparseable tx_datetime", {"tx_datetime": "2018"}),
    ("unparseable tx_datetime", {"tx_datetime": "0001-01-01 00:00:00"}),
    ("unparseable tx_datetime", {"tx_datetime": "2018-04-01 junk"}),
    ("unparseable tx_fraud_scenario", {"tx_fraud_scenario": "x"}),
    ("unparseable tx_fraud_scenario", {"tx_fraud_scenario": "x", "tx_amount": "0"}),
    ("unparseable tx_datetime", {"tx_datetime": "x", "customer_id": None}),
    ("null tx_datetime", {"tx_datetime": None}),
    ("null terminal_id", {"terminal_id": "  "}),
    ("null tx_fraud", {"tx_fraud": "", "tx_amount": "0"}),
    ("range tx_amount", {"tx_amount": "0"}),
    ("range tx_amount", {"tx_amount": "-0.01"}),
    ("range customer_id", {"customer_id": "-999999"}),
    ("range customer_id", {"customer_id": "-1", "tx_amount": "0", "tx_fraud": "2"}),
    ("not allowed tx_fraud", {"tx_fraud": "2"}),
]


def test_each_row_gets_the_first_reason(spark: SparkSession, ansi: None) -> None:
    frame = validate(raw(spark, *VALID, *(change for _, change in BROKEN)), describe())
    assert reasons(frame) == [None] * len(VALID) + [reason for reason, _ in BROKEN]


def test_valid_rows_have_types_and_values(spark: SparkSession, ansi: None) -> None:
    frame = valid_rows(validate(raw(spark, *VALID), describe()), describe())
    types = {name: column.type for name, column in describe().columns.items()}
    assert dict(frame.dtypes) == types
    rows = frame.selectExpr("*", "unix_micros(tx_datetime) AS micros").orderBy("transaction_id")
    found = rows.collect()
    assert [row["tx_amount"] for row in found] == [57.16] * 4 + [1000.0, 57.16]
    assert [row["tx_fraud_scenario"] for row in found] == [0, 0, None, None, 0, 0]
    assert found[0]["micros"] == 1_522_540_831_000_000
    assert found[5]["micros"] == 1_522_533_631_123_456


def test_other_types_and_rules(spark: SparkSession, ansi: None) -> None:
    """Text with a pattern, a date within bounds, a boolean, a number below a bound."""
    description = describe(
        terminal_id={"type": "string", "not_null": True, "pattern": "[A-Z]\\d+"},
        customer_id={"type": "date", "min": "2018-01-01", "max": "2018-12-31"},
        tx_time_days={"type": "boolean"},
        tx_amount={"type": "double", "below": 100, "max": 100.5},
        tx_datetime={"type": "timestamp", "above": "2018-03-31", "max": "2018-04-02"},
    )
    rows = [
        {"terminal_id": "A1"},
        {"terminal_id": "A1x"},
        {"terminal_id": "xA1"},
        {"terminal_id": "A1\nB"},
        {"terminal_id": " "},
        {"customer_id": "2017-12-31"},
        {"customer_id": "2019-01-01 10:00:00"},
        {"customer_id": "2018-01-01x"},
        {"tx_time_days": "perhaps"},
        {"tx_amount": "100"},
        {"tx_datetime": "2018-03-31 23:59:59.999999"},
        {"tx_datetime": "2018-04-02 23:59:59.999999"},
        {"tx_datetime": "2018-04-03"},
    ]
    base = {"terminal_id": "A1", "customer_id": "2018-12-31 23:59:59", "tx_time_days": "true"}
    frame = validate(raw(spark, *({**base, **row} for row in rows)), description)
    assert reasons(frame) == [
        *(None, "pattern terminal_id", "pattern terminal_id", "pattern terminal_id"),
        *("null terminal_id", "range customer_id", "range customer_id"),
        *("unparseable customer_id", "unparseable tx_time_days", "range tx_amount"),
        *("range tx_datetime", None, "range tx_datetime"),
    ]


DUPLICATES: list[Change] = [
    {"transaction_id": "7", "tx_datetime": "2018-04-02 00:00:00", "customer_id": "2"},
    {"transaction_id": "7", "tx_datetime": "2018-04-01 00:00:00", "customer_id": "3"},
    {"transaction_id": "7", "tx_datetime": "2018-03-31 00:00:00", "tx_amount": "0"},
    {"transaction_id": "8", "customer_id": "1"},
    {"transaction_id": "8", "customer_id": "2"},
    {"transaction_id": "8", "customer_id": "2", "_file": "b.csv"},
    {"transaction_id": "9"},
    {"transaction_id": None, "customer_id": "4"},
    {"transaction_id": None, "customer_id": "4"},
]


def test_of_duplicates_the_earliest_valid_row_stays(spark: SparkSession) -> None:
    """Three 7s, of which the earliest is invalid; three 8s at one moment; two without an id."""
    frame = validate(raw(spark, *DUPLICATES), describe()).cache()
    assert Counter(row["_reason"] for row in frame.collect()) == {
        None: 3,
        "duplicate transaction_id": 3,
        "range tx_amount": 1,
        "null transaction_id": 2,
    }
    stays = {row["transaction_id"]: row for row in valid_rows(frame, describe()).collect()}
    assert stays[7]["customer_id"] == 3
    frame.unpersist()


@pytest.mark.parametrize("order", [range(9), range(8, -1, -1), [4, 0, 8, 2, 6, 1, 5, 3, 7]])
@pytest.mark.parametrize("partitions", [1, 7])
def test_which_duplicate_stays_depends_on_no_order(
    spark: SparkSession, order: Sequence[int], partitions: int
) -> None:
    frame = raw(spark, *(DUPLICATES[index] for index in order)).repartition(partitions)
    judged = validate(frame, describe())
    found = {tuple(row) for row in valid_rows(judged, describe()).collect()}
    first = {
        tuple(r)
        for r in valid_rows(validate(raw(spark, *DUPLICATES), describe()), describe()).collect()
    }
    assert found == first


def test_several_unique_columns_are_applied_one_after_the_other(spark: SparkSession) -> None:
    """The second row falls by its id, so the third keeps its terminal."""
    rows: list[Change] = [
        {"transaction_id": "1", "terminal_id": "1", "tx_datetime": "2018-04-01 00:00:00"},
        {"transaction_id": "1", "terminal_id": "2", "tx_datetime": "2018-04-01 00:00:01"},
        {"transaction_id": "2", "terminal_id": "2", "tx_datetime": "2018-04-01 00:00:02"},
        {"transaction_id": "3", "terminal_id": "2", "tx_datetime": "2018-04-01 00:00:03"},
    ]
    description = describe(terminal_id={"type": "bigint", "not_null": True, "unique": True})
    frame = validate(raw(spark, *rows), description)
    assert [row["_reason"] for row in frame.orderBy("tx_datetime").collect()] == [
        *(None, "duplicate transaction_id", None, "duplicate terminal_id")
    ]


@pytest.mark.parametrize(("keys", "rows"), [(500_000, 0), (0, 0), (500_000, 1_000_000)])
def test_few_duplicates_are_those_that_are_found_among_all_rows(
    spark: SparkSession, keys: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two keys, of which the second may be null; with and without a broadcast."""
    monkeypatch.setattr(quality, "_FEW_KEYS", keys)
    monkeypatch.setattr(quality, "_FEW_ROWS", rows)
    description = describe(tx_fraud_scenario={"type": "string", "unique": True})
    scenarios = ["a", "b", "", "", "a", "c", "b", "d", "a"]
    changes: list[Change] = [
        {**row, "tx_fraud_scenario": scenario}
        for row, scenario in zip(DUPLICATES, scenarios, strict=True)
    ]
    frame = flag_invalid(raw(spark, *VALID, *changes), description)
    wanted = flag_duplicates(frame, description)
    with ExitStack() as stack:
        found = flag_few_duplicates(frame.cache(), description, stack)
        assert found.columns == wanted.columns
        assert Counter(map(str, found.collect())) == Counter(map(str, wanted.collect()))
    found_reasons = Counter(row["_reason"] for row in wanted.collect())
    assert {"duplicate transaction_id", "duplicate tx_fraud_scenario"} <= {*found_reasons}
    frame.unpersist()


def test_quarantine_keeps_reason_file_and_text(spark: SparkSession) -> None:
    changes: list[Change] = [
        {},
        {"tx_amount": "error"},
        {"_malformed": "3,x", "customer_id": "x", "tx_amount": None, "_file": "b.csv"},
        {"transaction_id": "1", "tx_datetime": "2018-04-02 00:00:00"},
    ]
    frame = quarantined_rows(validate(raw(spark, *changes), describe()))
    assert frame.columns == ["_reason", "_file", "_malformed", *GOOD]
    rows = {row["_reason"]: row.asDict() for row in frame.collect()}
    text = {**GOOD, "_malformed": None, "_file": "a.csv"}
    assert rows == {
        "unparseable tx_amount": {
            **text, "_reason": "unparseable tx_amount", "transaction_id": "2", "tx_amount": "error"
        },
        "malformed": {
            **text, "_reason": "malformed", "transaction_id": "3", "tx_amount": None,
            "customer_id": "x", "_malformed": "3,x", "_file": "b.csv",
        },
        "duplicate transaction_id": {
            **text, "_reason": "duplicate transaction_id", "tx_datetime": "2018-04-02 00:00:00"
        },
    }  # fmt: skip


def test_without_labels_the_label_may_hold_anything(spark: SparkSession) -> None:
    rows: list[Change] = [
        {"tx_fraud": None},
        {"tx_fraud": "2"},
        {"tx_fraud": "soon"},
        {"tx_amount": None},
    ]
    frame = validate(raw(spark, *rows), describe(), labelled=False)
    assert reasons(frame) == [None, None, None, "null tx_amount"]


def test_flagging_again_changes_nothing(spark: SparkSession) -> None:
    once = validate(raw(spark, *DUPLICATES), describe())
    again = flag_duplicates(once, describe())
    assert sorted(map(str, once.collect())) == sorted(map(str, again.collect()))


def test_reasons_that_are_not_shown_are_counted() -> None:
    counts = {"null a": 5, "null b": 4, "null c": 3, "null d": 1}
    assert "other" not in str(Rejected.sorted({"null a": 5, "null b": 4, "null c": 3}, {}))
    assert str(Rejected.sorted(counts, {})).endswith("null c: 3; and 1 other reason: 1 row")
    more = Rejected.sorted(counts | {"null e": 2}, {})
    assert str(more).endswith("; and 2 other reasons: 3 rows")
