"""Files of simulated transactions: their bytes, their format, their defects, their safety."""

from __future__ import annotations

import hashlib
import logging
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from retraining.errors import RetrainingError
from retraining.simulation import files
from retraining.simulation.defects import KINDS, Defects
from retraining.simulation.files import ORIGIN, Simulation, last_day, simulate
from tests.waiting import wait_until

SMALL: dict[str, Any] = {"start": ORIGIN, "days": 3, "seed": 1, "n_customers": 60}
MANY = Defects(**{**dict.fromkeys(KINDS, 0.02), "torn_line": 0.5})
NAMES = ["transaction_id", "time", "customer", "terminal", "amount"]
NAMES += ["seconds", "days", "fraud", "scenario"]


def write(folder: Path, **changes: Any) -> Simulation:  # noqa: ANN401
    return simulate(folder, **{**SMALL, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows_of(path: Path) -> list[dict[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    return [dict(zip(NAMES, line.split(","), strict=False)) for line in lines[1:]]


def defect_of(row: dict[str, str]) -> str | None:
    """What a reader without knowledge of the simulator finds wrong with a row."""
    if len(row) < len(NAMES):
        return "torn_line"
    if not row["time"]:
        return "null_time"
    try:
        datetime.strptime(row["time"], "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "unparseable_time"
    if not row["terminal"]:
        return "null_terminal"
    if row["customer"] == "-999999":
        return "unknown_customer"
    if not (row["customer"].isdigit() and re.fullmatch(r"-?\d+\.\d\d", row["amount"])):
        return "letters_in_number"
    amount = float(row["amount"])
    return "negative_amount" if amount < 0 else None if amount else "zero_amount"


def clean(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], Counter[str]]:
    """The rows that stay, in the order of their ids, and the number dropped for each reason."""
    dropped = Counter[str]()
    by_id = defaultdict(list)
    for row in rows:
        reason = defect_of(row)
        if reason is None:
            by_id[int(row["transaction_id"])].append(row)
        else:
            dropped[reason] += 1
    dropped["duplicate_id"] = sum(len(same) - 1 for same in by_id.values())
    return [min(by_id[i], key=lambda row: row["time"]) for i in sorted(by_id)], dropped


def test_simulate_writes_the_raw_format(tmp_path: Path) -> None:
    written = write(tmp_path, defects=Defects.none())
    assert [path.name for path in written.files] == [
        "2019-08-22.txt", "2019-08-23.txt", "2019-08-24.txt"
    ]  # fmt: skip
    ids = []
    for day, path in enumerate(written.files):
        header, *_ = text = path.read_text(encoding="utf-8").split("\n")
        assert header == (
            "# tranaction_id,tx_datetime,customer_id,terminal_id,tx_amount,tx_time_seconds,"
            "tx_time_days,tx_fraud,tx_fraud_scenario"
        )
        assert text[-1] == ""
        pattern = r"\d+,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+,\d+,\d+\.\d\d,\d+,\d,[01],[0-3]"
        assert all(re.fullmatch(pattern, line) for line in text[1:-1])
        rows = rows_of(path)
        ids += [int(row["transaction_id"]) for row in rows]
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        for row in rows:
            seconds = int(row["seconds"])
            assert datetime.fromisoformat(row["time"]) == datetime(2019, 8, 22) + timedelta(
                seconds=seconds
            )
            assert int(row["days"]) == seconds // 86_400 == day
            assert (row["fraud"] == "1") == (row["scenario"] != "0")
    assert len(ids) == len(set(ids)) == written.n_rows
    assert ids == sorted(ids)
    assert ids[0] == 0


def test_simulate_uses_customer_zero_and_terminal_zero(tmp_path: Path) -> None:
    files = write(tmp_path, n_customers=500, n_terminals=20, defects=Defects.none()).files
    rows = [row for path in files for row in rows_of(path)]
    assert {int(row["terminal"]) for row in rows} == set(range(20))
    assert {"0", "1"} <= {row["customer"] for row in rows}
    assert max(int(row["customer"]) for row in rows) < 500


def test_simulate_repeats_every_byte_for_the_same_seed(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert first.digest == second.digest
    assert first != second  # the folder differs


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"n_customers": 61}, {"n_terminals": 999}, {"defects": MANY}],
    ids=lambda change: next(iter(change)),
)
def test_simulate_writes_other_bytes_for_other_arguments(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    plain, other = write(tmp_path / "a"), write(tmp_path / "b", **change)
    assert plain.digest != other.digest


def test_simulate_in_parts_gives_the_bytes_of_one_go(tmp_path: Path) -> None:
    write(tmp_path / "whole", days=70, defects=MANY)
    later = ORIGIN + timedelta(days=40)
    write(tmp_path / "parts", start=later, days=30, defects=MANY)
    write(tmp_path / "parts", days=1, defects=MANY)
    write(tmp_path / "parts", start=ORIGIN + timedelta(days=1), days=39, defects=MANY)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_simulate_gives_the_same_bytes_in_one_chunk_or_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(tmp_path / "whole", defects=MANY)
    monkeypatch.setattr(files, "ROWS_AT_ONCE", 7)
    assert write(tmp_path / "parts", defects=MANY).digest == whole.digest


def test_simulate_drifts_from_the_second_month_on(tmp_path: Path) -> None:
    still, drifted = (
        write(tmp_path / str(drift), days=31, drift=drift).files for drift in (0.0, 1.0)
    )
    same = [a.read_bytes() == b.read_bytes() for a, b in zip(still, drifted, strict=True)]
    assert same == [True] * 30 + [False]


def test_simulate_digests_names_and_bytes(tmp_path: Path) -> None:
    written = write(tmp_path)
    parts = b"".join(path.name.encode() + path.read_bytes() for path in written.files)
    assert written.digest == hashlib.sha256(parts).hexdigest()


def test_simulate_counts_what_an_independent_reader_counts(tmp_path: Path) -> None:
    dirty = write(tmp_path / "dirty", days=40, n_customers=200, defects=MANY)
    pure = write(tmp_path / "pure", days=40, n_customers=200, defects=Defects.none())
    rows = [row for path in dirty.files for row in rows_of(path)]
    kept, dropped = clean(rows)
    assert dirty.n_rows == len(rows)
    assert dirty.defects == dropped
    assert all(dropped[kind] > 5 for kind in KINDS)
    assert kept == [row for path in pure.files for row in rows_of(path)]
    assert pure.n_rows == len(kept) == len(rows) - dropped.total()
    assert dirty.n_frauds == pure.n_frauds == sum(row["fraud"] == "1" for row in kept)
    for path in dirty.files:
        assert path.read_bytes().endswith(b"\n") == (
            "torn_line" not in {defect_of(row) for row in rows_of(path)}
        )


def test_simulate_plants_some_of_each_kind_in_a_small_month_by_default(tmp_path: Path) -> None:
    written = simulate(tmp_path, start=ORIGIN, days=30, seed=42)
    good = written.n_rows - sum(written.defects.values())
    for kind, rate in Defects().row_rates().items():
        assert written.defects[kind] > 0, kind
        assert stats.binomtest(written.defects[kind], good, rate).pvalue > 1e-3, kind
    assert stats.binomtest(written.defects["torn_line"], 30, 0.1).pvalue > 1e-3
    assert good == pytest.approx(30 * 2_900, rel=0.05)
    assert 0.03 < written.n_frauds / good < 0.08


def test_simulate_reports_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("retraining.progress.SECONDS_BETWEEN_LINES", 0)
    caplog.set_level(logging.INFO)
    write(tmp_path)
    assert [line.split(" days, about ")[0] for line in caplog.messages] == [
        "transactions: 1 of 3",
        "transactions: 2 of 3",
    ]


def test_simulate_twice_changes_nothing(tmp_path: Path) -> None:
    first = write(tmp_path)
    times = [path.stat().st_mtime_ns for path in first.files]
    assert write(tmp_path) == first
    assert [path.stat().st_mtime_ns for path in first.files] == times
    assert len(list(tmp_path.iterdir())) == 3


def test_simulate_refuses_to_replace_another_content(tmp_path: Path) -> None:
    write(tmp_path, days=2)
    before = contents(tmp_path)
    with pytest.raises(RetrainingError, match=r"2019-08-22\.txt .*seed"):
        write(tmp_path, seed=2)
    assert contents(tmp_path) == before


def test_simulate_that_fails_half_way_leaves_no_part_of_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = files._chunks, 0

    def failing(*arguments: Any) -> Any:  # noqa: ANN401
        nonlocal calls
        calls += 1
        chunks = real(*arguments)
        yield next(chunks)
        if calls == 2:
            raise KeyboardInterrupt
        yield from chunks

    monkeypatch.setattr(files, "_chunks", failing)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["2019-08-22.txt"]
    monkeypatch.undo()
    write(tmp_path)
    write(tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole


def test_simulate_that_is_killed_leaves_whole_days_only(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(files.__file__).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from retraining.simulation.files import ORIGIN, simulate\n"
        f"simulate(Path({str(tmp_path)!r}), start=ORIGIN, days=500, seed=1, n_customers=30_000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        # A day is there and another one is being written.
        wait_until(
            lambda: last_day(tmp_path) is not None and list(tmp_path.glob(".*")),
            "no second day is being written",
            60,
        )
        process.kill()
    last = last_day(tmp_path)
    assert last is not None
    days = (last - ORIGIN).days + 1
    assert days < 500
    # A part of a day would be refused as another content.
    assert len(write(tmp_path, days=days, n_customers=30_000).files) == days


def test_simulate_tells_when_a_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(RetrainingError, match=r"2019-08-22\.txt .*\(No space"):
        write(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": 0}, "days is 0: give a whole number, 1 or more"),
        ({"n_customers": 0}, "n_customers is 0: give a whole number, 1 or more"),
        ({"n_terminals": -1}, "n_terminals is -1: give a whole number, 1 or more"),
        ({"seed": -1}, "seed is -1: give a whole number, 0 or more"),
        ({"drift": -0.1}, "drift is -0.1: give a number of 0 or more"),
        ({"drift": float("nan")}, "drift is nan: give a number of 0 or more"),
        ({"drift": float("inf")}, "drift is inf: give a number of 0 or more"),
        ({"start": date(2019, 8, 21)}, "start is 2019-08-21: give a day from 2019-08-22 on"),
        ({"days": 10**7}, "days is 10000000: give fewer: days end on 9999-12-31"),
    ],
)
def test_simulate_refuses_arguments_out_of_range(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RetrainingError, match=re.escape(message)):
        write(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_simulate_refuses_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrainingError, match=r"file .*\(File exists\)"):
        write(tmp_path / "file")
    with pytest.raises(RetrainingError, match="s3a:/bucket/raw is not local"):
        write(Path("s3a://bucket/raw"))


def test_last_day_is_the_newest_whole_day(tmp_path: Path) -> None:
    assert last_day(tmp_path / "missing") is None
    assert last_day(tmp_path) is None
    for name in (
        ".2019-09-09.txt.0a1b",
        "2019-09-09.csv",
        "20190909.txt",
        "2019-13-01.txt",
        "a.txt",
    ):
        (tmp_path / name).write_text("")
    assert last_day(tmp_path) is None
    written = write(tmp_path, days=2)
    assert last_day(tmp_path) == date(2019, 8, 23) == date.fromisoformat(written.files[-1].stem)
