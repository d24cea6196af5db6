"""Descriptions: what is read, and every way in which one is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from retraining.description.reading import from_mapping, load
from retraining.description.splitting import Period, TimeSplit
from retraining.errors import RetrainingError

DATASETS = Path(__file__).parents[3] / "steps" / "datasets"


@pytest.fixture
def fraud() -> dict[str, Any]:
    return load(DATASETS / "fraud.yaml").to_mapping()


@pytest.fixture
def drivers() -> dict[str, Any]:
    return load(DATASETS / "drivers.yaml").to_mapping()


def change(mapping: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set a key by its dotted path; None removes it."""
    *parents, last = path.split(".")
    inner: Any = mapping
    for key in parents:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return mapping


@pytest.mark.parametrize("name", ["fraud", "drivers"])
def test_description_survives_json(name: str) -> None:
    description = load(DATASETS / f"{name}.yaml")
    again = from_mapping(json.loads(json.dumps(description.to_mapping())))
    assert again == description
    assert again.digest == description.digest
    assert list(again.columns) == list(description.columns)


def test_fraud_has_the_fifteen_features_of_the_handbook() -> None:
    features = load(DATASETS / "fraud.yaml").feature_columns
    assert len(features) == 15
    assert features[0] == "tx_amount"
    assert features[1:4] == (
        "customer_id_count_1d",
        "customer_id_tx_amount_mean_1d",
        "customer_id_count_7d",
    )
    assert features[-3:] == ("terminal_id_tx_fraud_mean_30d", "is_weekend", "is_night")


def test_durations_and_periods_are_read(fraud: dict[str, Any]) -> None:
    fraud["split"]["train"] = {"start": "2018-07-25", "end": date(2018, 8, 1)}
    fraud["split"]["validation"] = {"start": "2018-07-11", "end": "2018-07-18"}
    fraud["split"]["holdout"] = {"start": "2018-08-08", "end": "2018-08-15"}
    description = from_mapping(fraud)
    assert description.label.delay == timedelta(days=7)
    assert isinstance(description.split, TimeSplit)
    assert description.split.train == Period(start=date(2018, 7, 25), end=date(2018, 8, 1))


@pytest.mark.parametrize(
    ("window", "name"),
    [
        ("1 day", "terminal_id_tx_fraud_mean_1d"),
        ("24 hours", "terminal_id_tx_fraud_mean_1d"),
        ("12 hours", "terminal_id_tx_fraud_mean_12h"),
        ("90 minutes", "terminal_id_tx_fraud_mean_90m"),
        ("45 seconds", "terminal_id_tx_fraud_mean_45s"),
    ],
)
def test_rolling_features_are_named_by_window(
    fraud: dict[str, Any], window: str, name: str
) -> None:
    change(fraud, "features.rolling.1.windows", [window])
    change(fraud, "features.fill", {})
    assert name in from_mapping(fraud).feature_columns


def test_needed_columns_follow_from_their_roles(fraud: dict[str, Any]) -> None:
    fraud["columns"] = {name: {"type": column["type"]} for name, column in fraud["columns"].items()}
    fraud["never_features"].remove("terminal_id")
    description = from_mapping(fraud)
    assert description.not_null_columns == (
        *("transaction_id", "tx_datetime", "customer_id", "tx_fraud"),
    )
    fraud["unit"], fraud["gate"]["period"] = ["customer_id", "terminal_id"], "tx_fraud_scenario"
    assert {"terminal_id", "tx_fraud_scenario"} <= {*from_mapping(fraud).not_null_columns}
    assert description.unique_keys == (("transaction_id",),)


@pytest.mark.parametrize(
    ("path", "value", "same_rows"),
    [
        ("summary", "Other words", True),
        ("estimator.parameters", {"maxDepth": 3}, True),
        ("split.holdout", "8 days", True),
        ("quarantine.max_share", 0.5, True),
        ("columns.tx_amount.above", 1, False),
        ("unit", "terminal_id", True),
        ("gate.period", "tx_fraud_scenario", False),
        ("features.derived.is_weekend", "CAST(0 AS INT)", False),
        ("never_features", ["transaction_id"], False),
    ],
)
def test_digests_tell_changes_of_rows_from_others(
    fraud: dict[str, Any], path: str, value: object, *, same_rows: bool
) -> None:
    before = from_mapping(fraud)
    after = from_mapping(change(fraud, path, value))
    assert before.digest != after.digest
    assert (before.preparation_digest == after.preparation_digest) is same_rows


