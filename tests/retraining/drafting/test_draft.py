"""Which column serves for what, what is left out, and a file that can be loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from retraining.description import reading, yaml12
from retraining.drafting import draft, sample, writing
from retraining.drafting.draft import name_columns
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from retraining.drafting.draft import Draft

Sketch = Any  # a function that makes a Draft


def load(made: Draft) -> Any:  # noqa: ANN401
    """The description of a draft, which must be valid, and its doubts by key."""
    text = writing.write(made)
    parsed = yaml12.parse(text, "draft")
    return reading.from_mapping(parsed.content, "draft", parsed.lines)


def doubted(made: Draft) -> set[str]:
    """The first words of the lines that are marked."""
    lines = [line for line in writing.write(made).splitlines() if "# CHECK: " in line]
    return {re.sub(r"[^\w]", " ", line).split()[0] for line in lines}


def test_columns_with_a_role_are_found(claims: pd.DataFrame, sketch: Sketch) -> None:
    made = sketch(claims)
    found = load(made)

    assert (found.label.column, found.label.positive) == ("fraud", "yes")
    assert (found.event_time, found.unit) == ("sent_on", "customer_id")
    assert found.row_key in ("claim_id", ("claim_id",))
    assert found.split.by == "time"
    assert found.features.plain == ("amount",)
    assert found.features.categorical == ("region",)
    assert found.slices == ("region",)
    assert doubted(made) >= {"label", "row_key", "event_time", "unit", "paid_out"}


def test_what_gives_the_label_away_is_no_feature(claims: pd.DataFrame, sketch: Sketch) -> None:
    rng = np.random.default_rng(1)
    frame = claims.assign(
        status=np.where(claims.fraud == "yes", "rejected", "paid"),
        rating=(claims.fraud == "yes") + rng.normal(0, 0.2, len(claims)),
        closing=np.where(claims.fraud == "yes", "", "done"),
        duration=rng.integers(1, 99, len(claims)),
        constant=1,
        counter=np.arange(len(claims)) * 2.5,
    )
    made = sketch(frame)

    for name in ("paid_out", "status", "rating", "closing"):
        assert made.relations[name] > 0.95
    assert set(made.unused) >= {"paid_out", "status", "rating", "closing", "constant", "counter"}
    assert {n for n, one in made.unused.items() if not one.is_sure} == {
        *("paid_out", "status", "rating", "closing", "duration"),
    }
    assert set(made.features) == {"amount", "region"}
    assert load(made).never_features


@pytest.mark.parametrize(
    "name",
    ["futime", "follow_up", "fu_time", "surv_time", "survival_months", "time_to_x", "days_to_x"],
)
def test_the_time_until_the_end_is_no_feature(
    name: str, claims: pd.DataFrame, sketch: Sketch
) -> None:
    made = sketch(claims.assign(**{name: np.arange(len(claims)) % 97}))

    assert name in doubted(made) & set(load(made).never_features)


def test_a_strong_feature_is_doubted(claims: pd.DataFrame, sketch: Sketch) -> None:
    noise = np.random.default_rng(1).normal(0, 1, len(claims))
    made = sketch(claims.assign(strong=2 * (claims.fraud == "yes") + noise, weak=noise))

    assert 0.85 < made.relations["strong"] < 0.95
    assert {"strong", "weak"} <= set(load(made).features.plain)
    text = writing.write(made).splitlines()
    doubts = {n: any(f"- {n} " in li and "CHECK" in li for li in text) for n in ("strong", "weak")}
    assert doubts == {"strong": True, "weak": False}


def test_named_columns_are_not_doubted(claims: pd.DataFrame, sketch: Sketch) -> None:
    made = sketch(claims, label="region", row_key="note", event_time="sent_on")

    assert made.label.column == "region"
    assert (made.roles.key, made.roles.time) == ("note", "sent_on")
    assert not doubted(made) & {"row_key", "event_time"}


def test_a_number_of_events_is_a_label_by_an_expression(
    claims: pd.DataFrame, sketch: Sketch
) -> None:
    rng = np.random.default_rng(4)
    frame = claims.drop(columns=["fraud", "paid_out"]).assign(
        n_claims=rng.poisson(0.3, len(claims))
    )
    made = sketch(frame)
    found = load(made)

    assert found.columns["n_claims_positive"].expression == "n_claims > 0"
    assert found.label.column == "n_claims_positive"
    assert made.positive_share == pytest.approx((frame.n_claims > 0).mean())
    assert "n_claims" in found.never_features


@pytest.mark.parametrize("kinds", [(1, 2, 3, 4), (1, 2)])
def test_of_numbers_without_a_0_the_rarest_is_positive(
    kinds: tuple[int, ...], claims: pd.DataFrame, sketch: Sketch
) -> None:
    rarest = kinds[-1]
    levels = np.where(
        np.arange(len(claims)) % 9 == 0, rarest, np.arange(len(claims)) % (rarest - 1) + 1
    )
    made = sketch(claims.assign(level=levels), label="level")

    assert made.label.positive == (rarest,)
    assert made.positive_share == pytest.approx(1 / 9)
    assert "label" in doubted(made)
    assert load(made).label.column == "level"


def test_gaps_marks_and_many_categories_are_provided_for(
    claims: pd.DataFrame, sketch: Sketch
) -> None:
    rng = np.random.default_rng(6)
    frame = claims.assign(
        age=np.where(rng.random(len(claims)) < 0.2, "?", rng.integers(18, 80, len(claims))),
        brand=rng.choice([f"B{i}" for i in range(80)], len(claims)),
        region=claims.region.where(rng.random(len(claims)) < 0.7),
    )
    found = load(sketch(frame))

    assert found.files.null_values == ("?",)
    assert found.features.fill == {"age": "median", "region": "missing"}
    assert found.features.missing == ("age",)
    assert found.features.categories["brand"].pool == draft.POOLED
    assert found.columns["amount"].not_null
    assert not found.columns["age"].not_null


def test_without_key_and_time_rows_are_split_by_a_hash(
    claims: pd.DataFrame, sketch: Sketch
) -> None:
    made = sketch(claims[["amount", "region", "fraud"]])
    found = load(made)

    assert (made.roles.key, made.roles.time, made.roles.unit) == (None, None, None)
    assert found.split.by == "hash"


def test_years_are_a_time_if_they_are_named(claims: pd.DataFrame, sketch: Sketch) -> None:
    frame = claims.drop(columns="sent_on").assign(year=1984 + np.arange(len(claims)) // 180)
    assert "# 1984 to 1988, 5 values" in writing.write(sketch(frame))
    made = sketch(frame, event_time="year")
    found = load(made)

    assert (found.columns["year"].type, found.columns["year"].format) == ("date", "yyyy")
    assert (found.event_time, found.split.by) == ("year", "time")
    assert "# 1984-01-01 to 1988-01-01" in writing.write(made)
    with pytest.raises(RetrainingError, match=r"has type int: .*years"):
        sketch(frame.assign(year=frame.year + 300), event_time="year")


def test_one_thing_is_not_many(claims: pd.DataFrame, sketch: Sketch) -> None:
    text = writing.write(sketch(claims.assign(constant=1, amount=["x", *claims.amount[1:]])))

    assert "# 1 to 1, 1 value\n" in text
    assert "1 row holds 'x'" in text
    assert "all 900 rows of 1 file." in text


def test_a_row_number_without_a_name_is_the_key(claims: pd.DataFrame, sketch: Sketch) -> None:
    frame = claims.drop(columns="claim_id")
    made = sketch(frame.set_index(np.arange(len(frame)) + 1), index=True)
    found = load(made)

    assert made.roles.key == "column_1"
    assert found.columns["column_1"].source in ("", ("",))
    assert "column_1" not in made.features
    repeated = sketch(claims.set_index(np.arange(len(claims)) // 2), index=True)
    assert "column_1" in doubted(repeated)
    assert "column_1" not in repeated.features


def test_a_second_identifier_is_no_feature(claims: pd.DataFrame, sketch: Sketch) -> None:
    order = np.random.default_rng(3).permutation(len(claims))
    made = sketch(claims.assign(seqno=order, code=[f"c{i}" for i in order], big=order + 10**12))

    assert made.roles.key == "claim_id"
    assert set(load(made).never_features) >= {"seqno", "code", "big"}
    assert doubted(made) >= {"seqno", "code", "big"}


def test_the_repeated_id_of_a_panel_is_its_unit(claims: pd.DataFrame, sketch: Sketch) -> None:
    panel = claims[["amount", "fraud"]].assign(id=np.arange(len(claims)) // 4)
    made = sketch(panel)

    assert (made.roles.key, made.roles.unit) == (None, "id")
    assert load(made).unit == "id"


def test_rows_without_a_label_are_left_out(claims: pd.DataFrame, sketch: Sketch) -> None:
    frame = claims.assign(fraud=claims.fraud.where(np.arange(len(claims)) % 3 > 0))
    found = load(sketch(frame))

    assert found.known_when == "fraud IS NOT NULL"


def test_few_positives_are_named(claims: pd.DataFrame, sketch: Sketch) -> None:
    made = sketch(claims.head(200))

    assert made.holdout_positives < 100
    assert load(made).gate.minimum_positives == 100
    assert "split" in doubted(made)


def test_names_are_made_allowed_and_different() -> None:
    found = name_columns(["emp.var.rate", "emp_var_rate", "day", "Größe", "возраст", "2nd", "ok"])

    assert found == {
        "emp.var.rate": "emp_var_rate_",
        "emp_var_rate": "emp_var_rate",
        "day": "day_",
        "Größe": "Groe",
        "возраст": "column_5",
        "2nd": "column_6",
        "ok": "ok",
    }


@pytest.mark.parametrize(
    ("columns", "named", "said"),
    [
        (["amount", "note"], {}, "no column looks like a label"),
        (
            ["amount", "fraud"],
            {"label": "frud"},
            "label='frud' is not a column (did you mean fraud?)",
        ),
        (["amount", "a.b", "fraud"], {"label": "x"}, "name one of amount, a.b, fraud"),
        (["amount", "fraud"], {"row_key": "id"}, "row_key='id' is not a column"),
        (["amount", "fraud"], {"event_time": "amount"}, "event_time='amount' has type double"),
        (["amount", "note"], {"label": "note"}, "900 values"),
        (["amount", "claim_id"], {"label": "claim_id"}, "none of which means no event"),
        (["note", "fraud"], {}, "no column is left as a feature"),
    ],
)
def test_what_cannot_be_described_is_named(
    columns: list[str], named: dict[str, str], said: str, claims: pd.DataFrame, sketch: Sketch
) -> None:
    with pytest.raises(RetrainingError, match=re.escape(said)):
        sketch(claims.assign(**{"a.b": 1})[columns], **named)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "label", "key", "time", "leaks"),
    [
        ("drivers", "has_car_accident", "driver_id", None, set()),
        ("handbook_fraud/raw", "tx_fraud", "transaction_id", "tx_datetime", {"tx_fraud_scenario"}),
    ],
)
def test_reference_data_are_described_as_meant(
    folder: str, label: str, key: str, time: str | None, leaks: set[str], reference_data: Path
) -> None:
    made = draft.make(sample.draw(str(reference_data / folder)), name="mine")

    assert (made.label.column, made.roles.key, made.roles.time) == (label, key, time)
    assert {n for n, one in made.unused.items() if "AUROC" in one.why} == leaks
    assert load(made).label.positive in (1, (1,))
