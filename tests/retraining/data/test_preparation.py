"""From raw files to splits: exact counts, and days in any order with the same result."""

from __future__ import annotations

import logging
import random
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import list_files
from retraining.data.manifest import Manifest, read_split
from retraining.data.preparation import prepare
from retraining.data.splitting import splits
from retraining.description.reading import from_mapping, load
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

pytestmark = pytest.mark.spark

DATASETS = Path(__file__).parents[3] / "steps" / "datasets"
FIRST = datetime(2018, 4, 1, tzinfo=UTC)
N_DAYS = 10
ROWS_A_DAY = 12


def describe(**changes: Any) -> Description:  # noqa: ANN401
    """Transactions whose labels are known after a day, split within eight days."""
    mapping = load(DATASETS / "fraud.yaml").to_mapping()
    mapping["label"]["delay"] = "1 day"
    customers, terminals = mapping["features"]["rolling"]
    customers["windows"] = ["1 day", "2 days"]
    terminals.update(windows=["2 days"], delay="1 day")
    mapping["features"]["fill"] = {"terminal_id_tx_fraud_mean_2d": 0.0}
    mapping["split"] = {
        "by": "time",
        "train": "3 days",
        "gap": "1 day",
        "validation": "1 day",
        "holdout": "1 day",
        "known_positives": {"key": "customer_id", "delay": "1 day"},
    }
    return from_mapping({**mapping, **changes})