def test_digest_sees_the_order_of_columns(fraud: dict[str, Any]) -> None:
    before = from_mapping(fraud)
    fraud["columns"] = dict(reversed(fraud["columns"].items()))
    assert from_mapping(fraud).preparation_digest != before.preparation_digest


GBT = "search.estimators.GBTClassifier"
KNOWN = {"key": "customer_id", "delay": "8 days"}
FORBIDDEN = "must not be a feature"

# What is changed in the description of frauds, the key that is complained of, and what the
# complaint shows: the value, and what is allowed.
REFUSED: list[tuple[str, Any, str, tuple[str, ...]]] = [
    ("name", "Fraud", "name", ("'Fraud'", "pattern")),
    ("label", None, "label", ("missing",)),
    ("typo", 1, "typo", ("allowed: name, summary, files, columns",)),
    ("files.typo", 1, "files.typo", ("allowed: header, comment, separator",)),
    ("files.separator", "", "files.separator", ("''", "1 character")),
    ("files.separator", "\\t", "files.separator", ('"\\t" in double quotes',)),
    ("columns.terminal_id", "int", "columns.terminal_id", ("'int' has no keys", "{key: value}")),
    ("files.separator", "a#", "files", ("comment: '#' is in the separator",)),
    ("files.separator", '"', "files", ("quote: '\"' is in the separator",)),
    ("files.separator", ",\n", "files", ("separator: ',\\n' ends a line",)),
    ("files.comment", '"', "files", ("comment: '\"' is also quote",)),
    ("files.quote", "''", "files.quote", ("\"''\"", "one character, or none")),
    ("files.encoding", "utf9", "files.encoding", ("'utf9'", "cp1251")),
    ("files.encoding", "cp037", "files.encoding", ("'cp037'", "cp1251")),
    ("files.encoding", "unicode_escape", "files.encoding", ("'unicode_escape'", "cp1251")),
    ("files.encoding", "rot13", "files.encoding", ("'rot13'", "cp1251")),
    ("columns.tx_amount.type", "float", "columns.tx_amount.type", ("'float'", "'string'")),
    ("columns.tx_amount.min", "x", "columns.tx_amount.min", ("'x'", "integer")),
    ("columns.tx_amount.min", "2018-01-01", "columns.tx_amount", ("2018-01-01", "double")),
    ("columns.tx_datetime.min", 5, "columns.tx_datetime", ("min: 5", "timestamp")),
    ("columns.tx_fraud.allowed", ["a"], "columns.tx_fraud", ("allowed: 'a'", "int")),
    ("columns.tx_amount.pattern", "(", "columns.tx_amount.pattern", ("'('",)),
    ("columns.a b", {"type": "int"}, "columns.a b", ("'a b'", "letters, digits")),
    ("columns._a", {"type": "int"}, "columns._a", ("'_a'", "a letter first")),
    ("columns.1", {"type": "int"}, "columns.1", ("'1'", "a letter first")),
    ("columns.day", {"type": "int"}, "columns.day", ("reserved", "day, split", "source")),
    ("columns.TX_FRAUD", {"type": "int"}, "columns.TX_FRAUD", ("twice", "case")),
    ("columns.tx_amount.source", ["tx_fraud"], "columns.tx_amount.source", ("tx_fraud",)),
    ("label.column", "fraud", "label.column", ("fraud is", "transaction_id, tx_da")),
    ("label.positive", 2, "label.positive", ("2", "tx_fraud", "allowed: 0, 1")),
    ("label.positive", "yes", "label.positive", ("'yes'", "tx_fraud", "type int")),
    ("label.delay", "a week", "label.delay", ("'a week'", "days")),
    ("unit", "client", "unit", ("client",)),
    ("unit", "tx_fraud", "label.column", ("tx_fraud", "unit")),
    ("unit", ["customer_id", "client"], "unit", ("client",)),
    ("gate.period", "month", "gate.period", ("month", "none, day, week", "tx_datetime")),
    ("event_time", "tx_amount", "event_time", ("tx_amount", "double", "timestamp")),
    ("event_time", None, "event_time", ("missing", "split.by: time", "timestamp")),
    ("quarantine.max_share", 2, "quarantine.max_share", ("2", "less than or equal to 1")),
    ("features", {}, "features", ("empty", "at least one")),
    ("features.plain", ["tx_fraud"], "features.plain", ("tx_fraud", FORBIDDEN, "the label")),
    ("features.plain", ["transaction_id"], "features.plain", (FORBIDDEN, "the row key")),
    ("features.plain", ["tx_fraud_scenario"], "features.plain", (FORBIDDEN, "never_features")),
    ("features.plain", ["tx_datetime"], "features.plain", ("timestamp", "number or boolean")),
    ("features.plain", ["tx_amount"] * 2, "features", ("tx_amount", "twice", "once")),
    ("features.categorical", ["terminal_id"], "features.categorical", (FORBIDDEN,)),
    ("features.categorical", ["tx_datetime"], "features.categorical", ("timestamp", "string")),
    ("features.derived.a", "tx_fraud + 1", "features.derived.a", ("tx_fraud", FORBIDDEN)),
    ("features.derived.a", "`TX_Fraud_Scenario`", "features.derived.a", ("_scenario", FORBIDDEN)),
    ("features.derived.a", "rand()", "features.derived.a", ("rand", "one row")),
    ("features.derived.a", "sum(tx_amount) OVER ()", "features.derived.a", ("over", "sum", "row")),
    ("features.derived.a", "tx_amont + 1", "features.derived.a", ("tx_amont", "columns")),
    ("features.derived.class_weight", "1", "features", ("class_weight", "reserved")),
    ("features.derived.tx_amount", "1", "features", ("tx_amount", "twice")),
    ("features.fill.foo", 0, "features.fill", ("foo", "tx_amount, customer_id")),
    ("features.rolling.0.key", "card", "features.rolling.0", ("card",)),
    ("features.rolling.0.key", "tx_fraud", "features.rolling.0.key", ("tx_fraud", "label")),
    ("features.rolling.0.value", "tx_datetime", "features.rolling.0.value", ("timestamp", "count")),
    ("features.rolling.0.windows", ["0 days"], "features.rolling.0.windows", ("above 0",)),
    ("features.rolling.0.aggregates", ["sd"], "features.rolling.0.aggregates.0", ("'sd'", "sum")),
    ("features.rolling.1.delay", "6 days", "features.rolling.1.delay", ("6 days", "7 days")),
    ("features.rolling.0.value", "tx_fraud_scenario", "features.rolling.0.delay", ("7 days",)),
    ("never_features", ["foo"], "never_features", ("foo",)),
    ("split.by", "week", "split.by", ("'week'", "'time', 'hash'")),
    ("split.by", None, "split.by", ("missing",)),
    ("split.gap", "6 days", "split.gap", ("6 days", "7 days", "label.delay")),
    ("split.train", "0 days", "split.train", ("0 days", "above 0")),
    ("split.train", "9999 years", "split.train", ("'9999 years'", "at most 300 years")),
    ("label.delay", "200000 days", "label.delay", ("'200000 days'", "at most 300 years")),
    ("split", "hash", "split", ("'hash' has no keys",)),
    ("split.train", "two", "split.train", ("'two'", "days")),
    ("split.train", {"start": "2018-01-01"}, "split.train.end", ("missing",)),
    (
        "split.train",
        {"start": "2018-01-02", "end": "2018-01-02"},
        "split.train",
        ("start 2018-01-02", "end 2018-01-02"),
    ),
    ("split.train", {"start": "2018-01-02", "end": "2018-01-03"}, "split", ("all or none",)),
    ("split.known_positives", KNOWN | {"key": "card"}, "split.known_positives.key", ("card",)),
    (
        "split.known_positives",
        KNOWN | {"delay": "6 days"},
        "split.known_positives.delay",
        ("6 days", "7 days"),
    ),
    ("class_weights", "auto", "class_weights", ("'auto'", "'none' or 'balanced'")),
    ("estimator.name", "XGBoost", "estimator.name", ("'XGBoost'", "'RandomForest")),
    ("search.trials", 0, "search.trials", ("0", "greater than or equal to 1")),
    ("search.metric", "auc", "search.metric", ("'auc'", "'auroc'")),
    ("search.metric", "areaUnderROC", "search.metric", ("areaUnderROC", "auroc")),
    ("search.metric", "areaUnderPR", "search.metric", ("areaUnderPR", "auprc")),
    ("search.estimators.XGBoost", {}, "search.estimators.XGBoost", ("'RandomForest",)),
    (f"{GBT}.a", {}, f"{GBT}.a", ("0 kinds", "one of uniform")),
    (f"{GBT}.a", {"normal": [0, 1]}, f"{GBT}.a.normal", ("allowed: uni",)),
    (f"{GBT}.a", {"uniform": [2, 1]}, f"{GBT}.a", ("low 2.0", "high 1.0")),
    (f"{GBT}.a", {"quniform": [1, 2, 0]}, f"{GBT}.a", ("step 0",)),
    (f"{GBT}.a", {"loguniform": [0, 1]}, f"{GBT}.a", ("low 0.0",)),
    ("gate.typo", 1, "gate.typo", ("allowed: metric, strategy, alpha",)),
    ("gate.alpha", 3, "gate.alpha", ("3", "less than 0.5")),
    ("gate.metric", "accuracy", "gate.metric", ("'accuracy'", "'auroc'")),
    ("gate.secondary", {"brier": 0}, "gate.secondary.brier", ("0", "greater than 0")),
    ("capacity.unit", "card", "capacity.unit", ("card",)),
    ("slices", ["foo"], "slices", ("foo",)),
]


