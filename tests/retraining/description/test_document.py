"""Descriptions: what is read, and every way in which one is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from retraining.description import consistency
from retraining.description.document import Description, load
from retraining.description.sections import Period, TimeSplit
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
    again = Description.from_mapping(json.loads(json.dumps(description.to_mapping())))
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
    description = Description.from_mapping(fraud)
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
    assert name in Description.from_mapping(fraud).feature_columns


def test_needed_columns_follow_from_their_roles(fraud: dict[str, Any]) -> None:
    fraud["columns"] = {name: {"type": column["type"]} for name, column in fraud["columns"].items()}
    description = Description.from_mapping(fraud)
    assert description.not_null_columns == ("transaction_id", "tx_datetime", "tx_fraud")
    assert description.unique_columns == ("transaction_id",)


@pytest.mark.parametrize(
    ("path", "value", "same_rows"),
    [
        ("summary", "Other words", True),
        ("estimator.parameters", {"numTrees": 3}, True),
        ("split.holdout", "8 days", True),
        ("quarantine.max_share", 0.5, True),
        ("columns.tx_amount.above", 1, False),
        ("features.derived.is_weekend", "CAST(0 AS INT)", False),
        ("never_features", ["transaction_id"], False),
    ],
)
def test_digests_tell_changes_of_rows_from_others(
    fraud: dict[str, Any], path: str, value: object, *, same_rows: bool
) -> None:
    before = Description.from_mapping(fraud)
    after = Description.from_mapping(change(fraud, path, value))
    assert before.digest != after.digest
    assert (before.preparation_digest == after.preparation_digest) is same_rows


def test_digest_sees_the_order_of_columns(fraud: dict[str, Any]) -> None:
    before = Description.from_mapping(fraud)
    fraud["columns"] = dict(reversed(fraud["columns"].items()))
    assert Description.from_mapping(fraud).preparation_digest != before.preparation_digest


KNOWN = {"key": "customer_id", "delay": "8 days"}
REFUSED = [
    ("name", "Fraud", r"name: 'Fraud' string should match pattern"),
    ("label", None, r"label: is missing"),
    ("typo", 1, r"unknown key typo, allowed: name, summary, files, columns"),
    ("files.typo", 1, r"files: unknown key typo, allowed: header, comment, separator"),
    ("files.separator", "::", r"files.separator: '::' string should have at most 1 character"),
    ("columns.tx_amount.type", "float", r"columns.tx_amount.type: 'float' is unknown, allowed: 's"),
    ("columns.tx_amount.min", "x", r"columns.tx_amount.min: 'x' input should be a valid integer"),
    ("columns.tx_amount.min", "2018-01-01", r"min: 2018-01-01 does not fit type double"),
    ("columns.tx_datetime.min", 5, r"columns.tx_datetime: min: 5 does not fit type timestamp"),
    ("columns.tx_fraud.allowed", ["a"], r"allowed: 'a' does not fit type int"),
    ("columns.tx_amount.pattern", "(", r"columns.tx_amount.pattern: '\(' is no regular expression"),
    ("columns.a b", {"type": "int"}, r"columns.a b: 'a b' is no name, allowed: letters, digits"),
    ("columns.day", {"type": "int"}, r"columns.day: day is reserved, allowed: any name but day"),
    ("columns.TX_FRAUD", {"type": "int"}, r"columns.TX_FRAUD: TX_FRAUD stands there twice"),
    ("columns.tx_amount.source", ["tx_fraud"], r"source: tx_fraud already names another column"),
    ("label.column", "fraud", r"label.column: fraud is no column, allowed: transaction_id, tx_da"),
    ("label.positive", 2, r"label.positive: 2 is never in tx_fraud, allowed: 0, 1"),
    ("label.positive", "yes", r"label.positive: 'yes' does not fit column tx_fraud, allowed: a v"),
    ("label.delay", "a week", r"label.delay: 'a week' is no length of time, allowed: N days\|hour"),
    ("unit", "client", r"unit: client is no column"),
    ("unit", "tx_fraud", r"label.column: tx_fraud is also row_key, unit or event_time"),
    ("event_time", "tx_amount", r"event_time: tx_amount has type double, allowed: timestamp"),
    ("event_time", None, r"event_time: is missing but split.by: time needs it, allowed: a column"),
    ("quarantine.max_share", 2, r"quarantine.max_share: 2 input should be less than or equal to 1"),
    ("features", {}, r"features: is empty, allowed: at least one feature"),
    ("features.plain", ["tx_fraud"], r"plain: tx_fraud must not be a feature, it is the label"),
    ("features.plain", ["transaction_id"], r"transaction_id must not be a feature, it is the row"),
    ("features.plain", ["tx_fraud_scenario"], r"tx_fraud_scenario must not .* in never_features"),
    ("features.plain", ["tx_datetime"], r"tx_datetime has type timestamp, allowed: a number or b"),
    ("features.plain", ["tx_amount"] * 2, r"features: tx_amount stands there twice, allowed: once"),
    ("features.categorical", ["terminal_id"], r"terminal_id must not be a feature"),
    ("features.categorical", ["tx_datetime"], r"tx_datetime has type timestamp, allowed: string,"),
    ("features.derived.a", "tx_fraud + 1", r"derived.a: 'tx_fraud \+ 1' uses tx_fraud, which must"),
    ("features.derived.a", "`TX_Fraud_Scenario`", r"uses tx_fraud_scenario, which must not be a"),
    ("features.derived.a", "rand()", r"uses rand, allowed: an expression of one row, the same"),
    ("features.derived.a", "sum(tx_amount) OVER ()", r"uses over, allowed: an expression of one"),
    ("features.derived.class_weight", "1", r"features: class_weight is reserved"),
    ("features.derived.tx_amount", "1", r"features: tx_amount stands there twice"),
    ("features.fill.foo", 0, r"features.fill: foo is no feature, allowed: tx_amount, customer_id"),
    ("features.rolling.0.key", "card", r"features.rolling.0: card is no column"),
    ("features.rolling.0.key", "tx_fraud", r"rolling.0.key: tx_fraud is the label, allowed: any"),
    ("features.rolling.0.value", "tx_datetime", r"tx_datetime has type timestamp, allowed: a num"),
    ("features.rolling.0.windows", ["0 days"], r"has a window of no length, allowed: above 0"),
    ("features.rolling.0.aggregates", ["sd"], r"aggregates.0: 'sd' is unknown, allowed: 'count',"),
    ("features.rolling.1.delay", "6 days", r"rolling.1.delay: 6 days on tx_fraud would use labels"),
    ("features.rolling.0.value", "tx_fraud_scenario", r"would use labels before they are known"),
    ("never_features", ["foo"], r"never_features: foo is no column"),
    ("split.by", "week", r"split.by: 'week' is unknown, allowed: 'time', 'hash'"),
    ("split.by", None, r"split.by: is missing"),
    ("split.gap", "6 days", r"split.gap: 6 days would test on rows whose labels were not known"),
    ("split.train", "0 days", r"split.train: 0 days, allowed: above 0 seconds"),
    ("split.train", "two", r"split.train: 'two' is no length of time"),
    ("split.train", {"start": "2018-01-01"}, r"split.train.end: is missing"),
    ("split.train", {"start": "2018-01-02", "end": "2018-01-02"}, r"start 2018-01-02 is not befo"),
    ("split.train", {"start": "2018-01-02", "end": "2018-01-03"}, r"allowed: all three or none"),
    ("split.known_positives", KNOWN | {"key": "card"}, r"known_positives.key: card is no column"),
    ("split.known_positives", KNOWN | {"delay": "6 days"}, r"6 days would use labels before they"),
    ("class_weights", "auto", r"class_weights: 'auto' is unknown, allowed: 'none' or 'balanced'"),
    ("estimator.name", "XGBoost", r"estimator.name: 'XGBoost' is unknown, allowed: 'RandomForest"),
    ("search.trials", 0, r"search.trials: 0 input should be greater than or equal to 1"),
    ("search.metric", "auc", r"search.metric: 'auc' is unknown, allowed: 'areaUnderROC'"),
    ("search.estimators.XGBoost", {}, r"search.estimators.XGBoost: 'XGBoost' is unknown, allow"),
    ("search.estimators.GBTClassifier.a", {}, r"has 0 kinds of space, allowed: one of uniform"),
    ("search.estimators.GBTClassifier.a", {"normal": [0, 1]}, r"unknown key normal, allowed: uni"),
    ("search.estimators.GBTClassifier.a", {"uniform": [2, 1]}, r"low 2.0 is not below high 1.0"),
    ("search.estimators.GBTClassifier.a", {"quniform": [1, 2, 0]}, r"step 0 is not above 0"),
    ("search.estimators.GBTClassifier.a", {"loguniform": [0, 1]}, r"low 0.0 is not above 0"),
    ("gate.typo", 1, r"gate: unknown key typo, allowed: metric, strategy, alpha"),
    ("gate.alpha", 3, r"gate: policy alpha is 3"),
    ("capacity.unit", "card", r"capacity.unit: card is no column"),
    ("slices", ["foo"], r"slices: foo is no column"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_description_is_refused_in_one_line(
    fraud: dict[str, Any], path: str, value: object, message: str
) -> None:
    with pytest.raises(RetrainingError, match=message) as caught:
        Description.from_mapping(change(fraud, path, value), where="fraud.yaml")
    assert str(caught.value).startswith("fraud.yaml: ")
    assert "\n" not in str(caught.value)


def test_several_problems_are_told_together(fraud: dict[str, Any]) -> None:
    change(fraud, "class_weights", "auto")
    change(fraud, "label.delay", "soon")
    with pytest.raises(RetrainingError, match=r"label.delay: .*; class_weights: "):
        Description.from_mapping(fraud)


def test_label_without_delay_still_hides_the_row_itself(fraud: dict[str, Any]) -> None:
    change(fraud, "label.delay", "0 days")
    change(fraud, "features.rolling.1.delay", "0 days")
    with pytest.raises(RetrainingError, match=r"0 days on tx_fraud would use the row's own label"):
        Description.from_mapping(fraud)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("CAST(tx_amount > 5 AS INT)", {"cast", "tx_amount", "as", "int"}),
        ("concat('tx_fraud', \"tx_fraud\")", {"concat"}),
        ("'it\\'s tx_fraud' || x", {"x"}),
        ("'it''s tx_fraud' || x", {"x"}),
        ("r'\\' || tx_fraud", {"tx_fraud"}),
        ("`tx fraud` + `TX_FRAUD`", {"tx", "fraud", "tx_fraud"}),
    ],
)
def test_identifiers_stand_outside_of_strings(expression: str, words: set[str]) -> None:
    assert consistency.find_identifiers(expression) == words


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
        Description.from_mapping(fraud)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("split.train", 0.7, r"split: train, validation and holdout sum to 1.1, allowed: 1"),
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
        Description.from_mapping(change(drivers, path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", r"fraud.yaml: .*: write valid YAML"),
        ("name: a\nname: b", r"key name stands there twice.*: write valid YAML"),
        ("- a", r"fraud.yaml holds no mapping: describe a data set in it"),
        ("", r"fraud.yaml holds no mapping"),
    ],
)
def test_load_refuses_what_is_no_description(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "fraud.yaml"
    path.write_text(text)
    with pytest.raises(RetrainingError, match=message):
        load(path)


def test_load_refuses_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match=r"none.yaml: No such file or directory: give the pa"):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RetrainingError, match=r"binary.yaml: not UTF-8 text"):
        load(tmp_path / "binary.yaml")
