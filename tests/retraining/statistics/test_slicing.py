"""Slices: how rows are cut into them, and which columns are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from retraining.errors import RetrainingError
from retraining.statistics.checks import check_rows
from retraining.statistics.slicing import pool_name, take

if TYPE_CHECKING:
    import numpy.typing as npt

    from retraining.statistics.rows import Rows


def some_rows(n_rows: int, unit: npt.ArrayLike | None = None) -> Rows:
    """Every third row is positive; every score is different."""
    scores = {"champion": np.arange(n_rows), "challenger": np.arange(n_rows)[::-1]}
    return check_rows(np.arange(n_rows) % 3 == 0, scores, unit=unit)


def test_take_names_slices_by_column_and_value() -> None:
    rows = some_rows(6)
    columns: dict[str, npt.ArrayLike] = {
        "city": np.array(["Oslo", "Bergen", None, "Oslo", "Oslo", None], dtype=object),
        "weekend": [True, False, True, True, False, True],
        "kind": [10.0, 2.0, np.nan, 2.0, np.nan, 2.5],
        "day": np.array(["2024-01-02", "NaT", "2024-01-01"] * 2, dtype="datetime64[D]"),
    }
    found = take(rows, columns)
    assert {name: part.n_rows for name, part in found.items()} == {
        "city=Bergen": 1,
        "city=Oslo": 3,
        "city=missing": 2,
        "weekend=false": 2,
        "weekend=true": 4,
        "kind=2": 2,
        "kind=2.5": 1,
        "kind=10": 1,
        "kind=missing": 2,
        "day=2024-01-01": 2,
        "day=2024-01-02": 2,
        "day=missing": 2,
    }
    assert list(found)[5:8] == ["kind=2", "kind=2.5", "kind=10"]
    assert found["city=Oslo"].scores[1].tolist() == rows.scores[1][[0, 3, 4]].tolist()


def test_take_joins_the_small_values_of_a_column_where_they_are_enough() -> None:
    rows = some_rows(12, unit=["a", "b", "c"] * 4)
    city = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    found = take(rows, {"city": city}, least=2)
    assert list(found) == ["city=0", "city=1", "city=2", pool_name("city")]
    pool = found[pool_name("city")]
    assert (pool.n_rows, pool.n_positives, pool.n_units) == (6, 2, 3)
    assert pool.scores[0].tolist() == list(range(6))
    few, one, all_small = [0, 1] + [2] * 10, [0] * 3 + [1] * 9, [0] * 6 + [1] * 6
    for values, least in ((few, 2), (one, 2), (all_small, 3)):
        assert pool_name("city") not in take(rows, {"city": values}, least=least)


def test_take_codes_the_units_of_a_slice_anew() -> None:
    rows = some_rows(6, unit=["a", "b", "c", "c", "b", "c"])
    found = take(rows, {"half": [0, 1, 1, 0, 1, 1]})["half=1"]
    assert found.unit is not None
    assert found.unit.tolist() == [0, 1, 0, 1]


def test_take_keeps_what_cells_stand_for() -> None:
    numbers = np.arange(1.0, 5.0)
    cells = some_rows(4)._replace(weight=numbers, square=numbers + 1, size=numbers + 2)
    found = take(cells, {"half": ["a", "a", "b", "b"]})["half=b"]
    assert found.weight.tolist() == [3, 4]
    assert found.squares.tolist() == [4, 5]
    assert found.sizes.tolist() == [5, 6]


@pytest.mark.parametrize("kind", [np.int64, np.float64, object])
def test_take_refuses_a_column_of_many_values(kind: type) -> None:
    rows = some_rows(60)
    message = r"^slice column amount has more than 50 values: slice by a column of few values"
    with pytest.raises(RetrainingError, match=message):
        take(rows, {"city": [0] * 60, "amount": np.arange(60).astype(kind)})
    assert len(take(rows, {"amount": (np.arange(60) % 50).astype(kind)})) == 50


def test_take_refuses_a_column_of_other_rows() -> None:
    rows = some_rows(6)
    with pytest.raises(RetrainingError, match=r"^slice column city has the shape \(5,\) and label"):
        take(rows, {"city": [0] * 5})