@pytest.mark.parametrize(("path", "value", "key", "shown"), REFUSED)
def test_description_is_refused_in_one_line(
    fraud: dict[str, Any], path: str, value: object, key: str, shown: tuple[str, ...]
) -> None:
    with pytest.raises(RetrainingError) as caught:
        from_mapping(change(fraud, path, value), where="fraud.yaml")
    problems = str(caught.value).removeprefix("fraud.yaml: ").split("; ")
    (complaint,) = [text for text in problems if text.startswith(f"{key}: ")][:1]
    assert [part for part in shown if part not in complaint] == []
    assert "\n" not in str(caught.value)


def test_several_problems_are_told_together(fraud: dict[str, Any]) -> None:
    change(fraud, "class_weights", "auto")
    change(fraud, "label.delay", "soon")
    with pytest.raises(RetrainingError, match=r"label.delay: .*; class_weights: "):
        from_mapping(fraud)


def test_label_without_delay_still_hides_the_row_itself(fraud: dict[str, Any]) -> None:
    change(fraud, "label.delay", "0 days")
    change(fraud, "features.rolling.1.delay", "0 days")
    with pytest.raises(RetrainingError, match=r"0 days on tx_fraud would use the row's own label"):
        from_mapping(fraud)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (("07-25", "08-01", "07-11", "07-18", "08-07", "08-15"), r"start 2018-08-07 is too early"),
        (("07-25", "08-01", "07-20", "07-26", "08-08", "08-15"), r"2018-07-20 to 2018-07-26 over"),
        (("07-01", "07-08", "07-25", "08-02", "08-08", "08-15"), r"allowed: 2018-08-09 or later"),
    ],
)
def test_periods_keep_their_distance(
    fraud: dict[str, Any], windows: tuple[str, ...], message: str
) -> None:
    days = iter(f"2018-{day}" for day in windows)
    for name in ("train", "validation", "holdout"):
        fraud["split"][name] = {"start": next(days), "end": next(days)}
    with pytest.raises(RetrainingError, match=message):
        from_mapping(fraud)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("split.train", 0.7, r"split: train, validation and holdout sum to 1.1, allowed: 1"),
        ("unit", ["driver_id", "sex"], r"unit: names two columns, .* allowed: one column"),
        ("split.train", 0.0, r"split.train: 0.0 input should be greater than 0"),
        ("label.delay", "1 day", r"event_time: is missing but label.delay needs it"),
        ("features.plain", ["sex"], r"features.plain: sex has type string, allowed: a number"),
        ("capacity", {"per_day": 5, "unit": "driver_id"}, r"capacity.per_day needs it"),
    ],
)
def test_description_without_event_time_is_refused(
    drivers: dict[str, Any], path: str, value: object, message: str
) -> None:
    with pytest.raises(RetrainingError, match=message):
        from_mapping(change(drivers, path, value))