def make_row(number: int, moment: datetime, customer: int = 1, amount: str = "5") -> str:
    values = [number, moment.strftime("%Y-%m-%d %H:%M:%S"), customer, customer % 3, amount]
    seconds = int((moment - FIRST).total_seconds())
    return (
        ",".join(map(str, [*values, seconds, seconds // 86_400, number % 5 == 0, 0]))
        .replace("True", "1")
        .replace("False", "0")
    )


def make_day(day: int) -> list[str]:
    """Twelve rows of a day, every fifth one positive; the ids of day 3 are 36 to 47."""
    rng = random.Random(day)  # noqa: S311
    return [
        make_row(
            day * ROWS_A_DAY + index,
            FIRST + timedelta(days=day, seconds=rng.randrange(86_400)),
            rng.randrange(30),
            f"{rng.randrange(1, 10_000) / 100}",
        )
        for index in range(ROWS_A_DAY)
    ]


def write(folder: Path, name: str, lines: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["# header", *lines]) + "\n")


def write_days(folder: Path, days: Sequence[int]) -> None:
    for day in days:
        write(folder, f"{FIRST + timedelta(days=day):%Y-%m-%d}.txt", make_day(day))


def run(spark: SparkSession, folder: Path, version: str, **options: Any) -> Manifest:  # noqa: ANN401
    description = options.pop("description", None) or describe()
    source = options.pop("source", str(folder / "raw"))
    return prepare(
        spark,
        description,
        files=list_files(spark, source),
        root=str(folder / "data"),
        version=version,
        **options,
    )


@pytest.fixture(scope="module")
def full(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """All ten days, clean, read at once."""
    folder = tmp_path_factory.mktemp("full")
    write_days(folder / "raw", range(N_DAYS))
    return run(spark, folder, "full")


def raw_folder(manifest: Manifest) -> str:
    return manifest.files[0].path.rpartition("/")[0]


def test_windows_rows_and_columns_of_the_splits(spark: SparkSession, full: Manifest) -> None:
    """As of 04-11: holdout 04-09, validation 04-07, train 04-03 to 04-05; 12 rows a day."""
    description = describe()
    spans = {name: (split.start, split.end) for name, split in full.splits.items()}
    assert spans == {
        "train": (FIRST + timedelta(days=2), FIRST + timedelta(days=5)),
        "validation": (FIRST + timedelta(days=6), FIRST + timedelta(days=7)),
        "holdout": (FIRST + timedelta(days=8), FIRST + timedelta(days=9)),
    }
    assert full.as_of == FIRST + timedelta(days=N_DAYS)
    assert full.trained_until == "2018-04-08T00:00:00+00:00"
    assert full.n_rows_read == N_DAYS * ROWS_A_DAY
    assert list(full.days) == [date(2018, 4, day + 1) for day in range(N_DAYS)]
    assert full.new_days == tuple(full.days)
    for name, (start, end) in {"train": (24, 60), "validation": (72, 84)}.items():
        rows = read_split(spark, full, name)
        assert {row[0] for row in rows.select("transaction_id").collect()} == set(range(start, end))
        assert full.splits[name].n_rows == end - start
        assert full.splits[name].n_positives == sum(key % 5 == 0 for key in range(start, end))
        assert set(rows.columns) == {*description.columns, *description.feature_columns}
    customers = {int(row.split(",")[2]) for row in known_positives()}
    kept = [row for row in make_day(8) if int(row.split(",")[2]) not in customers]
    assert 0 < len(kept) < ROWS_A_DAY
    assert full.splits["holdout"].n_rows == len(kept)
    assert full.account is not None
    counts = full.account.model_dump()
    assert [counts[name] for name in ("read", "earlier", "rejected")] == [120, 0, 0]
    assert [counts[name] for name in ("older", "gaps", "newer", "unlabelled")] == [24, 24, 12, 0]
    assert counts["known_positives"] == ROWS_A_DAY - len(kept)
    assert [counts[name] for name in full.splits] == [36, 12, len(kept)]


def adds_up(manifest: Manifest) -> bool:
    """Whether every row that was read, now or before, is somewhere."""
    assert manifest.account is not None
    counts: dict[str, int] = manifest.account.model_dump()
    return counts.pop("read") + counts.pop("earlier") == sum(counts.values())


def known_positives() -> list[str]:
    """Positive rows from the start of train to a day before the holdout's day."""
    rows = [row for day in range(2, 8) for row in make_day(day)]
    return [row for row in rows if row.split(",")[7] == "1"]


def test_planted_defects_are_counted_and_change_nothing(
    spark: SparkSession, full: Manifest, tmp_path: Path
) -> None:
    """Twelve bad rows in 132: the splits are those of the clean files."""
    write_days(tmp_path / "raw", range(N_DAYS))
    noon = FIRST + timedelta(days=4, hours=12)
    good = make_day(4)
    bad = [
        *(good[0], good[0], good[1].replace("2018-04-05", "2018-04-06")),
        *(make_row(900, noon, amount="0"), make_row(901, noon, amount="0.00")),
        *(make_row(902, noon, customer=-999_999), make_row(903, noon, amount="error")),
        *(make_row(904, noon)[:-2], f"{make_row(905, noon)},1", "x"),
        *(make_row(906, noon).replace("2018-04-05 12:00:00", ""), make_row(907, noon) + "9x"),
    ]
    write(tmp_path / "raw", "bad.txt", bad)
    found = run(spark, tmp_path, "v1", description=describe(quarantine={"max_share": 0.1}))
    assert found.quarantine.by_reason == {
        "duplicate transaction_id": 3,
        "malformed": 3,
        "range tx_amount": 2,
        "null tx_datetime": 1,
        "range customer_id": 1,
        "unparseable tx_amount": 1,
        "unparseable tx_fraud_scenario": 1,
    }
    assert found.quarantine.n_rows == len(bad) == 12
    assert found.n_rows_read == N_DAYS * ROWS_A_DAY + len(bad)
    rows = spark.read.parquet(found.quarantine.uri).collect()
    assert Counter(row["_reason"] for row in rows) == found.quarantine.by_reason
    assert sorted(row["_malformed"] for row in rows if row["_malformed"]) == sorted(bad[7:10])
    assert all(row["_file"].endswith(".txt") for row in rows)
    assert fingerprints(found) == fingerprints(full)
    assert adds_up(found)


def fingerprints(manifest: Manifest) -> list[str]:
    return [split.fingerprint for split in manifest.splits.values()] + [manifest.fingerprint]


@pytest.mark.slow
def test_day_by_day_is_the_same_as_all_at_once(
    spark: SparkSession, full: Manifest, tmp_path: Path
) -> None:
    write_days(tmp_path / "raw", range(N_DAYS - 2))
    versions = [run(spark, tmp_path, "v0")]
    for day in (8, 9):
        write_days(tmp_path / "raw", [day])
        versions.append(run(spark, tmp_path, f"v{day}", previous=versions[-1]))
    last = versions[-1]
    assert fingerprints(last) == fingerprints(full)
    assert last.n_rows_read == ROWS_A_DAY
    assert last.account is not None
    assert last.account.earlier == 9 * ROWS_A_DAY
    assert last.day_rows == full.day_rows
    assert all(map(adds_up, versions))
    assert last.new_days == (date(2018, 4, 10),)
    assert len(last.reused_days) == 9
    assert last.why == "1 of 10 files is read: v8 holds the others"
    homes = {uri.split("/")[-3] for uri in last.days.values()}
    assert homes == {"v0", "v8", "v9"}
    assert last.days[date(2018, 4, 9)].startswith(versions[1].uri)


@pytest.mark.slow
def test_late_and_displacing_rows_are_as_if_read_at_once(
    spark: SparkSession, full: Manifest, tmp_path: Path
) -> None:
    """One late row, one that displaces a stored row, one repeated row, one bad row."""
    options = {
        "description": describe(quarantine={"max_share": 0.8}),
        "source": f"{raw_folder(full)},{tmp_path}/raw",
    }
    stored = make_day(6)[3].split(",")
    displacing = [stored[0], "2018-04-05 00:00:01", *stored[2:]]
    repeated = make_day(2)[0].split(",")
    repeated[1] = "2018-04-09 00:00:00"
    late = make_row(800, FIRST + timedelta(days=4, hours=23), customer=7)
    bad = make_row(801, FIRST, amount="-1")
    write(tmp_path / "raw", "late.txt", [late, ",".join(displacing), ",".join(repeated), bad])
    found = run(spark, tmp_path, "v1", previous=full, **options)
    again = run(spark, tmp_path, "v2", **options)
    assert fingerprints(found) == fingerprints(again)
    assert fingerprints(found) != fingerprints(full)
    assert found.n_rows_read == 4
    assert adds_up(found)
    assert adds_up(again)
    assert found.day_rows == again.day_rows
    assert found.new_days == tuple(date(2018, 4, day) for day in range(5, 11))
    assert found.quarantine.by_reason == {"duplicate transaction_id": 2, "range tx_amount": 1}
    displaced = spark.read.parquet(found.quarantine.uri).where(f"transaction_id = '{stored[0]}'")
    assert [row["tx_datetime"] for row in displaced.collect()] == [stored[1]]


def test_nothing_new_is_only_cut_again(
    spark: SparkSession, full: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As of two days earlier, from the days of a version and from the files."""
    as_of = FIRST + timedelta(days=N_DAYS - 1)
    source = raw_folder(full)
    caplog.set_level(logging.INFO, logger="retraining")
    found = run(
        *(spark, tmp_path, "v1"),
        source=source,
        previous=full,
        as_of=as_of,
    )
    numbers = [re.findall(r"\d[\d-]*", message) for message in caplog.messages[:5]]
    assert numbers[:4] == [
        ["10"],  # files that the earlier version holds
        ["0", "0"],  # rows read and rejected
        ["0", "10"],  # days computed and reused
        ["2018-04-02", "2018-03-30", "2018-04-01"],  # a history that is too short
    ]
    assert numbers[4][0] == "36"
    again = run(spark, tmp_path, "v2", source=source, as_of=as_of)
    assert found.n_rows_read == 0
    assert found.new_days == ()
    assert adds_up(found)
    assert found.days == full.days
    assert found.quarantine.n_rows == spark.read.parquet(found.quarantine.uri).count() == 0
    assert fingerprints(found) == fingerprints(again)
    assert found.splits["holdout"].end == FIRST + timedelta(days=N_DAYS - 2)


def test_partitions_change_nothing(spark: SparkSession, full: Manifest, tmp_path: Path) -> None:
    """Seven shuffle partitions, and all rows in one file in reverse order."""
    lines = [row for day in range(N_DAYS) for row in make_day(day)]
    write(tmp_path / "raw", "all.txt", lines[::-1])
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", 7)
    try:
        found = run(spark, tmp_path, "v1")
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
    assert fingerprints(found) == fingerprints(full)


def test_splits_of_whole_days_are_not_written_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = describe().to_mapping()
    del mapping["split"]["known_positives"]
    description = from_mapping(mapping)
    write_days(tmp_path / "raw", range(N_DAYS - 1))
    first = run(spark, tmp_path, "first", description=description)
    write_days(tmp_path / "raw", range(N_DAYS - 1, N_DAYS))
    by_day = run(spark, tmp_path, "days", description=description, previous=first)
    noon = datetime(2018, 4, 11, 12)
    cut = run(spark, tmp_path, "cut", description=description, previous=first, as_of=noon)
    monkeypatch.setattr(splits, "whole_days", lambda *_: None)
    copied = run(spark, tmp_path, "copied", description=description, previous=first)

    assert [split.days for split in by_day.splits.values()] == [
        tuple(date(2018, 4, day) for day in days) for days in ((3, 4, 5), (7,), (9,))
    ]
    assert by_day.folders_of("train")[0] == f"{first.uri}/rows/day=2018-04-03"
    assert not list((tmp_path / "data").glob("fraud/days/splits"))
    assert cut.folders_of("holdout") == [f"{cut.uri}/splits/split=holdout"]
    assert copied.folders_of("train") == [f"{copied.uri}/splits/split=train"]
    assert by_day.account == copied.account
    assert by_day.fingerprint == copied.fingerprint != cut.fingerprint
    for name, split in copied.splits.items():
        mine = by_day.splits[name]
        assert mine == split.model_copy(update={"uri": mine.uri, "days": mine.days})
        assert read_split(spark, by_day, name).exceptAll(read_split(spark, copied, name)).isEmpty()
    (part,) = Path(by_day.folders_of("holdout")[0].removeprefix("file:")).glob("*.parquet")
    part.unlink()
    with pytest.raises(RetrainingError, match=rf"{part.name} is missing"):
        read_split(spark, by_day, "holdout")


def test_rows_without_event_times_are_split_by_hash(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        f"d{number},{18 + number % 50},{'female' if number % 2 else 'male'},{'ABC'[number % 3]},"
        f"{number % 7},{number % 5},{number % 3},{number % 2},{int(number % 3 == 0)}"
        for number in range(200)
    ]
    write(tmp_path / "raw", "a.csv", [*rows, rows[0]])
    mapping = load(DATASETS / "drivers.yaml").to_mapping()
    description = from_mapping({**mapping, "files": {"comment": "#"}})
    found = run(spark, tmp_path, "v1", description=description)
    assert sum(split.n_rows for split in found.splits.values()) == 200
    assert adds_up(found)
    assert sum(split.n_positives for split in found.splits.values()) == 67
    assert found.quarantine.by_reason == {"duplicate driver_id": 1}
    assert found.days == {}
    assert found.trained_until is None
    assert found.splits["train"].start is None
    again = run(spark, tmp_path, "v2", description=description, previous=found)
    assert fingerprints(again) == fingerprints(found)
    assert "event times" in again.why


def test_too_many_rejected_rows_fail_and_publish_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_days(tmp_path / "raw", range(N_DAYS))
    write(tmp_path / "raw", "bad.txt", [make_row(900 + n, FIRST, amount="0") for n in range(7)])
    with pytest.raises(
        RetrainingError,
        match=r"5.51% of 127 rows .*\(range tx_amount: 7, for example '0'\): .*"
        r"quarantine.max_share above 5.00%",
    ):
        run(spark, tmp_path, "v1")
    assert not list((tmp_path / "data").rglob("*.parquet"))
    assert not list((tmp_path / "data").rglob("_MANIFEST.json"))
    assert released(spark)


def released(spark: SparkSession) -> bool:
    return spark.sparkContext._jsc.getPersistentRDDs().isEmpty()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("days", "lines", "message"),
    [
        (range(5), [], r"train from 2018-03-29 to 2018-04-01 has no rows"),
        ([], ["# nothing"], r"no row of 1 file is valid"),
        (
            [],
            [make_row(n * 5 + 1, FIRST + timedelta(days=n)) for n in range(9)],
            r"train has 0 positives in 3 rows",
        ),
    ],
)
def test_splits_that_no_model_can_use_are_refused(
    spark: SparkSession, tmp_path: Path, days: Sequence[int], lines: list[str], message: str
) -> None:
    write_days(tmp_path / "raw", days)
    if lines:
        write(tmp_path / "raw", "a.txt", lines)
    with pytest.raises(RetrainingError, match=message):
        run(spark, tmp_path, "v1")
    assert released(spark)
