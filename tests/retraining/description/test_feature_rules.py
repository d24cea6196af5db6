"""Fills, flags of missing values and categories: what a description may say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retraining.description.reading import from_mapping, load
from retraining.errors import RetrainingError

FRAUD = Path(__file__).parents[3] / "steps" / "datasets" / "fraud.yaml"
COUNT, MEAN = "customer_id_count_1d", "customer_id_tx_amount_mean_1d"


def describe(**features: Any) -> Any:  # noqa: ANN401
    """The card payments with two categories; keyword arguments replace keys of `features`."""
    mapping = load(FRAUD).to_mapping()
    mapping["columns"] |= {"kind": {"type": "string"}, "zone": {"type": "int"}}
    mapping["columns"] |= {"online": {"type": "boolean"}, "age": {"type": "int"}}
    mapping["features"] |= {
        "plain": ["tx_amount", "online", "age"],
        "categorical": ["kind", "zone"],
    }
    mapping["features"] |= features
    return from_mapping(mapping)


def test_flags_are_features_and_fills_of_train_are_apart() -> None:
    fill = {
        "tx_amount": "median",
        "kind": "most_frequent",
        "age": 18,
        MEAN: "mean",
        "online": False,
    }
    description = describe(fill=fill, missing=["tx_amount", "kind"])

    assert description.feature_columns[-2:] == ("tx_amount_missing", "kind_missing")
    assert description.features.fitted_fills == {
        "tx_amount": "median",
        "kind": "most_frequent",
        MEAN: "mean",
    }
    assert description.features.values == {"age": 18, "online": False}
    assert not {"tx_amount", "kind", "age", MEAN, "online"} & {*description.needed_features}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("kind", "median", "a text, most_frequent"),
        ("kind", 3, "a text, most_frequent"),
        ("zone", "mean", "a whole number, most_frequent"),
        ("zone", 1.5, "a whole number, most_frequent"),
        ("age", "abc", "a whole number, median, mean, most_frequent"),
        ("age", 0.5, "a whole number, median"),
        ("age", True, "a whole number, median"),
        ("tx_amount", "abc", "a number, median"),
        ("online", "median", "true or false, most_frequent"),
        ("online", 1, "true or false, most_frequent"),
        (COUNT, 0.5, "a whole number, median"),
        (MEAN, "avg", "a number, median"),
        ("is_night", "abc", "a number, true, false, median"),
    ],
)
def test_a_fill_of_another_type_is_refused(name: str, value: object, allowed: str) -> None:
    with pytest.raises(RetrainingError) as caught:
        describe(fill={name: value})

    assert f"features.fill.{name}: {value!r}, allowed: {allowed}" in str(caught.value)


@pytest.mark.parametrize(
    ("features", "phrases"),
    [
        ({"missing": ["age"], "fill": {}}, ("features.missing: age has no value",)),
        (
            {
                "missing": ["age"],
                "fill": {"age": 1},
                "derived": {"age_missing": "1", "is_weekend": "0"},
            },
            ("age_missing is defined twice",),
        ),
        ({"categories": {"age": {"pool": 5}}}, ("features.categories.age", "kind, zone")),
        ({"categories": {"kind": {}}}, ("features.categories.kind", "pool, hash or target")),
        ({"categories": {"kind": {"pool": 5, "hash": 5}}}, ("pool, hash or target",)),
        ({"categories": {"kind": {"hash": 5, "target": 5}}}, ("pool, hash or target",)),
        ({"categories": {"kind": {"target": -1}}}, ("features.categories.kind.target: -1",)),
        ({"categories": {"kind": "pool"}}, ("features.categories.kind: 'pool'",)),
        ({"categories": {"age": "target"}}, ("features.categories.age", "kind, zone")),
        ({"categories": {"kind": {"pool": 0}}}, ("features.categories.kind.pool: 0",)),
        (
            {"categories": {"kind": {"top": 5}}},
            ("features.categories.kind.top", "pool, hash, target"),
        ),
        (
            {"categories": {"kind": {"pool": 64}}},
            ("features.categories.kind.pool: 64, allowed: to 63", "maxBins=64"),
        ),
        ({"categories": {"kind": {"hash": 100}}}, ("features.categories.kind.hash: 100",)),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    features: dict[str, Any], phrases: tuple[str, ...]
) -> None:
    with pytest.raises(RetrainingError) as caught:
        describe(**features)

    assert all(phrase in str(caught.value) for phrase in phrases), str(caught.value)


def test_target_needs_no_number_and_knows_no_limit_of_values() -> None:
    rules = describe(categories={"kind": "target", "zone": {"target": 100}}).features

    assert rules.targets == {"kind": 10, "zone": 100}
    assert rules.categories["kind"].kind == "target"
