"""What people call and write things: labels, units, times, weights, row numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from retraining.description import reading, yaml12
from retraining.drafting import writing

if TYPE_CHECKING:
    from retraining.drafting.draft import Draft

Sketch = Any  # a function that makes a Draft
N = 1000
_RNG = np.random.default_rng(8)
_ANY = _RNG.normal(0, 1, N)


def half(*values: object, share: float = 0.4) -> pd.Series:
    """Values of which the first one is in a share of the rows, by chance."""
    rest = len(values) - 1
    chances = [share, *[(1 - share) / rest] * rest]
    return pd.Series([values[i] for i in _RNG.choice(len(values), N, p=chances)])


def described(made: Draft) -> tuple[str, Any]:
    text = writing.write(made)
    parsed = yaml12.parse(text, "draft")
    return text, reading.from_mapping(parsed.content, "draft", parsed.lines)


LABELS: dict[str, tuple[dict[str, Any], str]] = {
    "by its name, not who somebody is": (
        {"sex": half("M", "F"), "vote": half("Y", "N", "U"), "white": half(1, 0)},
        "vote",
    ),
    "by its values": ({"Status": half("bad", "good"), "x": _ANY, "rich": half("a", "b")}, "Status"),
    "what comes afterwards": ({"x": _ANY, "place": half("a", "b"), "status": half(1, 0)}, "status"),
    "the first column": ({"low": half(1, 0), "u": half(1, 0), "x": _ANY}, "low"),
    "not what hardly ever happens": (
        {"x": _ANY, "z": half(1, 0), "claims": [1, *[0] * (N - 1)]},
        "z",
    ),
}


@pytest.mark.parametrize("kind", LABELS)
def test_the_likeliest_label_is_chosen(kind: str, sketch: Sketch) -> None:
    columns, label = LABELS[kind]
    made = sketch(pd.DataFrame({"row_id": np.arange(N) * 7, **columns}))

    assert made.label.column == label


@pytest.mark.parametrize(
    ("positive", "negative"),
    [("ja", "nein"), ("sí", "no"), ("tak", "nie"), ("EVET", "HAYIR"), ("да", "нет"), ("是", "否")],
)
def test_yes_is_positive_in_many_languages(positive: str, negative: str, sketch: Sketch) -> None:
    made = sketch(pd.DataFrame({"x": _ANY, "y": half(positive, negative, share=0.7)}))

    assert made.label.positive == (positive,)
    assert made.positive_share > 0.5
    assert not any("rarest" in doubt for doubt in made.label.doubts)


def test_of_several_values_the_positive_ones_are_a_list(sketch: Sketch) -> None:
    text, found = described(sketch(pd.DataFrame({"x": _ANY, "vote": half("Y", "N", "U", "A")})))

    assert isinstance(found.label.positive, tuple)
    assert "positive is the rarest value" in text


def test_numbers_of_things_are_no_units_and_no_ids(sketch: Sketch) -> None:
    many = np.arange(N) % 60
    names = ("YearsAtCompany", "num_open_accounts", "time_of_customer", "policy_count")
    made = sketch(pd.DataFrame({**dict.fromkeys(names, many), "x": _ANY, "y": half(1, 0)}))

    assert made.roles.unit is None
    assert set(names) <= set(made.features)


def test_a_count_of_the_rows_is_the_last_choice_for_a_key(sketch: Sketch) -> None:
    frame = pd.DataFrame({"rownames": np.arange(N) + 1, "x": _ANY, "y": half(1, 0)})
    counted = sketch(frame)
    named = sketch(frame.assign(pidnum=np.random.default_rng(1).permutation(N) + 500))

    assert (counted.roles.key, named.roles.key) == ("rownames", "pidnum")
    assert "later files" in counted.roles.doubts["row_key"]
    assert "later files" not in named.roles.doubts["row_key"]


def test_who_somebody_is_is_known_before(sketch: Sketch) -> None:
    kinds = half("a", "b", "c")
    made = sketch(
        pd.DataFrame(
            {
                "MaritalStatus": kinds,
                "statusquo": _ANY,
                "loan_status": kinds,
                "durat": np.abs(_ANY),
                "y": half(1, 0),
            }
        )
    )

    assert set(made.unused) == {"loan_status", "durat"}


def test_a_word_for_missing_numbers_may_be_a_category_elsewhere(sketch: Sketch) -> None:
    frame = pd.DataFrame({"debt": half("none", 1, 2), "plan": half("none", "a"), "y": half(1, 0)})
    _, found = described(sketch(frame.assign(age=half("NA", 3, 4))))

    assert found.files.null_values == ("NA",)
    assert found.columns["debt"].null_values == ("none",)
    assert found.columns["plan"].not_null


@pytest.mark.parametrize(
    ("rarer", "holdout", "doubts"),
    [(700, 0.2, 0), (500, 0.3, 0), (320, 0.4, 0), (50, 0.2, 1)],
)
def test_the_holdout_is_as_large_as_the_gate_needs_it(
    rarer: int, holdout: float, doubts: int, sketch: Sketch
) -> None:
    y = (np.arange(2 * N) < rarer).astype(int)
    made = sketch(pd.DataFrame({"x": _RNG.normal(0, 1, 2 * N), "y": y}))

    assert made.split["holdout"] == holdout
    assert sum(made.shares.values()) == pytest.approx(1)
    assert described(made)[0].count("rarer class in the holdout") == doubts


def test_few_rows_of_a_class_judge_no_column(sketch: Sketch) -> None:
    y = (np.arange(N) < 5).astype(int)
    text, found = described(sketch(pd.DataFrame({"copy": y * 2.5, "x": _ANY, "y": y}), label="y"))

    assert "AUROC" not in text
    assert "one class has too few rows" in text
    assert found.features.plain == ("copy", "x")


@pytest.mark.parametrize(
    ("times", "windows"),
    [
        ([f"{1980 + i % 8}-01-01" for i in range(N)], ("6 years", "1 year", "1 year")),
        (
            [f"{2015 + i % 4}-{i % 12 + 1:02}-01" for i in range(N)],
            ("30 months", "9 months", "9 months"),
        ),
        ([f"2024-01-{i % 31 + 1:02}" for i in range(N)], ("18 days", "6 days", "6 days")),
    ],
)
def test_windows_are_in_the_unit_of_the_times(
    times: list[str], windows: tuple[str, ...], sketch: Sketch
) -> None:
    frame = pd.DataFrame({"at": times, "x": _ANY, "y": half(1, 0)})
    made = sketch(pd.concat([frame] * 3))
    split = made.split

    assert ("period: none" in described(made)[0]) is (windows[-1] == "1 year")
    assert tuple(split[name] for name in ("train", "validation", "holdout")) == windows


def test_a_panel_has_a_key_of_its_unit_and_its_day(sketch: Sketch) -> None:
    panel = pd.DataFrame(
        {"nr": np.arange(N) // 8 * 3, "year": 1980 + np.arange(N) % 8, "x": _ANY, "y": half(1, 0)}
    )
    made = sketch(panel, index=True)
    text, found = described(made)
    by_year = sketch(panel, event_time="year")

    assert (found.row_key, found.unit, made.roles.key) == (("nr", "year"), "nr", None)
    assert "column_1" in found.never_features
    assert "year" in found.features.plain
    assert "do they identify a row?" in text
    assert described(by_year)[1].row_key == ("nr", "year")
    assert described(by_year)[1].event_time == "year"
    repeated = panel.assign(nr=panel.nr.where(panel.index != 1, 3))
    assert sketch(repeated.assign(year=1980 + np.arange(N) % 5)).roles.together == ()


def test_what_only_says_that_a_label_is_known_is_no_feature(sketch: Sketch) -> None:
    answered = half("yes", "no", share=0.8)
    y = half(1, 0).where(answered == "yes")
    made = sketch(pd.DataFrame({"answered": answered, "x": _ANY, "y": y.astype("Int64")}))

    assert set(made.features) == {"x"}
    assert made.unused["answered"].is_sure


def test_two_years_make_a_description_that_can_be_loaded(sketch: Sketch) -> None:
    frame = pd.DataFrame({"year": 1990 + np.arange(N) % 2, "x": _ANY, "y": half(1, 0)})
    _, found = described(sketch(frame, event_time="year"))

    assert [str(found.split.train), str(found.split.holdout)] == ["1 year", "1 year"]


def test_years_and_weights_are_offered(sketch: Sketch) -> None:
    columns = {"year": 1990 + np.arange(N) % 9, "perwt": np.abs(_ANY), "lwt": _ANY, "final_wgt": 1}
    text, _ = described(sketch(pd.DataFrame({**columns, "y": half(1, 0)})))

    assert "# event_time: year" in text
    assert "# weight: perwt" in text
    assert "# weight: lwt" not in text


def test_times_that_cannot_be_read_are_no_categories(sketch: Sketch) -> None:
    days = [f"18{60 + i % 40}-03-01" for i in range(N)]
    short = [f"{i % 28 + 1}/{i % 12 + 1}/{i % 90 + 10}" for i in range(N)]
    made = sketch(pd.DataFrame({"old": days, "short": short, "x": _ANY, "y": half(1, 0)}))

    assert set(made.unused) == {"old", "short"}
    assert [made.facts[name].is_unread for name in ("old", "short", "x")] == [True, True, False]


def test_numbers_with_a_sign_are_no_categories(sketch: Sketch) -> None:
    price = [f"${1000 + i % 700:,}.50" for i in range(N)]
    columns = {"price": price, "off": [f"{i % 9} %" for i in range(N)], "code": half("$x", "5")}
    made = sketch(pd.DataFrame({**columns, "x": _ANY, "y": half(1, 0)}))
    text, _ = described(made)

    assert set(made.unused) == {"price", "off"}
    assert "numbers with a sign ($1,000.50)" in text
    expression = "try_cast(regexp_replace(price, '[^0-9.-]', '') AS DOUBLE)"
    content = yaml12.parse(text, "draft").content
    content["columns"]["value"] = {"type": "double", "expression": expression}
    content["features"]["plain"].append("value")
    content["never_features"].remove("price")
    assert "value" in reading.from_mapping(content, "draft").features.plain
