"""What is refused before any statistic, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retraining.errors import RetrainingError
from retraining.statistics.checks import check_rows, encode
from retraining.statistics.rows import Rows

LABEL = [0, 1, 0, 1]
SCORE = [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": [[0, 1], [0, 1]]}, r"^label has the shape \(2, 2\): give one value per row$"),
        ({"label": [1]}, r"^label has 1 row: give at least 2 rows$"),
        ({"label": []}, r"^label has 0 rows: give at least 2 rows$"),
        (
            {"label": [0, 1, 2, 2]},
            r"^label is neither 0 nor 1 in 2 rows, such as 2: "
            r"code positives as 1 and negatives as 0$",
        ),
        ({"label": [0, 1, np.nan, 1]}, r"^label is neither 0 nor 1 in 1 row, such as nan"),
        ({"label": ["0", "1", "0", "1"]}, r"^label has the type <U1: give numbers$"),
        ({"label": [0, 1, None, 1]}, r"^label is neither 0 nor 1 in 1 row, such as nan"),
        ({"label": [0, 1, "bad", {}]}, r"^label is not numeric \(.*\): give numbers$"),
        ({"label": [0, 0, 0, 0]}, r"^label has no positives with a weight above 0: give "),
        ({"label": [1, 1, 1, 1]}, r"^label has no negatives with a weight above 0: give "),
        ({"score": [0.1, 0.2]}, r"^score has 2 rows and label has 4: give both for the same rows$"),
        ({"score": [0, np.inf, np.nan, 0]}, r"^score is not finite in 2 rows, such as inf"),
        (
            {"score": [[0.9, 0.1]] * 4},
            r"^score has the shape \(4, 2\): give one value per row$",
        ),
        (
            {"score": [0.1, 1.5, 0, 0], "of_probabilities": True},
            r"^score is outside \[0, 1\] in 1 row, such as 1.5: give the probability",
        ),
        (
            {"weight": [1, -1, 1, 1]},
            r"^weight is neither 0 nor between 1e-50 and 1e50 in 1 row, such as -1",
        ),
        (
            {"weight": [1, 1, 1, np.nan]},
            r"^weight is neither 0 nor between 1e-50 and 1e50 in 1 row, such as nan",
        ),
        ({"weight": [1, 1]}, r"^weight has 2 rows and label has 4"),
        ({"weight": [1, 0, 1, 0]}, r"^label has no positives with a weight above 0: give "),
        ({"unit": [1, 2]}, r"^unit has 2 rows and label has 4"),
        ({"unit": [1, 2, None, None]}, r"^unit is missing in 2 rows: give every row a unit$"),
        ({"unit": [1, 2, np.nan, 3]}, r"^unit is missing in 1 row: give every row a unit$"),
        (
            {"unit": np.array([1, "a", 2, "b"], dtype=object)},
            r"^unit mixes values that cannot be sorted \(.*\): give one type of value$",
        ),
    ],
)
def test_check_rows_refuses(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"label": LABEL, **changed}
    arguments["scores"] = {"score": arguments.pop("score", SCORE)}
    if len(np.asarray(arguments["label"], dtype=object)) < 2:
        arguments["scores"] = {"score": SCORE[: len(arguments["label"])]}
    with pytest.raises(RetrainingError, match=message):
        check_rows(**arguments)


def test_check_rows_leaves_out_rows_of_weight_zero() -> None:
    rows = check_rows(
        [0, 1, 0, 1], {"a": [1, 2, 3, 4]}, weight=[1, 1, 0, 2], unit=["x", "y", "only here", "x"]
    )
    assert rows.label.tolist() == [False, True, True]
    assert rows.scores[0].tolist() == [1.0, 2.0, 4.0]
    assert rows.weight.tolist() == [1.0, 1.0, 2.0]
    assert rows.unit is not None
    assert rows.unit.tolist() == [0, 1, 0]


def test_check_rows_takes_booleans_and_integers() -> None:
    rows = check_rows(np.array([True, False]), {"a": np.array([3, 4], dtype=np.int32)})
    assert rows.label.tolist() == [True, False]
    assert rows.weight.tolist() == [1.0, 1.0]
    assert rows.unit is None


def test_encode_sorts_dates() -> None:
    days = np.array(["2018-08-02", "2018-08-01", "2018-08-02"], dtype="datetime64[D]")
    assert encode("day", days, 3).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "values",
    [
        np.array([127, -128, 0, 127], dtype=np.int8),
        np.array([2**64 - 1, 2**64 - 3, 2**64 - 1, 2**64 - 2], dtype=np.uint64),
        np.array([2**62, -(2**62), 0, 7]),
        np.array(["b", "a", "b", "c"]),
        np.array(["b", "a", "b", "c"], dtype=object),
        np.array([0.5, -0.5, 0.5, 1e300]),
        np.array([True, False, True, True]),
    ],
)
def test_encode_equals_the_inverse_of_unique(values: np.ndarray[Any, Any]) -> None:
    assert encode("unit", values, 4).tolist() == np.unique(values, return_inverse=True)[1].tolist()


def test_check_rows_copies_no_scores_where_all_weights_count() -> None:
    score = np.array(SCORE)
    rows = check_rows(np.array(LABEL), {"score": score}, weight=np.ones(4))
    assert np.shares_memory(rows.scores[0], score)


def test_single_rows_count_as_one_each() -> None:
    rows = check_rows(LABEL, {"score": SCORE}, weight=[1, 2, 3, 4], unit=["x", "y", "x", "x"])
    assert (rows.n_rows, rows.n_positives, rows.n_units) == (4, 2, 2)
    assert rows.sizes.tolist() == [1.0] * 4
    assert rows.squares.tolist() == [1.0, 4.0, 9.0, 16.0]
    assert check_rows(LABEL, {"score": SCORE}).n_units is None


def test_cells_count_as_their_rows() -> None:
    """A cell of three rows with weights 1, 1 and 2, and one of a single row."""
    cells = Rows(
        np.array([True, False]),
        (np.array([0.5, 0.2]),),
        np.array([4.0, 1.0]),
        None,
        square=np.array([6.0, 1.0]),
        size=np.array([3.0, 1.0]),
    )
    assert (cells.n_rows, cells.n_positives) == (4, 3)
    assert cells.squares.tolist() == [6.0, 1.0]
    assert cells.sizes.tolist() == [3.0, 1.0]
