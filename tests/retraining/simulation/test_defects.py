"""Corrupt rows: extra, of one kind each, and counted."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from retraining.errors import RetrainingError
from retraining.simulation.defects import KINDS, Defects, Planted, plant

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_ROWS = 20_000
EVERY = Defects(**dict.fromkeys(KINDS, 0.05))


def lines(rows: NDArray[np.int64]) -> list[str]:
    """Good rows of day 3, one every four seconds."""
    return [
        f"{30_000 + i},2019-08-25 {4 * i // 3600:02d}:{4 * i // 60 % 60:02d}:{4 * i % 60:02d},"
        f"{i % 7},{i % 5},{10 + i % 90}.50,{3 * 86_400 + 4 * i},3,{int(i % 9 == 0)},0\n"
        for i in rows.tolist()
    ]


def corrupt(defects: Defects, seed: int = 0, n_rows: int = N_ROWS) -> Planted:
    rng = np.random.default_rng(seed)
    return plant(n_rows, lines, next_id=30_000 + n_rows, defects=defects, rng=rng)


def only(kind: str, rate: float = 0.05) -> list[list[str]]:
    """The fields of the corrupt rows of one kind."""
    planted = corrupt(Defects(**{**dict.fromkeys(KINDS, 0.0), kind: rate}))
    rows = [line.split(",") for text in planted.before.values() for line in text.splitlines()]
    assert planted.counts == {**dict.fromkeys(KINDS, 0), kind: len(rows)}
    assert len(rows) > 100
    return rows


def source_of(row: list[str]) -> list[str]:
    """The good row with the same second."""
    (line,) = lines(np.array([(int(row[5]) - 3 * 86_400) // 4]))
    return line.rstrip("\n").split(",")


@pytest.mark.parametrize(
    ("kind", "column", "allowed"),
    [
        ("null_time", 1, {""}),
        ("unparseable_time", 1, {"error", "2019-08-25 24:00:00"}),
        ("null_terminal", 3, {""}),
        ("zero_amount", 4, {"0.00"}),
        ("unknown_customer", 2, {"-999999"}),
    ],
)
def test_plant_replaces_one_field_of_a_copy(kind: str, column: int, allowed: set[str]) -> None:
    rows = only(kind)
    assert {row[column] for row in rows} == allowed
    for row in rows:
        good = source_of(row)
        assert [i for i in range(1, 9) if row[i] != good[i]] == [column]


def test_plant_negates_the_amount_of_a_copy() -> None:
    for row in only("negative_amount"):
        assert row[1:] == [*source_of(row)[1:4], "-" + source_of(row)[4], *source_of(row)[5:]]


def test_plant_puts_one_letter_into_one_number_of_a_copy() -> None:
    changed = Counter[int]()
    for row in only("letters_in_number"):
        good = source_of(row)
        (column,) = (i for i in range(1, 9) if row[i] != good[i])
        letters = [c for c in row[column] if c.isalpha()]
        assert row[column].replace(letters[0], "") == good[column]
        assert letters[0] in "OSZ"
        changed[column] += 1
    assert set(changed) == {2, 4}


def test_plant_repeats_ids_at_the_same_time_or_later_on_the_day() -> None:
    later = 0
    rows = only("duplicate_id", rate=0.5)
    for row in rows:
        (line,) = lines(np.array([int(row[0]) - 30_000]))
        good = line.rstrip("\n").split(",")
        delay = int(row[5]) - int(good[5])
        assert 0 <= delay <= 600
        assert row[:1] + row[2:5] + row[6:] == good[:1] + good[2:5] + good[6:]
        time = datetime.fromisoformat(row[1])
        assert time.date() == datetime.fromisoformat(good[1]).date()
        assert (time - datetime.fromisoformat(good[1])).total_seconds() == delay
        later += delay > 0
    assert stats.binomtest(later, len(rows), 0.5).pvalue > 1e-3


def test_plant_keeps_a_later_duplicate_of_the_last_second_within_the_day() -> None:
    def last(rows: NDArray[np.int64]) -> list[str]:
        return ["7,2019-08-22 23:59:59,1,2,3.50,86399,0,0,0\n" for _ in rows]

    one = Defects(**{**dict.fromkeys(KINDS, 0.0), "duplicate_id": 1.0})
    planted = plant(20, last, next_id=99, defects=one, rng=np.random.default_rng(0))
    assert set("".join(planted.before.values()).splitlines(keepends=True)) == set(
        last(np.arange(1))
    )


def test_plant_tears_the_last_line_after_its_id_and_before_its_label() -> None:
    always = Defects(**{**dict.fromkeys(KINDS, 0.0), "torn_line": 1.0})
    ends = [line.split(",", 1)[1] for line in lines(np.arange(50))]
    lengths = set()
    for seed in range(300):
        planted = corrupt(always, seed, n_rows=50)
        first, rest = planted.tail.split(",", 1)
        assert first == "30050"
        assert any(end.startswith(rest) for end in ends), planted.tail
        assert not planted.before
        assert planted.counts == {**dict.fromkeys(KINDS, 0), "torn_line": 1}
        lengths.add(planted.tail.count(",") + 1)
    assert lengths == {2, 3, 4, 5, 6, 7}


def test_plant_gives_every_copy_but_a_duplicate_an_id_of_its_own() -> None:
    for seed in range(5):
        planted = corrupt(Defects(**{**dict.fromkeys(KINDS, 0.05), "torn_line": 1.0}), seed)
        texts = [*planted.before.values(), planted.tail]
        ids = [int(line.split(",")[0]) for text in texts for line in text.splitlines()]
        new = [i for i in ids if i >= 30_000 + N_ROWS]
        assert len(new) == len(set(new)) == len(ids) - planted.counts["duplicate_id"]


def test_plant_follows_the_rates() -> None:
    planted = corrupt(EVERY)
    for kind in EVERY.row_rates():
        assert stats.binomtest(planted.counts[kind], N_ROWS, 0.05).pvalue > 1e-3, kind
    torn = sum(bool(corrupt(EVERY, seed, n_rows=50).tail) for seed in range(2_000))
    assert stats.binomtest(torn, 2_000, 0.05).pvalue > 1e-3


def test_plant_spreads_the_copies_over_the_file() -> None:
    positions = np.array(list(corrupt(EVERY).before))
    assert stats.kstest(positions / N_ROWS, "uniform").pvalue > 1e-3


def test_plant_can_corrupt_a_copy_of_every_row() -> None:
    kinds = [kind for kind in KINDS if kind != "torn_line"]
    planted = corrupt(Defects(**dict.fromkeys(kinds, 1 / 8), torn_line=0.0))
    assert sum(planted.counts.values()) == N_ROWS


@pytest.mark.parametrize("n_rows", [0, 1])
def test_plant_without_rows_or_rates_plants_nothing(n_rows: int) -> None:
    defects = Defects.none() if n_rows else Defects(torn_line=1.0)
    planted = corrupt(defects, n_rows=n_rows)
    assert planted == Planted(before={}, tail="", counts=dict.fromkeys(KINDS, 0))


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("kind", KINDS)
def test_defects_refuse_a_rate_that_is_none(kind: str, rate: float) -> None:
    with pytest.raises(RetrainingError, match=f"{kind} is .* 0 to 1"):
        Defects(**{kind: rate})


def test_defects_refuse_more_than_one_per_row() -> None:
    with pytest.raises(RetrainingError, match=r" 1\.2.* 1 "):
        Defects(**{**dict.fromkeys(KINDS, 0.0), "null_time": 0.6, "zero_amount": 0.6})
    assert Defects(**{**dict.fromkeys(KINDS, 0.0), "null_time": 1.0, "torn_line": 1.0})
